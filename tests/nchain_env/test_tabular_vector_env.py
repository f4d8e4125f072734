"""TabularVectorEnv beside SyncVectorEnv: on toy-text's environments, and on tables of all kinds."""

import itertools
from collections import Counter
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.toy_text import FrozenLakeEnv
from gymnasium.vector import SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from nchain_env import NChainEnv, TabularEnv, TabularMDP, TabularVectorEnv
from nchain_env.vector_env import AutoresetMode

MODES = list(AutoresetMode)
pytestmark = pytest.mark.skipif(
    not hasattr(gym.vector, "AutoresetMode"), reason="Gymnasium 1.0 has one autoreset mode"
)
# Deterministic but for Taxi's start
GAMES: list[tuple[str, dict[str, Any]]] = [
    ("FrozenLake-v1", {"is_slippery": False, "max_episode_steps": 7}),
    ("CliffWalking-v1", {"max_episode_steps": 30}),
    ("NChain-v0", {"slip": 0.0, "max_episode_steps": 9}),
]


def both(name: str, num_envs: int, mode: AutoresetMode, **kwargs: Any) -> tuple[Any, Any]:
    ours = TabularVectorEnv.from_env(name, num_envs, autoreset_mode=mode, **kwargs)
    theirs = SyncVectorEnv([lambda: gym.make(name, **kwargs)] * num_envs, autoreset_mode=mode)
    return ours, theirs


def assert_same_step(ours: Any, theirs: Any) -> None:
    for one, other in zip(ours[:-1], theirs[:-1], strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    told, expected = ours[-1], theirs[-1]
    for name in ("prob", "_prob", "final_obs", "_final_obs", "_final_info"):
        assert (name in told) == (name in expected)
        if name in told:
            assert told[name].tolist() == expected[name].tolist()
    if "final_info" in told:
        assert told["final_info"]["prob"].tolist() == expected["final_info"]["prob"].tolist()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "kwargs"), GAMES)
def test_deterministic_environments_step_as_in_sync_vector_env(
    name: str, kwargs: dict[str, Any], mode: AutoresetMode
) -> None:
    ours, theirs = both(name, 5, mode, **kwargs)
    assert_same_step(ours.reset(seed=1), theirs.reset(seed=1))
    actions = np.random.default_rng(2).integers(0, ours.single_action_space.n, (300, 5))
    ended = 0
    for row in actions:
        step = ours.step(row)
        assert_same_step(step, theirs.step(row))
        over = step[2] | step[3]
        ended += over.sum()
        if mode is AutoresetMode.DISABLED and over.any():
            resets = [env.reset(options={"reset_mask": over.copy()}) for env in (ours, theirs)]
            np.testing.assert_array_equal(resets[0][0], resets[1][0])
    assert ended > 20


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("name", "kwargs"), [("FrozenLake-v1", {}), ("Taxi-v4", {}), ("CliffWalking-v1", {})]
)
def test_one_environment_has_the_trajectory_of_stepping_it(
    name: str, kwargs: dict[str, Any], mode: AutoresetMode
) -> None:
    kwargs = {"max_episode_steps": 40, **kwargs}
    ours, theirs = both(name, 1, mode, **kwargs)
    assert_same_step(ours.reset(seed=8), theirs.reset(seed=8))
    actions = np.random.default_rng(4).integers(0, ours.single_action_space.n, (400, 1))
    for row in actions:
        step = ours.step(row)
        assert_same_step(step, theirs.step(row))
        if mode is AutoresetMode.DISABLED and (step[2] | step[3]).any():
            mask = {"reset_mask": np.array([True])}
            assert ours.reset(options=mask)[0] == theirs.reset(options=dict(mask))[0]


@pytest.mark.parametrize("name", ["FrozenLake-v1", "Taxi-v4"])
def test_transitions_of_many_have_the_probabilities_of_the_table(name: str) -> None:
    chisquare = pytest.importorskip("scipy.stats", reason="needs the agents extra").chisquare
    num_envs, steps = 2000, 50
    kwargs: dict[str, Any] = {"is_rainy": True} if name == "Taxi-v4" else {}
    env = TabularVectorEnv.from_env(name, num_envs, autoreset_mode="SameStep", **kwargs)
    states, _ = env.reset(seed=6)
    counts: Counter[tuple[int, int, int]] = Counter()
    actions = np.random.default_rng(7).integers(0, env.mdp.num_actions, (steps, num_envs))
    for row in actions:
        following, _, _, _, infos = env.step(row)
        reached = following.copy()
        if "final_obs" in infos:
            mask = infos["_final_obs"]
            reached[mask] = infos["final_obs"][mask].astype(np.int64)
        counts.update(zip(states.tolist(), row.tolist(), reached.tolist(), strict=True))
        states = following
    rows: dict[tuple[int, int], Counter[int]] = {}
    for (s, a, s_next), number in counts.items():
        rows.setdefault((s, a), Counter())[s_next] = number
    p_values = []
    for (s, a), seen in rows.items():
        chances: dict[int, float] = {}
        for probability, s_next, _, _ in env.P[s][a]:
            chances[s_next] = chances.get(s_next, 0.0) + probability
        assert set(seen) <= {s_next for s_next, chance in chances.items() if chance > 0}
        total = sum(seen.values())
        expected = {s_next: total * chance for s_next, chance in chances.items() if chance > 0}
        if len(expected) > 1 and min(expected.values()) >= 5:
            observed = [seen[s_next] for s_next in expected]
            p_values.append(chisquare(observed, list(expected.values())).pvalue)
    assert len(p_values) > 20
    # the smallest of many, by Bonferroni
    assert min(p_values) * len(p_values) > 1e-3


@st.composite
def tables(draw: st.DrawFn) -> TabularMDP:
    num_states, num_actions = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    shape = num_states, num_actions, draw(st.integers(1, 6))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    probability = generator.dirichlet(np.ones(shape[2]), shape[:2])
    if draw(st.booleans()):  # outcomes without a probability, and rows that do not reach 1
        probability = np.round(probability, 1)
        probability[..., 0] += 1 - probability.sum(axis=-1)
        probability = np.abs(probability) / np.abs(probability).sum(axis=-1, keepdims=True)
    probability *= draw(st.sampled_from([1.0, 1 - 5e-10]))
    initial = generator.dirichlet(np.ones(num_states))
    return TabularMDP(
        generator.integers(0, num_states, shape),
        probability,
        generator.normal(size=shape).round(2),
        generator.random(shape) < draw(st.sampled_from([0.0, 0.3])),
        initial,
    )


class Scripted:
    """Stands in for a generator whose uniform numbers are known beforehand."""

    def __init__(self, numbers: list[float]) -> None:
        self.numbers = itertools.cycle(numbers)

    def random(self, size: Any = None, out: Any = None) -> Any:
        if out is not None:
            out[:] = [next(self.numbers) for _ in out]
            return out
        if size is None:
            return next(self.numbers)
        return np.array([next(self.numbers) for _ in range(size)])


# The largest number that a generator draws, and those around
EXTREME = [0.0, 1 - 2.0**-53, 1 - 1e-10, 0.5]


@settings(deadline=None, derandomize=True, max_examples=150)
@given(mdp=tables(), mode=st.sampled_from(MODES), seed=st.integers(0, 99), extreme=st.booleans())
def test_any_table_is_sampled_as_by_stepping_one(
    mdp: TabularMDP, mode: AutoresetMode, seed: int, extreme: bool
) -> None:
    ours = TabularVectorEnv(mdp, max_episode_steps=4, autoreset_mode=mode)
    single = gym.wrappers.TimeLimit(TabularEnv(mdp), 4)
    theirs = SyncVectorEnv([lambda: single], autoreset_mode=mode)
    ours.reset(seed=seed)
    theirs.reset(seed=seed)
    if extreme:
        ours.np_random = Scripted(EXTREME)  # type: ignore[assignment]
        single.unwrapped.np_random = Scripted(EXTREME)  # type: ignore[assignment]
    for action in np.random.default_rng(seed).integers(0, mdp.num_actions, 30):
        step = ours.step([action])
        assert_same_step(step, theirs.step(np.array([action])))
        if mode is AutoresetMode.DISABLED and (step[2] | step[3]).any():
            mask = {"reset_mask": np.array([True])}
            assert ours.reset(options=mask)[0] == theirs.reset(options=dict(mask))[0]


@settings(deadline=None, derandomize=True, max_examples=100)
@given(mdp=tables(), seed=st.integers(0, 99))
def test_one_environment_steps_as_toy_text_does(mdp: TabularMDP, seed: int) -> None:
    """FrozenLake's own step and reset, on this table."""
    theirs: Any = FrozenLakeEnv()
    theirs.P, theirs.initial_state_distrib = mdp.P, mdp.initial
    ours = TabularEnv(mdp)
    assert ours.reset(seed=seed)[0] == theirs.reset(seed=seed)[0]
    for action in np.random.default_rng(seed).integers(0, mdp.num_actions, 30).tolist():
        assert ours.step(action) == theirs.step(action)


def test_environments_whose_step_is_not_their_table_are_refused() -> None:
    with pytest.raises(ValueError, match="fickle passenger"):
        TabularVectorEnv.from_env("Taxi-v4", fickle_passenger=True)
    wrapped = gym.wrappers.TransformReward(gym.make("FrozenLake-v1"), lambda reward: -float(reward))
    with pytest.raises(ValueError, match="TransformReward"):
        TabularVectorEnv.from_env(wrapped)
    with pytest.raises(ValueError, match="CartPoleEnv has no `P`"):
        TabularVectorEnv.from_env("CartPole-v1")
    with pytest.raises(ValueError, match="is_slippery"):
        TabularVectorEnv.from_env(gym.make("FrozenLake-v1"), is_slippery=False)


def test_the_time_limit_is_that_of_the_environment() -> None:
    assert TabularVectorEnv.from_env("FrozenLake-v1").max_episode_steps == 100
    assert TabularVectorEnv.from_env(NChainEnv()).max_episode_steps is None
    given = TabularVectorEnv.from_env("FrozenLake-v1", max_episode_steps=3)
    assert given.max_episode_steps == 3


def test_where_the_probabilities_end_below_the_number_the_outcome_is_the_first() -> None:
    class Told(TabularVectorEnv):
        @staticmethod
        def outcome_info(probability: Any, outcome: Any) -> dict[str, Any]:
            return {"outcome": np.array(outcome)}

    rows = [[[0, 0]]], [[[0.5, 0.5 - 5e-10]]], [[[1.0, 2.0]]], [[[False] * 2]], [1.0]
    mdp = TabularMDP(*(np.array(row) for row in rows))
    env = Told(mdp, 3)
    env.reset(seed=0)
    env.np_random = Scripted([0.1, 0.9, 1 - 1e-10])  # type: ignore[assignment]
    _, rewards, _, _, infos = env.step([0, 0, 0])
    assert rewards.tolist() == [1.0, 2.0, 1.0]
    assert infos["outcome"].tolist() == [0, 1, 0]


def test_what_is_handed_out_may_be_written_to() -> None:
    env, spoiled = (TabularVectorEnv.from_env("FrozenLake-v1", 50) for _ in range(2))
    actions = np.random.default_rng(1).integers(0, 4, (40, 50))
    env.reset(seed=0)
    spoiled.reset(seed=0)
    for row in actions:
        result, other = env.step(row), spoiled.step(row.copy())
        assert_same_step(other, result)
        for array in (*other[:-1], other[-1]["prob"]):
            array[...] = 1
