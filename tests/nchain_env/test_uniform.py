"""Uniform numbers as integers: the same comparisons and the same generator as `random`."""

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nchain_env import NChainEnv
from nchain_env.uniform import raw_uniform, thresholds

BIT_GENERATORS = [
    np.random.PCG64,
    np.random.PCG64DXSM,
    np.random.Philox,
    np.random.SFC64,
    np.random.MT19937,
]


@given(
    raw=st.integers(0, 2**64 - 1),
    probability=st.floats(0, 1) | st.integers(0, 2**53).map(lambda k: k / 2**53),
)
@example(raw=2**64 - 1, probability=1.0)
@example(raw=0, probability=0.0)
@example(raw=0, probability=5e-324)
@example(raw=1 << 11, probability=2.0**-53)
def test_raw_numbers_compare_as_the_numbers_do(raw: int, probability: float) -> None:
    assert (raw < thresholds(np.array([probability]))[0]) == ((raw >> 11) * 2.0**-53 < probability)


@pytest.mark.parametrize("bits", BIT_GENERATORS)
def test_raw_numbers_are_those_of_the_generator(bits: type) -> None:
    drawn, same = np.random.Generator(bits(3)), np.random.Generator(bits(3))
    raw = raw_uniform(drawn)
    assert [(raw() >> 11) * 2.0**-53 for _ in range(100)] == [same.random() for _ in range(100)]
    assert drawn.random() == same.random()


def walk(env: NChainEnv, actions: range) -> list[int]:
    return [env.step(k % 3 // 2)[0] for k in actions]


def expected(rng: np.random.Generator, state: int, actions: range) -> list[int]:
    """The chain by its definition: one number a step, a slip where it is below 0.2."""
    states = []
    for k in actions:
        forward = (k % 3 // 2 == 0) != (rng.random() < 0.2)
        state = min(state + 1, 4) if forward else 0
        states.append(state)
    return states


@pytest.mark.parametrize("bits", BIT_GENERATORS)
def test_an_assigned_generator_of_any_kind_decides_the_slips(bits: type) -> None:
    env = NChainEnv()
    env.reset(seed=0)
    before = walk(env, range(10))
    env.np_random = np.random.Generator(bits(7))
    assert walk(env, range(500)) == expected(np.random.Generator(bits(7)), before[-1], range(500))
    assert env.np_random.random() != np.random.Generator(bits(7)).random()


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))], ids=["copy", "pickle"]
)
def test_a_copy_draws_from_its_own_generator(copied: Callable[[NChainEnv], NChainEnv]) -> None:
    env = NChainEnv()
    env.reset(seed=0)
    walk(env, range(10))
    other = copied(env)
    state = other.np_random.bit_generator.state
    assert walk(other, range(300)) == walk(env, range(300))
    assert other.np_random.bit_generator.state == env.np_random.bit_generator.state != state
