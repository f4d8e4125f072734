"""The random MDPs, the regret of a run, and the page; the figures are in tabular/test_regret.py."""

import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from command import nchain

from nchain_agents import QLearning
from nchain_agents.papers import osband2013
from nchain_agents.papers.osband2013 import EPISODE, RANDOM, RIVER, Experiment, Regret, Result
from nchain_agents.presets import problem
from nchain_agents.study.pool import Pool
from nchain_env import TabularEnv, river_swim_mdp

QLEARNING = problem("riverswim-osband2013").preset("q-learning")


def test_the_optimum_is_exact() -> None:
    """What never gets a reward loses 1,699 with episodes of 20 steps, and 4,286 without resets."""
    river = river_swim_mdp(variant="osband2013")
    assert 10_000 * osband2013.optimum(river, EPISODE) == pytest.approx(1699, abs=1)
    assert 10_000 * osband2013.optimum(river, None) == pytest.approx(4286, abs=1)


def test_random_mdps_are_drawn_from_the_prior() -> None:
    drawn = [osband2013.random_mdp(seed) for seed in range(200)]
    probability = np.array([mdp.probability for mdp in drawn])
    assert probability.shape == (200, 10, 5, 10)
    np.testing.assert_allclose(probability.sum(axis=-1), 1)
    # Dirichlet: E[p] = 0.1, and E[p^2] = 0.1 * 1.1 / (1 * 2)
    assert (probability**2).mean() == pytest.approx(0.055, abs=0.002)
    # Cauchy around 1: half of the rewards lie between 0 and 2, and one in 16 is beyond 1 +- 10.15
    rewards = np.array([mdp.reward[:, :, 0] for mdp in drawn])
    np.testing.assert_allclose(np.quantile(rewards, [0.25, 0.5, 0.75]), [0, 1, 2], atol=0.1)
    assert (np.abs(rewards - 1) > 10.153).mean() == pytest.approx(1 / 16, abs=0.01)
    assert not any(mdp.terminated.any() for mdp in drawn)


@pytest.mark.parametrize(("episode", "best"), [(EPISODE, 3.39727 / 20), (None, 0.428622)])
def test_the_regret_is_the_optimum_less_the_rewards(episode: int | None, best: float) -> None:
    run = osband2013.regret(Experiment(RIVER, episode, QLEARNING), 1000, 3)
    env: gym.Env[int, int] = TabularEnv(river_swim_mdp(variant="osband2013"))
    if episode is not None:
        env = gym.wrappers.TimeLimit(env, episode)
    agent = QLearning(env, **QLEARNING.parameters, seed=3)
    curve = [best * step - agent.learn(20).total_reward for step in range(20, 1001, 20)]
    np.testing.assert_allclose(run.curve, curve, atol=0.01)
    assert run.optimum == pytest.approx(1000 * best, abs=0.01)


def test_a_result_is_compared_with_the_mean_of_the_papers_runs() -> None:
    runs = [Regret((0.0, total), 100.0) for total in (60.0, 80.0)]
    result = Result(Experiment(RIVER, EPISODE, osband2013.PSRL), runs)
    assert result.mean == 70
    assert result.standard_error == pytest.approx(10)  # sqrt(200) / sqrt(2)
    assert result.interval == (60, 80)
    # 70 - 68.8, in units of sqrt(200 (1/2 + 1/20))
    assert result.difference == pytest.approx(1.2 / np.sqrt(110))
    assert Result(Experiment(RIVER, EPISODE, QLEARNING), runs).difference is None


def test_the_pool_makes_the_same_runs() -> None:
    both = [Experiment(name, EPISODE, QLEARNING) for name in (RIVER, RANDOM)]
    done: list[int] = []
    found = osband2013.results(both, range(2, 4), Pool(1), 200, done.append)
    assert done == [1] * 4
    for result in found:
        assert result.runs == [osband2013.regret(result.experiment, 200, seed) for seed in (2, 3)]


@pytest.mark.slow
def test_the_command_shows_the_published_figures_beside_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    theirs = [osband2013.PSRL, osband2013.UCRL2]
    few = [
        Experiment(name, episode, agent)
        for name, agents in ((RIVER, [*theirs, QLEARNING]), (RANDOM, theirs))
        for episode in (EPISODE, None)
        for agent in agents
    ]
    monkeypatch.setattr(osband2013, "experiments", lambda: few)
    options = ("--paper", "osband2013", "--quick", "--seed", "7", "--jobs", "1", "--json")
    assert nchain(monkeypatch, "reproduce", *options, "--out", str(tmp_path)) == 0
    data = json.loads(capsys.readouterr().out)
    assert data == json.loads((tmp_path / "osband2013.json").read_text())
    assert data["command"] == "nchain reproduce --paper osband2013 --quick --seed 7"
    assert (data["seeds"], data["steps"]) == ([7, 8], 1000)
    found = data["experiments"]
    published = [one["published"] for one in found]
    river = [68.8, 1260, None, 106, 3640, None]
    assert published == [*river, 1.04e4, 5.92e4, 7300, 1.13e5]
    for one in found:
        assert one["mean"] == pytest.approx(sum(one["regret"]) / 2)
        assert len(one["optimum"]) == 2
    page = (tmp_path / "osband2013.md").read_text()
    assert "This was a quick run" in page
    assert "**RiverSwim, no resets; exact optimum 429**" in page
    assert "| PSRL | 68.8 | " in page
    assert "| UCRL2 | 113,000 | " in page
    assert (tmp_path / "osband2013.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--paper", "strens2000"),
            "paper must be one of 'tutorial', 'osband2013', 'gym61', got 'strens2000'",
        ),
        (
            ("--paper", "gym61", "--rounds", "3"),
            "rounds are the tutorial's only, got --rounds 3 for gym61",
        ),
        (("--paper", "gym61", "--seeds", "1"), "seeds must be an integer of at least 2, got 1"),
    ],
)
def test_the_command_refuses_what_no_paper_has(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    message: str,
) -> None:
    assert nchain(monkeypatch, "reproduce", *options) == 2
    assert capsys.readouterr().err == f"nchain: {message}\n"
