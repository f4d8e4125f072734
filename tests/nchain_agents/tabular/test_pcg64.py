"""PCG64 in machine code against NumPy's."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nchain_agents import QLearning
from nchain_agents.tabular import pcg64
from nchain_agents.tabular.loop import Transition
from nchain_agents.tabular.q_learning import update as learn

numba = pytest.importorskip("numba", reason="needs the agents extra")
pcg64.register()


@numba.njit  # type: ignore[untyped-decorator]
def draws(number: int, one: Any, other: Any) -> Any:
    """Draw from two generators in turn."""
    drawn = np.empty((number, 2))
    for i in range(number):
        drawn[i, 0] = one.random()
        drawn[i, 1] = other.random()
    return drawn


@settings(deadline=None, derandomize=True, max_examples=50)
@given(seeds=st.tuples(st.integers(0, 2**128), st.integers(0, 2**128)), number=st.integers(0, 300))
def test_the_numbers_and_the_state_after_them_are_numpys(
    seeds: tuple[int, int], number: int
) -> None:
    ours = [np.random.default_rng(seed) for seed in seeds]
    theirs = [np.random.default_rng(seed) for seed in seeds]
    ours[0].integers(7, dtype=np.uint32)  # half a number is left, and stays
    theirs[0].integers(7, dtype=np.uint32)
    drawn = pcg64.call(draws, (number,), ours)
    assert drawn.tolist() == [[rng.random() for rng in theirs] for _ in range(number)]
    assert [rng.bit_generator.state for rng in ours] == [rng.bit_generator.state for rng in theirs]


def test_one_generator_under_two_names_stays_one() -> None:
    rng, same = np.random.default_rng(0), np.random.default_rng(0)
    assert pcg64.call(draws, (5,), (rng, rng)).ravel().tolist() == same.random(10).tolist()
    assert rng.random() == same.random()


@pytest.mark.parametrize("bits", [np.random.MT19937, np.random.SFC64, np.random.PCG64DXSM])
def test_other_bit_generators_draw_their_own_numbers(bits: Any) -> None:
    rng, same = np.random.Generator(bits(3)), np.random.Generator(bits(3))
    pcg = np.random.default_rng(1), np.random.default_rng(1)
    drawn = pcg64.call(draws, (20,), (rng, pcg[0]))
    assert drawn[:, 0].tolist() == same.random(20).tolist()
    assert drawn[:, 1].tolist() == pcg[1].random(20).tolist()
    assert (rng.random(), pcg[0].random()) == (same.random(), pcg[1].random())


def update(tables: Any, settings: Any, transition: Transition, epsilon: float, rng: Any) -> None:
    """Q-learning that now and then forgets a value, by a method that PCG64 here does not have."""
    if rng.standard_normal() > 1.0:
        tables.q[transition.state, transition.action] = 0.0
    learn(tables, settings, transition, epsilon, rng)


class Forgetful(QLearning):
    update = staticmethod(update)


@pytest.mark.slow
def test_a_rule_may_draw_other_than_uniform_numbers() -> None:
    compiled = Forgetful("NChain-v0", seed=0, compiled=True).learn(3000)
    stepped = Forgetful("NChain-v0", seed=0, compiled=False).learn(3000)
    assert compiled.q.tolist() == stepped.q.tolist()
    assert compiled.np_random.bit_generator.state == stepped.np_random.bit_generator.state
