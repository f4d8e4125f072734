from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from nchain_agents import EveryNTimesteps, QLearning, StopAfterEpisodes, StopAtConvergence
from nchain_agents.agent import Agent


def test_training_stops_after_a_number_of_episodes() -> None:
    agent = QLearning("NChain-v0", seed=0).learn(10_000, callback=StopAfterEpisodes(3))
    assert agent.num_timesteps == 3000
    assert len(agent.episode_returns) == 3
    agent.learn(10_000, callback=StopAfterEpisodes(2))
    assert agent.num_timesteps == 5000


def test_training_stops_when_the_table_changes_no_more() -> None:
    # without slips and with step size 1 the table settles exactly
    parameters: dict[str, Any] = {"epsilon": 1.0, "learning_rate": 1.0, "gamma": 0.5, "seed": 0}

    agent = QLearning(gym.make("NChain-v0", slip=0.0), **parameters)
    stop = StopAtConvergence(1e-9, window=2000)
    assert stop.converged is False
    agent.learn(100_000, callback=stop)
    assert stop.converged is True
    # episodes end after 1000, 2000, ... steps: it looks after 1000, 3000 and 5000
    assert agent.num_timesteps == 5000
    # gamma 0.5: staying at the end is worth 10 / (1 - 0.5) = 20
    assert agent.q[4, 0] == pytest.approx(20.0, abs=1e-6)

    patient = StopAtConvergence(1e-9)
    agent = QLearning(gym.make("NChain-v0", slip=0.0), **parameters)
    agent.learn(100_000, callback=patient)
    assert agent.num_timesteps == 21_000  # after 1000, 11,000 and 21,000

    trembling = StopAtConvergence(1e-9, window=2000)
    agent = QLearning("NChain-v0", **parameters).learn(20_000, callback=trembling)
    assert not trembling.converged
    assert agent.num_timesteps == 20_000


def test_a_change_of_the_tolerance_counts_as_none_and_a_larger_one_does_not() -> None:
    agent = QLearning("NChain-v0")
    stop = StopAtConvergence(0.5, window=10)
    verdicts = []
    for steps, value in ((5, 0.0), (14, 0.0), (15, 0.75), (24, 0.75), (25, 0.25)):
        agent.num_timesteps = steps
        agent.q[2, 1] = value
        verdicts.append(stop(agent))
    # it looks after 5, 15 and 25 steps: a change of 0.75 upwards, then one of 0.5 downwards
    assert verdicts == [True, True, True, True, False]


@pytest.mark.parametrize("compiled", [True, False])
def test_a_callback_every_n_steps_changes_nothing_that_is_learned(compiled: bool) -> None:
    # epsilon falls over the whole training, not over the parts between two calls
    parameters: dict[str, Any] = {
        "epsilon": {"initial": 1.0, "final": 0.1, "fraction": 0.7},
        "seed": 3,
        "compiled": compiled,
    }
    called: list[int] = []
    rewards: list[float] = []

    def look(agent: Agent) -> None:
        called.append(agent.num_timesteps)
        rewards.append(agent.total_reward)

    agent = QLearning("NChain-v0", **parameters).learn(100).learn(2500, EveryNTimesteps(700, look))
    assert called == [700, 1400, 2100, 2600]
    whole = QLearning("NChain-v0", **parameters).learn(100).learn(2500)
    np.testing.assert_array_equal(agent.q, whole.q)
    assert agent.episode_returns == whole.episode_returns
    assert rewards[-1] == whole.total_reward
    assert rewards == sorted(rewards)


def test_a_callback_every_n_steps_may_stop_the_training() -> None:
    agent = QLearning("NChain-v0").learn(9000, EveryNTimesteps(50, lambda a: a.num_timesteps < 130))
    assert agent.num_timesteps == 150


@pytest.mark.parametrize("value", [0, -1, 1.5, "3"])
def test_bad_numbers_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="episodes must be an integer of at least 1"):
        StopAfterEpisodes(value)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="window must be an integer of at least 1"):
        StopAtConvergence(0.1, window=value)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n_steps must be an integer of at least 1"):
        EveryNTimesteps(value, lambda agent: True)  # type: ignore[arg-type]


def test_a_bad_tolerance_is_refused() -> None:
    with pytest.raises(ValueError, match="tolerance must be"):
        StopAtConvergence(0.0)


def untouched(agent: Agent) -> bool:
    """Whether an agent is as it was made: nothing reset, nothing drawn."""
    fresh = QLearning("NChain-v0", seed=0)
    return (
        agent.num_timesteps == 0
        and agent.np_random.bit_generator.state == fresh.np_random.bit_generator.state
        and vars(agent.env.unwrapped).keys() == vars(fresh.env.unwrapped).keys()
    )


@pytest.mark.parametrize("n_steps", [0, -5, 2.5, "10", True, float("nan")])
def test_n_steps_that_is_no_number_of_steps_is_refused_at_the_start(n_steps: object) -> None:
    def look(agent: Agent) -> None:
        raise AssertionError("called")

    look.n_steps = n_steps  # type: ignore[attr-defined]
    agent = QLearning("NChain-v0", seed=0)
    message = r"^n_steps of callback must be an integer of at least 1, got "
    with pytest.raises(ValueError, match=message):
        agent.learn(5000, look)
    assert untouched(agent)


def test_a_function_with_n_steps_is_called_as_often() -> None:
    called: list[int] = []

    def look(agent: Agent) -> None:
        called.append(agent.num_timesteps)

    look.n_steps = 400  # type: ignore[attr-defined]
    QLearning("NChain-v0").learn(1000, look)
    assert called == [400, 800, 1000]


class Incomplete:
    """A little like a callback of stable-baselines3's."""

    def on_step(self) -> bool:
        return True


@pytest.mark.parametrize(
    "callback", [3, [3], [print, "stop"], "stop", Incomplete(), StopAfterEpisodes]
)
def test_a_callback_that_is_none_is_refused_at_the_start(callback: Any) -> None:
    agent = QLearning("NChain-v0", seed=0)
    message = r"^callback must be None or a function of the agent, got "
    with pytest.raises(ValueError, match=message):
        agent.learn(5000, callback)
    assert untouched(agent)
