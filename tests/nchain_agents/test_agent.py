"""What every agent takes and gives, as people who know stable-baselines3 expect it."""

from typing import Any

import numpy as np
import pytest

from nchain_agents import (
    Agent,
    DoubleQLearning,
    EveryNTimesteps,
    PosteriorSampling,
    QLearning,
    RewardSum,
    StopAtConvergence,
    compare,
    learn_many,
)


@pytest.mark.parametrize("kind", [QLearning, DoubleQLearning, RewardSum, PosteriorSampling])
@pytest.mark.parametrize("deterministic", [True, False])
def test_the_action_for_one_observation_is_a_numpy_scalar(kind: Any, deterministic: bool) -> None:
    agent = kind("NChain-v0", seed=0).learn(500)
    for observation in (2, np.int64(2), np.array(2)):
        action, _ = agent.predict(observation, deterministic=deterministic)
        assert type(action) is np.int64
        assert action.shape == ()
        assert action.item() in (0, 1)
    actions, _ = agent.predict(np.array([0, 3]), deterministic=deterministic)
    assert (actions.shape, actions.dtype) == ((2,), np.int64)


@pytest.mark.parametrize("steps", [1e3, np.float64(1000.0), np.float32(1000.0), np.int32(1000)])
def test_a_whole_float_is_a_number_of_steps(steps: Any) -> None:
    agent = QLearning("NChain-v0", seed=0).learn(steps)
    assert (type(agent.num_timesteps), agent.num_timesteps) == (int, 1000)
    learn_many([agent], steps)
    assert agent.num_timesteps == 2000
    called: list[int] = []

    def look(agent: Agent) -> None:
        called.append(agent.num_timesteps)

    agent.learn(1000, EveryNTimesteps(steps, look))
    assert called == [3000]
    assert StopAtConvergence(0.1, window=steps).window == 1000


def test_a_study_takes_a_whole_float_too() -> None:
    study = compare(["reward-sum"], seeds=2, steps=1e3, jobs=1)
    same = compare(["reward-sum"], seeds=2, steps=1000, jobs=1)
    assert study.results == same.results
    assert study.results[-1]["step"] == 1000


@pytest.mark.parametrize(
    "steps", [0, -5, 0.0, -1e3, 1e3 + 0.5, np.inf, np.nan, "1e3", True, None, 1 + 0j]
)
def test_what_is_no_number_of_steps_is_refused(steps: Any) -> None:
    message = "^total_timesteps must be an integer of at least 1, got "
    agent = QLearning("NChain-v0")
    with pytest.raises(ValueError, match=message):
        agent.learn(steps)
    assert agent.num_timesteps == 0
    with pytest.raises(ValueError, match=message):
        learn_many([], steps)
    with pytest.raises(ValueError, match=r"^steps must be an integer of at least 1, got "):
        compare(["reward-sum"], steps=steps)
