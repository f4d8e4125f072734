from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import TimeLimit
from hypothesis import given
from hypothesis import strategies as st
from table_learners import Script

from nchain_agents.check.experience import Experience
from nchain_agents.check.recorder import Recorder, VectorRecorder
from nchain_env import TabularEnv, TabularVectorEnv, chain_mdp
from nchain_env.problems.random_mdp import random_mdp
from nchain_env.vector_env import AutoresetMode

MODES = list(AutoresetMode)
LIMIT = 7
COLUMNS = [field.name for field in fields(Experience) if not field.name.startswith("num_")]


def table(seed: int) -> Any:
    return random_mdp(4, 3, seed=seed, termination=0.1)


def limited(seed: int) -> gym.Env[Any, Any]:
    return TimeLimit(TabularEnv(table(seed)), LIMIT)


def rows(x: Experience, chosen: Any = slice(None)) -> list[tuple[Any, ...]]:
    return list(zip(*(getattr(x, name)[chosen].tolist() for name in COLUMNS), strict=True))


def played(seed: int, actions: Any) -> Experience:
    """The experience of one environment, reset after each end."""
    env = Recorder(limited(seed))
    env.reset(seed=seed)
    for action in actions:
        _, _, terminated, truncated, _ = env.step(int(action))
        if terminated or truncated:
            env.reset()
    return env.experience


def vector_played(envs: VectorRecorder, seed: Any, actions: Any) -> Experience:
    """The experience of a vector environment, where DISABLED with resets after each end."""
    envs.reset(seed=seed)
    for one in actions:
        _, _, terminated, truncated, _ = envs.step(one)
        ended = terminated | truncated
        if envs.metadata["autoreset_mode"] is AutoresetMode.DISABLED and ended.any():
            envs.reset(options={"reset_mask": ended})
    return envs.experience


VECTOR_FORMS: dict[str, Callable[[int, AutoresetMode], Any]] = {
    "TabularVectorEnv": lambda seed, mode: TabularVectorEnv(
        table(seed), 1, max_episode_steps=LIMIT, autoreset_mode=mode
    ),
    "SyncVectorEnv": lambda seed, mode: SyncVectorEnv(
        [partial(limited, seed)], autoreset_mode=mode
    ),
}


def test_a_recorder_gives_what_was_done_and_seen() -> None:
    env = Recorder(
        Script((1, 0.5, False, False), (2, 2.0, True, False), (1, 3.0, False, True)),
    )
    env.reset(seed=4)
    env.step(1)
    env.step(0)
    env.reset()
    env.step(1)
    x = env.experience
    assert (x.num_states, x.num_actions) == (3, 2)
    assert x.state.tolist() == [0, 1, 0]
    assert x.action.tolist() == [1, 0, 1]
    assert x.reward.tolist() == [0.5, 2.0, 3.0]
    assert x.next_state.tolist() == [1, 2, 1]
    assert x.seen_next.tolist() == [1, 0, 1]
    assert x.terminated.tolist() == [False, True, False]
    assert x.truncated.tolist() == [False, False, True]
    assert x.last.tolist() == [False, True, True]
    assert not x.ghost.any()
    assert (env.steps, env.seeds) == (3, [4, None])
    assert (env.illegal, env.past_the_end, env.abandoned) == ([], 0, 0)


def test_a_recorder_changes_nothing() -> None:
    env, recorded = limited(0), Recorder(limited(0))
    assert env.reset(seed=1) == recorded.reset(seed=1)
    for action in np.random.default_rng(0).integers(3, size=LIMIT):
        assert env.step(action) == recorded.step(action)


def test_steps_are_reported() -> None:
    told: list[int] = []
    env = Recorder(limited(0), told.append)
    env.reset(seed=0)
    for _ in range(3):
        env.step(0)
    assert told == [1, 2, 3]
    envs = VectorRecorder(TabularVectorEnv(chain_mdp(), 2, max_episode_steps=1), told.append)
    envs.reset(seed=0)
    for _ in range(3):  # the second one is a ghost step
        envs.step([0, 0])
    assert told[3:] == [2, 2, 4]


@pytest.mark.parametrize("action", [2, -1, 0.0, np.array([0]), None, "left"])
def test_an_illegal_action_is_recorded_before_it_is_refused(action: Any) -> None:
    env = Recorder(TabularEnv(chain_mdp()))
    env.reset(seed=0)
    with pytest.raises((ValueError, TypeError)):
        env.step(action)
    assert [repr(one) for one in env.illegal] == [repr(action)]
    assert env.steps == 0


def test_steps_past_the_end_are_counted() -> None:
    env = Recorder(limited(0))
    env.reset(seed=0)
    ends = [any(env.step(0)[2:4]) for _ in range(LIMIT)]
    assert ends[-1]
    after = LIMIT - 1 - ends.index(True)
    assert env.past_the_end == after
    env.step(0)
    assert env.past_the_end == after + 1
    env.reset()
    env.step(0)
    assert env.past_the_end == after + 1
    assert env.abandoned == 0


def test_a_step_before_the_first_reset_is_none_past_the_end() -> None:
    env = Recorder(TabularEnv(chain_mdp()))
    with pytest.raises(ResetNeeded):
        env.step(0)
    assert (env.past_the_end, env.steps) == (0, 0)
    assert env.experience.state.shape == (0,)


def test_a_reset_within_an_episode_begins_another_sequence() -> None:
    env = Recorder(TabularEnv(chain_mdp(n=3, slip=0.0, small=1.0)))
    env.reset(seed=0)
    env.step(1)
    env.step(0)
    env.reset()
    env.reset()  # nothing was done in between
    env.step(1)
    assert env.abandoned == 1
    x = env.experience
    assert x.state.tolist() == [0, 0, 0]
    assert x.next_state.tolist() == x.seen_next.tolist() == [0, 1, 0]
    assert x.last.tolist() == [False, True, True]
    assert x.previous_reward.tolist() == [0, 1, 0]


@pytest.mark.parametrize("form", VECTOR_FORMS)
@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED])
@given(seed=st.integers(0, 1000), steps=st.integers(0, 50))
def test_one_environment_of_a_vector_has_the_experience_of_an_environment(
    form: str, mode: AutoresetMode, seed: int, steps: int
) -> None:
    actions = np.random.default_rng(seed).integers(3, size=steps)
    envs = VectorRecorder(VECTOR_FORMS[form](seed, mode))
    x = vector_played(envs, seed, actions[:, None])
    assert rows(x) == rows(played(seed, actions))
    assert (envs.steps, envs.past_the_end, envs.abandoned) == (steps, 0, 0)


@pytest.mark.parametrize("form", VECTOR_FORMS)
@given(seed=st.integers(0, 1000), steps=st.integers(0, 50))
def test_in_next_step_mode_there_are_ghost_steps_in_addition(
    form: str, seed: int, steps: int
) -> None:
    actions = np.random.default_rng(seed).integers(3, size=steps)
    envs = VectorRecorder(VECTOR_FORMS[form](seed, AutoresetMode.NEXT_STEP))
    x = vector_played(envs, seed, actions[:, None])
    expected = played(seed, actions[~x.ghost])
    for name in ("state", "action", "reward", "next_state", "terminated", "truncated", "ended"):
        assert np.array_equal(getattr(x, name)[~x.ghost], getattr(expected, name))
    # A ghost step follows each end, from the final observation to the first one.
    assert x.ghost.tolist() == [False, *x.ended[:-1]][:steps]
    assert (x.reward[x.ghost] == 0).all()
    assert not x.ended[x.ghost].any()
    assert np.array_equal(x.state[1:], x.next_state[:-1])
    assert np.array_equal(x.seen_next, x.next_state)
    assert (envs.steps, envs.past_the_end) == (len(expected.state), 0)


@pytest.mark.parametrize("mode", MODES)
def test_no_step_of_several_environments_is_lost(mode: AutoresetMode) -> None:
    seeds, steps = [3, 5, 8], 60
    actions = np.random.default_rng(0).integers(3, size=(steps, 3))
    envs = VectorRecorder(
        SyncVectorEnv([partial(limited, seed) for seed in seeds], autoreset_mode=mode)
    )
    x = vector_played(envs, seeds, actions)
    assert envs.seeds[0] == (3, 5, 8)
    assert len(x.state) == 3 * steps
    for i, seed in enumerate(seeds):
        alone = VectorRecorder(SyncVectorEnv([partial(limited, seed)], autoreset_mode=mode))
        expected = vector_played(alone, seed, actions[:, [i]])
        assert rows(x, slice(i * steps, (i + 1) * steps)) == rows(expected)


@pytest.mark.parametrize("form", VECTOR_FORMS)
def test_steps_without_the_reset_that_disabled_mode_needs_are_counted(form: str) -> None:
    envs = VectorRecorder(VECTOR_FORMS[form](0, AutoresetMode.DISABLED))
    envs.reset(seed=0)
    while not envs.experience.ended.any():
        envs.step(np.array([0]))
    assert envs.past_the_end == 0
    with pytest.raises(AssertionError):
        envs.step(np.array([0]))
    assert envs.past_the_end == 1
    assert envs.experience.ended.tolist().index(True) == envs.steps - 1


@pytest.mark.parametrize(("actions", "illegal"), [([0, 7], [7]), ([-1, 5], [-1, 5]), ([0], [[0]])])
def test_illegal_actions_of_a_vector_are_recorded(actions: list[int], illegal: list[Any]) -> None:
    envs = VectorRecorder(TabularVectorEnv(chain_mdp(), 2))
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="actions must"):
        envs.step(actions)
    assert envs.illegal == illegal


def test_a_vector_is_reset_within_its_episodes() -> None:
    envs = VectorRecorder(TabularVectorEnv(chain_mdp(n=3, slip=0.0), 2))
    envs.reset(seed=0)
    envs.step([0, 0])
    envs.reset(options={"reset_mask": np.array([False, True])})
    envs.step([0, 0])
    assert envs.abandoned == 1
    x = envs.experience
    assert x.state.tolist() == [0, 1, 0, 0]
    assert x.last.tolist() == [False, True, True, True]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_an_agent_of_vectors_is_recorded_as_it_counts(mode: AutoresetMode) -> None:
    pytest.importorskip("keras", reason="needs the keras or the jax extra")
    from nchain_agents import KerasDQN

    mdp = table(0)
    inner = TabularVectorEnv(mdp, 3, max_episode_steps=LIMIT, autoreset_mode=mode)
    envs = VectorRecorder(inner)
    agent = KerasDQN(envs, seed=0).learn(120)
    x = envs.experience
    assert envs.steps == agent.num_timesteps == np.count_nonzero(~x.ghost)
    assert np.count_nonzero(x.ended) == len(agent.episode_returns)
    assert (envs.illegal, envs.past_the_end, envs.abandoned) == ([], 0, 0)
    # Every recorded step is an outcome of the table.
    real = ~x.ghost
    outcomes = list(zip(x.state[real], x.action[real], x.next_state[real], strict=True))
    assert all((s_next == mdp.next_state[s, a]).any() for s, a, s_next in outcomes)
