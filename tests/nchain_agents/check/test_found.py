"""Planted mistakes are named, and correct agents are not accused, for a few seeds of each."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from planted import MISTAKES, PlantedTable
from verdicts import verdict

import nchain_agents
from nchain_agents.article.learners import TutorialQLearning

pytestmark = pytest.mark.slow

STEPS = (5_000, 20_000)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_tables(mistake: str) -> None:
    found = verdict(partial(PlantedTable, mistake=mistake), 1000, STEPS, 0.9)
    assert found[0] == (mistake or "correct")
    assert len(found) <= 2


@pytest.mark.parametrize("mistake", ["", "truncation as termination", "reward scaled"])
def test_networks(mistake: str) -> None:
    pytest.importorskip("torch", reason="needs torch")
    from planted_dqn import PlantedDQN

    found = verdict(partial(PlantedDQN, mistake=mistake), 1000, (8_000,), 0.9)
    assert found == (mistake or "correct",)


@pytest.mark.parametrize(
    "name", ["QLearning", "DoubleQLearning", "Sarsa", "ExpectedSarsa", "PosteriorSampling"]
)
def test_correct_agents(name: str) -> None:
    def make(env: Any, seed: int) -> Any:
        return getattr(nchain_agents, name)(env, gamma=0.9, seed=seed)

    assert verdict(make, 1000, STEPS, 0.9) == ("correct",)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("MBIEEB", {"max_reward": 1.2}),
        ("RMax", {"max_reward": 1.2}),
        ("UCRL2", {"min_reward": -0.9, "max_reward": 1.2}),
    ],
)
def test_agents_that_know_the_size_of_rewards(name: str, known: dict[str, float]) -> None:
    def make(env: Any, seed: int) -> Any:
        return getattr(nchain_agents, name)(env, seed=seed, **known)

    assert verdict(make, 1000, STEPS, None) == ("correct",)


def test_the_tutorials_rule() -> None:
    def make(env: Any, seed: int) -> Any:
        return TutorialQLearning(env, gamma=0.9, learning_rate=0.8, epsilon=0.5, seed=seed)

    assert verdict(make, 1000, STEPS, 0.9) == ("termination ignored and reward scaled",)
