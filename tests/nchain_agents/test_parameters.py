"""Odd values of parameters are refused by name, or give right answers: none crashes or hangs."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from table_learners import AGENTS as TABLE_AGENTS

import nchain_agents
from nchain_agents import (
    EveryNTimesteps,
    PosteriorSampling,
    QLearning,
    StopAfterEpisodes,
    StopAtConvergence,
    learn_many,
    score,
)
from nchain_agents.presets import named, presets_for, problem
from nchain_agents.schedules import epsilon_schedule

# Each kind of value that a program may pass by mistake, and the ends of what numbers can hold.
ODD: tuple[Any, ...] = (
    *(None, True, False, np.True_, float("nan"), float("inf"), -float("inf"), np.float32("inf")),
    *(0, -0.0, 1, -1, 2, 0.5, 3.7, 5e-324, -5e-324, 1e-308, 1e308, -1e308, sys.float_info.epsilon),
    *(10**12, -(10**12), 2**31, 2**53 + 1, 2**62, 2**63, 2**64, 10**400, -(10**400)),
    *(np.int8(3), np.int64(-2), np.uint64(2**64 - 1), np.float16(0.5), np.float32(0.1)),
    *(np.float64(0.25), np.longdouble(0.5), np.float64("nan"), np.array(2), np.array(0.5)),
    *(np.array([1, 2]), np.array([]), np.zeros((2, 2)), np.array(["a"]), np.array([None])),
    *("", "1", "nan", "auto", "NChain-v0\n", b"x", 1 + 2j, object(), print, float, Ellipsis),
    *([], [1], [None], [1, "a"], [10**12], [10**9, 10**9], [-0.0], [[1]], (), (0.0, 1.0)),
    *((1.0, 0.0), (-1e308, 1e308), (float("nan"), 0), range(3), {1, 2}, {}, {1: 2}, {"n": None}),
    *({"initial": None, "decay": 1}, {"initial": 1, "decay": float("nan")}),
    *({"initial": 1.0, "final": 0.1, "fraction": 5e-324}, {"initial": np.float32(1), "decay": 1}),
)


def tried(name: str, call: Callable[[Any], object], values: tuple[Any, ...] = ODD) -> list[Any]:
    """Return the values that are taken; the others must be refused by the parameter's name."""
    taken: list[Any] = []
    wrong: list[tuple[Any, Exception]] = []
    for value in values:
        try:
            call(value)
        except (ValueError, TypeError) as error:
            if not re.search(rf"\b({name})\b", str(error)):
                wrong.append((value, error))
        except Exception as error:
            wrong.append((value, error))
        else:
            taken.append(value)
    assert not wrong, (name, wrong)
    return taken


def chain(**parameters: Any) -> gym.Env[Any, Any]:
    return gym.make("NChain-v0", max_episode_steps=5, **parameters)


def parameters_of(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "env"]


def learns(agent: Any) -> None:
    """Learn a little; everything that came of it must be finite."""
    agent.learn(12)
    assert agent.num_timesteps == 12
    assert np.isfinite(agent.knowledge()).all()
    assert np.isfinite(agent.total_reward)
    actions, _ = agent.predict([0, 4])
    assert set(actions) <= {0, 1}


@pytest.mark.parametrize("kind", TABLE_AGENTS)
def test_table_agents_take_numbers_and_refuse_the_rest_by_name(kind: Any, tmp_path: Path) -> None:
    env = chain()
    for name in parameters_of(kind):
        if name == "tensorboard_log":  # a string is a folder
            continue
        if name == "rewards":  # two words, none of them odd
            with pytest.raises(ValueError, match="rewards must be 'learned' or 'known'"):
                kind(env, rewards=np.array(["learned"]))
            continue

        def make(value: Any, name: str = name) -> None:
            agent = kind(env, **{"compiled": False, name: value})
            # what runs compiled gives the same bits, and is only slower to begin
            agent.compiled = False
            learns(agent)
            agent.save(tmp_path / "agent")

        taken = tried(name, make)
        assert bool(taken) != (name == "variant"), name  # again two words


@pytest.mark.parametrize("kind", TABLE_AGENTS)
def test_an_env_that_is_none_is_refused_by_name(kind: Any) -> None:
    assert tried("env", kind) == ["NChain-v0\n"]  # a label is split at white space
    with pytest.raises(ValueError, match="env must be the id of an environment, got 'NChian-v0'"):
        kind("NChian-v0")


def test_a_number_of_steps_is_checked_before_anything_is_learned() -> None:
    def learn(value: Any) -> None:
        agent = QLearning(chain(), compiled=False, seed=0)
        try:
            # one episode is enough to see that it is taken
            agent.learn(value, lambda _: False)
        finally:
            assert agent.num_timesteps in (0, 1, 2, 3, 5)
        assert agent.num_timesteps == min(int(value), 5)

    assert tried("total_timesteps", learn)


@pytest.mark.parametrize("method", ["predict", "q_values"])
@pytest.mark.parametrize("kind", [QLearning, PosteriorSampling])
def test_observations_that_are_no_states_are_refused(kind: Any, method: str) -> None:
    agent = kind(chain(), compiled=False, seed=0).learn(10)
    before = agent.q.tobytes()
    assert tried("observation", getattr(agent, method))
    assert agent.q.tobytes() == before


def test_callbacks_and_schedules_are_checked_when_they_are_made() -> None:
    makes: list[tuple[str, Callable[[Any], object]]] = [
        ("episodes", StopAfterEpisodes),
        ("tolerance", StopAtConvergence),
        ("window", lambda value: StopAtConvergence(0.1, value)),
        ("n_steps", lambda value: EveryNTimesteps(value, print)),
        ("epsilon", epsilon_schedule),
        ("epsilon", lambda value: epsilon_schedule({"initial": value, "decay": value})),
        (
            "epsilon",
            lambda value: epsilon_schedule({"initial": 1, "final": value, "fraction": value}),
        ),
        ("callback", lambda value: EveryNTimesteps(5, value)),
    ]
    for name, make in makes:
        assert 0 < len(tried(name, make)) < len(ODD), name


def test_functions_refuse_odd_arguments_by_name() -> None:
    env, agent = chain(), QLearning(chain(), compiled=False, seed=0)
    calls: list[tuple[str, Callable[[Any], object]]] = [
        ("problem", problem),
        ("agents", lambda value: named(value, {})),
        ("env_id", lambda value: presets_for(value, {})),
        ("parameters", lambda value: presets_for("NChain-v0", value)),
        ("agents", lambda value: learn_many(value, 5)),
        ("jobs", lambda value: learn_many([agent], 5, jobs=value)),
        ("total_timesteps", lambda value: learn_many([], value)),
        ("env", lambda value: score(agent, value)),
        ("model", lambda value: score(value, env)),
        ("episodes", lambda value: score(agent, env, episodes=value)),
    ]
    for name, call in calls:
        assert len(tried(name, call)) < len(ODD), name


class ReachedError(Exception):
    """All arguments were checked."""


def test_compare_refuses_odd_arguments_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def reached(*_: Any) -> Any:
        raise ReachedError

    from nchain_agents.study import conduct as module

    monkeypatch.setattr(module, "pending", reached)
    monkeypatch.chdir(tmp_path)
    for name in inspect.signature(nchain_agents.compare).parameters:
        if name in ("resume", "progress_bar"):  # anything is true or false
            continue

        def call(value: Any, name: str = name) -> None:
            given = {"agents": ["reward-sum"], "env": "NChain-v0", name: value}
            with pytest.raises(ReachedError):
                nchain_agents.compare(**given)

        # what is in them may be refused as what the environment does not take
        named = {"parameters": "parameters|env", "sweep": "sweep|env"}.get(name, name)
        assert len(tried(named, call, ODD[::3])) < len(ODD[::3]), name


def test_what_memory_cannot_hold_is_refused_by_name() -> None:
    class Wide(gym.Env[Any, Any]):
        def __init__(self, states: int) -> None:
            self.observation_space = gym.spaces.Discrete(states)
            self.action_space = gym.spaces.Discrete(2)

    for states in (10**12, 2**62):
        for kind in TABLE_AGENTS:
            with pytest.raises(ValueError, match=f"env must be small enough .* {states} states"):
                kind(Wide(states))
    # S (S + 1) A numbers
    with pytest.raises(ValueError, match=r"env must be small enough .* 10000000 states"):
        PosteriorSampling(Wide(10**7))


class Pays(gym.Env[Any, Any]):
    """Pays 1 in a step, and something else in one of them; episodes have five steps."""

    observation_space, action_space = gym.spaces.Discrete(3), gym.spaces.Discrete(2)

    def __init__(self, special: float, when: int = 8) -> None:
        self.special, self.when, self.steps = special, when, 0

    def reset(self, **_: Any) -> Any:
        self.elapsed = 0
        return 0, {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        self.elapsed += 1
        reward = self.special if self.steps == self.when else 1.0
        return 1, reward, self.elapsed == 5, False, {}


@pytest.mark.parametrize("kind", TABLE_AGENTS)
@pytest.mark.parametrize("reward", [float("nan"), float("inf"), 1e308, -1e308])
def test_rewards_that_cannot_be_added_up_stop_the_training(kind: Any, reward: float) -> None:
    agent = kind(Pays(reward), seed=0)
    with pytest.raises(ValueError, match=r"env gave the reward .* at step 8; it must be finite"):
        agent.learn(100)
    assert agent.num_timesteps == 7
    assert np.isfinite(agent.q).all()
    agent.learn(6)  # goes on in a new episode
    assert list(agent.episode_returns) == [5.0, 5.0]
    assert agent.total_reward == 11.0


def test_a_table_of_rewards_that_cannot_be_added_up_is_refused_at_construction() -> None:
    pytest.importorskip("numba", reason="needs the agents extra")
    env = gym.make("FrozenLake-v1")
    model: Any = env.unwrapped
    model.P[14][2] = [(1.0, 15, 1e308, True)]
    for kind in TABLE_AGENTS:
        with pytest.raises(ValueError, match=r"^reward must be at most 1e\+300"):
            kind(env, compiled=True)


@pytest.mark.parametrize("kind", TABLE_AGENTS)
def test_the_largest_rewards_are_learned_from(kind: Any) -> None:
    agent = kind(Pays(1e280), seed=0).learn(50)
    assert np.isfinite(agent.q).all()
    assert agent.total_reward == 1e280


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Building a network says that all parameters have been taken."""
    pytest.importorskip("keras", reason="needs the keras or the jax extra")
    from nchain_agents.deep import networks

    def reached(*_: Any) -> Any:
        raise ReachedError

    monkeypatch.setattr(networks, "multilayer_perceptron", reached)


@pytest.mark.usefixtures("no_network")
def test_keras_dqn_refuses_odd_values_by_name_before_a_network_is_built() -> None:
    from nchain_agents import KerasDQN

    env = chain()
    for name in parameters_of(KerasDQN):
        if name in ("model", "optimizer", "loss", "activation", "tensorboard_log"):
            continue

        def make(value: Any, name: str = name) -> None:
            with pytest.raises(ReachedError):
                KerasDQN(env, **{name: value})

        assert tried(name, make), name
    for name in ("model", "optimizer", "loss", "activation"):
        for value in ODD:
            if value is not None:
                with pytest.raises((ValueError, ReachedError), match=f"{name}|^$"):
                    KerasDQN(env, **{name: value})


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    "parameters",
    [
        {"buffer_size": 10**12},
        {"batch_size": 10**12},
        {"n_steps": 10**12},
        {"gradient_steps": 10**12},
        {"train_freq": 10**12, "gradient_steps": -1},
        {"net_arch": [10**9, 10**9]},
        {"net_arch": [10**12]},
    ],
    ids=str,
)
def test_keras_dqn_refuses_sizes_that_memory_cannot_hold(parameters: dict[str, Any]) -> None:
    from nchain_agents import KerasDQN

    with pytest.raises(ValueError, match=f"{next(iter(parameters))} must be small enough"):
        KerasDQN("NChain-v0", **parameters)
