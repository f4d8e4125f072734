"""The table as pure functions of JAX follows the table."""

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit

from nchain_env import TabularMDP, chain_mdp

pytest.importorskip("jax", reason="needs the jax extra")
pytest.importorskip("scipy", reason="needs the jax extra")

import jax
from gymnasium.envs.functional_jax_env import FunctionalJaxEnv, FunctionalJaxVectorEnv
from scipy.stats import chisquare

from nchain_env.functional import TabularFuncEnv

DRAWS = 20_000


def random_mdp() -> TabularMDP:
    """A table with terminal outcomes, start states of probability 0, and impossible outcomes."""
    rng = np.random.default_rng(0)
    shape = (4, 3, 5)
    probability = rng.dirichlet(np.ones(5), size=shape[:2])
    probability[:, :, [0, 2, 4]] *= rng.random((4, 3, 3)) < 0.5
    probability /= probability.sum(axis=-1, keepdims=True)
    return TabularMDP(
        rng.integers(4, size=shape),
        probability,
        rng.normal(size=shape),
        rng.random(shape) < 0.3,
        np.array([0.0, 0.25, 0.75, 0.0]),
    )


def one_state(probability: list[float]) -> TabularMDP:
    """One state, one action, and outcomes that differ in their probability alone."""
    shape = (1, 1, len(probability))
    return TabularMDP(
        np.zeros(shape, np.int64),
        np.reshape(probability, shape),
        np.zeros(shape),
        np.zeros(shape, np.bool_),
        np.ones(1),
    )


TABLES: dict[str, Callable[[], TabularMDP]] = {
    "chain": chain_mdp,
    "three outcomes": lambda: TabularMDP.from_env(gym.make("FrozenLake-v1")),
    "five outcomes": random_mdp,
    # ten times 0.1 is less than 1
    "rounded": lambda: one_state([0.1] * 10 + [0.0] * 2),
}


@pytest.fixture(params=TABLES)
def mdp(request: pytest.FixtureRequest) -> TabularMDP:
    return TABLES[request.param]()


def keys(seed: int, number: int) -> Any:
    return jax.random.split(jax.random.key(seed), number)


def fits(counts: Any, probability: Any) -> bool:
    """Whether counts are likely, and no impossible outcome occurred."""
    possible = probability > 0
    if (counts[~possible] > 0).any():
        return False
    expected = probability[possible] * counts.sum()
    return bool(possible.sum() == 1 or chisquare(counts[possible], expected).pvalue > 1e-4)


def test_outcomes_are_as_frequent_as_the_table_says(mdp: TabularMDP) -> None:
    env = TabularFuncEnv(mdp)
    states, actions, outcomes = mdp.next_state.shape
    start = mdp.next_state.size

    drawn = jax.jit(jax.vmap(env.transition, (None, None, 0)))
    for s in range(states):
        for a in range(actions):
            numbers = np.asarray(drawn(start + s, a, keys(1, DRAWS))) - (s * actions + a) * outcomes
            counts = np.bincount(numbers, minlength=outcomes)
            assert fits(counts, mdp.probability[s, a])


def test_episodes_begin_as_often_as_the_table_says(mdp: TabularMDP) -> None:
    env = TabularFuncEnv(mdp)
    begun = jax.jit(jax.vmap(env.initial))(keys(2, DRAWS))
    observed = np.asarray(jax.vmap(env.observation)(begun))
    assert fits(np.bincount(observed, minlength=mdp.num_states), mdp.initial)
    assert not jax.vmap(env.terminal)(begun).any()


def test_a_transition_has_the_rewards_and_ends_of_its_outcome(mdp: TabularMDP) -> None:
    env = TabularFuncEnv(mdp)
    key = jax.random.key(3)
    places = np.argwhere(mdp.probability > 0)
    for number, (s, a, k) in zip(np.flatnonzero(mdp.probability > 0), places, strict=True):
        assert env.observation(number) == mdp.next_state[s, a, k]
        assert env.reward(0, a, number, key) == np.float32(mdp.reward[s, a, k])
        assert env.terminal(number, key) == mdp.terminated[s, a, k]


def test_compiled_and_vectorised_it_gives_the_same(mdp: TabularMDP) -> None:
    env = TabularFuncEnv(mdp)
    number = 10
    each = keys(4, number)
    actions = np.arange(number) % mdp.num_actions
    begun = [env.initial(key) for key in each]
    reached = [
        env.transition(*arguments) for arguments in zip(begun, actions.tolist(), each, strict=True)
    ]
    for compiled in (jax.vmap, lambda function: jax.jit(jax.vmap(function))):
        assert compiled(env.initial)(each).tolist() == begun
        assert compiled(env.transition)(np.array(begun), actions, each).tolist() == reached
        for function in (env.observation, env.terminal):
            assert compiled(function)(np.array(reached)).tolist() == [
                function(state).item() for state in reached
            ]
    assert {value.dtype for value in begun + reached} == {np.dtype(np.int32)}


def test_numbers_of_single_precision_would_not_do() -> None:
    """A probability of 2^-30 is not rounded to a multiple of what single precision holds."""
    env = TabularFuncEnv(one_state([1 - 2.0**-30, 2.0**-30]))

    def bits(high: int, low: int) -> Any:
        return lambda *_: jax.numpy.array([high, low], jax.numpy.uint32)

    with pytest.MonkeyPatch.context() as patch:
        for high, low, outcome in (
            (2**32 - 1, 2**32 - 1, 1),
            (2**32 - 1, 2**31 + 2**30 + 2**29 + 2**28, 1),
            (2**32 - 1, 2**31 + 2**30 + 2**29 + 2**28 - 1, 0),
            (2**32 - 1 - 64, 2**32 - 1, 0),
            (0, 0, 0),
        ):
            patch.setattr(jax.random, "bits", bits(high, low))
            assert env.transition(0, 0, None) == outcome


def test_it_is_an_environment_of_gymnasium() -> None:
    mdp = TabularMDP.from_env(gym.make("FrozenLake-v1"))
    env = TimeLimit(FunctionalJaxEnv(TabularFuncEnv(mdp)), 50)
    rng = np.random.default_rng(0)
    ended = {"by a hole or the goal": 0, "by the limit": 0}
    state = int(env.reset(seed=0)[0])
    for _ in range(500):
        action = int(rng.integers(4))
        observation, reward, terminated, truncated, _ = env.step(action)
        outcomes = mdp.P[state][action]
        assert (int(observation), reward, terminated) in [tuple(rest) for _, *rest in outcomes]
        ended["by a hole or the goal"] += terminated
        ended["by the limit"] += truncated
        state = int(env.reset()[0] if terminated or truncated else observation)
    assert ended["by a hole or the goal"] > 20


def test_it_is_a_vector_environment_of_gymnasium() -> None:
    mdp = chain_mdp()
    envs: Any = FunctionalJaxVectorEnv(TabularFuncEnv(mdp), 1000)
    before = np.asarray(envs.reset(seed=0)[0])
    slips = 0
    for step in range(20):
        actions = np.full(1000, step % 2)
        reached, rewards, terminated, truncated, _ = envs.step(actions)
        slipped = np.asarray(reached) == mdp.next_state[before, actions, 0]
        expected = np.where(slipped, mdp.reward[before, actions, 0], mdp.reward[before, actions, 1])
        assert np.array_equal(rewards, expected)
        assert not (terminated | truncated).any()
        slips, before = slips + int(slipped.sum()), np.asarray(reached)
    assert fits(np.array([slips, 20_000 - slips]), np.array([0.2, 0.8]))


def test_rewards_beyond_single_precision_are_refused() -> None:
    with pytest.raises(ValueError, match="mdp must have rewards that are finite in single"):
        TabularFuncEnv(chain_mdp(large=1e39))


def test_without_jax_it_says_what_is_missing() -> None:
    code = "import sys; sys.modules['jax'] = None; import nchain_env; import nchain_env.functional"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert re.search(r"needs JAX, run `pip install .*\[jax\]'`", run.stderr)
