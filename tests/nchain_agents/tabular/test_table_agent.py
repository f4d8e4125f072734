"""What all table learners have in common: parameters, seeds, callbacks, predictions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from table_learners import AGENTS, Script

from nchain_agents import (
    Agent,
    PosteriorSampling,
    QLearning,
    RewardSum,
    interrupts,
)
from nchain_agents.tabular.table_agent import TableAgent


@pytest.mark.parametrize("kind", AGENTS)
def test_an_agent_keeps_the_loop_and_the_seed_that_it_was_told(kind: type[TableAgent]) -> None:
    agent, other, third = (kind("NChain-v0", seed=seed, compiled=False) for seed in (4, 4, 5))
    assert agent.compiled is False
    draws = [each.np_random.random() for each in (agent, other, third)]
    assert draws[0] == draws[1] != draws[2]


def test_the_defaults_are_the_documented_ones() -> None:
    agent = QLearning("NChain-v0")
    assert {name: getattr(agent, name) for name in agent.parameters} == {
        "gamma": 0.95,
        "learning_rate": 0.1,
        "visit_power": 0.0,
        "epsilon": 0.1,
        "temperature": 0.0,
        "initial_q": 0.0,
        "compiled": "auto",
    }
    sampler = PosteriorSampling("NChain-v0")
    assert {name: getattr(sampler, name) for name in sampler.parameters} == {
        "gamma": 0.95,
        "prior": 1.0,
        "reward_mean": None,
        "reward_scale": None,
        "reward_strength": 0.1,
        "rewards": "learned",
        "compiled": "auto",
    }
    assert RewardSum("NChain-v0").compiled == "auto"


def test_equal_seeds_learn_equal_tables_and_others_do_not() -> None:
    first, again, other = (QLearning("NChain-v0", seed=s).learn(3000).q for s in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_learning_in_two_calls_equals_learning_in_one() -> None:
    whole = QLearning("NChain-v0", seed=3, epsilon={"initial": 0.5, "decay": 0.9}).learn(2500)
    parts = QLearning("NChain-v0", seed=3, epsilon={"initial": 0.5, "decay": 0.9})
    parts.learn(700).learn(1800)
    assert whole.q.tobytes() == parts.q.tobytes()
    assert whole.episode_returns == parts.episode_returns


def test_the_agent_and_the_environment_do_not_share_their_random_numbers() -> None:
    agent = QLearning("NChain-v0", seed=0).learn(1)
    draws = agent.np_random.random(100)
    assert not np.isin(draws, agent.env.unwrapped.np_random.random(200)).any()


def test_a_callback_sees_each_episode_and_may_stop() -> None:
    seen: list[int] = []

    def stop_after_three(agent: Agent) -> bool:
        seen.append(agent.num_timesteps)
        return len(seen) < 3

    agent = QLearning("NChain-v0", seed=0).learn(10_000, callback=stop_after_three)
    assert seen == [1000, 2000, 3000]
    assert agent.num_timesteps == 3000


def test_predict_takes_one_observation_or_a_batch() -> None:
    agent = QLearning("NChain-v0", seed=0, epsilon=0.0)
    agent.q[:] = [[1, 0], [0, 1], [0, 1], [1, 0], [2, 2]]
    assert agent.predict(1, deterministic=True) == (1, None)
    actions, state = agent.predict(np.array([0, 1, 4]), state="kept", deterministic=True)
    assert actions.tolist() == [0, 1, 0]
    assert state == "kept"
    assert {agent.predict(4)[0] for _ in range(50)} == {0, 1}
    assert agent.q_values(2).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("observation", [5, -1, 0.5, "0", [[0]], [0, 9]])
def test_an_observation_outside_the_table_is_refused(observation: Any) -> None:
    with pytest.raises(ValueError, match=r"observation must be one or a batch of integers in"):
        QLearning("NChain-v0").predict(observation)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"gamma": 1.5}, r"gamma must be a number in \[0, 1\], got 1.5"),
        ({"gamma": float("nan")}, "gamma"),
        ({"learning_rate": 0.0}, r"learning_rate must be a number in \(0, 1\], got 0.0"),
        ({"learning_rate": 2}, "learning_rate"),
        ({"visit_power": 0.3}, r"visit_power must be 0 or in \(0.5, 1\], got 0.3"),
        ({"visit_power": 0.5}, r"^visit_power must be 0 or in \(0.5, 1\], got 0.5$"),
        ({"visit_power": 1.5}, r"^visit_power must be a number in \[0, 1\], got 1.5$"),
        ({"epsilon": -0.1}, "epsilon"),
        ({"temperature": -1}, r"^temperature must be a number in \[0, inf\), got -1$"),
        ({"initial_q": "5"}, r"^initial_q must be a finite number, got '5'$"),
        ({"initial_q": (1, "2")}, r"^initial_q must be a finite number, got '2'$"),
        ({"initial_q": (1, 2, 3)}, r"^initial_q must be a number or .low, high., got \(1, 2, 3\)$"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QLearning("NChain-v0", **parameters)


def test_continuous_spaces_are_refused() -> None:
    message = (
        r"^env must have discrete observations numbered from 0 for a table, got Box\(.*\); "
        "KerasDQN takes other observations$"
    )
    with pytest.raises(ValueError, match=message):
        QLearning("CartPole-v1")
    with pytest.raises(ValueError, match="discrete observations"):
        RewardSum(gym.make("Blackjack-v1"))
    script = Script()
    script.action_space = gym.spaces.Discrete(2, start=1)
    with pytest.raises(ValueError, match=r"^env must have discrete actions numbered from 0 .*"):
        RewardSum(script)


def test_a_progress_bar_shows_the_steps_and_the_return(capsys: pytest.CaptureFixture[str]) -> None:
    agent = QLearning("NChain-v0", seed=0).learn(2000, progress_bar=True)
    shown = capsys.readouterr().err
    assert "2000/2000" in shown
    assert f"{agent.episode_returns[-1]:,.1f}" in shown


def test_the_compiled_loop_does_not_stop_for_a_progress_bar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("numba", reason="needs the agents extra")
    told: list[tuple[int, float]] = []

    @contextmanager
    def progress(total: int, shown: bool) -> Iterator[Callable[[int, float], None]]:
        yield lambda steps, last: told.append((steps, last))

    monkeypatch.setattr("nchain_agents.agent.training_progress", progress)
    # as many steps at a time as a loop on a warm machine takes, whatever this one does
    pace = "nchain_agents.tabular.table_agent.Pace"
    monkeypatch.setattr(pace, lambda steps: interrupts.Pace(50_000))
    agent = QLearning("NChain-v0", seed=0).learn(50_000, progress_bar=True)
    assert len(agent.episode_returns) == 50
    assert told == [(50_000, agent.episode_returns[-1])]
