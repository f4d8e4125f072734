"""The rule of the game against a table written out by hand and a rule written a second time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nchain_env import chain_mdp
from nchain_env.problems.chain import BACKWARD, FORWARD

SLIPS = st.floats(0, 1) | st.sampled_from([0.0, 1.0, 0.2, 0.5, 5e-324, np.nextafter(1, 0)])
REWARDS = st.floats(-1e300, 1e300)


def executed(n: int, state: int, action: int, small: float, large: float) -> tuple[int, float]:
    """What one executed action does, in the words of the rule."""
    if action == 1:
        return 0, small
    if state == n - 1:
        return state, large
    return state + 1, 0.0


def test_the_default_chain_is_the_five_states_of_the_literature() -> None:
    forward = [(1, 0.0), (2, 0.0), (3, 0.0), (4, 0.0), (4, 10.0)]
    backward = (0, 2.0)
    mdp = chain_mdp()
    assert mdp.next_state.tolist() == [
        [[backward[0], go[0]], [go[0], backward[0]]] for go in forward
    ]
    assert mdp.reward.tolist() == [[[backward[1], go[1]], [go[1], backward[1]]] for go in forward]
    assert mdp.probability.tolist() == [[[0.2, 0.8], [0.2, 0.8]]] * 5
    assert not mdp.terminated.any()
    assert mdp.initial.tolist() == [1, 0, 0, 0, 0]


def test_a_chain_of_three_states_is_the_table_written_out() -> None:
    assert chain_mdp(3, slip=0.25, small=-1, large=7).P == {
        0: {
            0: [(0.25, 0, -1.0, False), (0.75, 1, 0.0, False)],
            1: [(0.25, 1, 0.0, False), (0.75, 0, -1.0, False)],
        },
        1: {
            0: [(0.25, 0, -1.0, False), (0.75, 2, 0.0, False)],
            1: [(0.25, 2, 0.0, False), (0.75, 0, -1.0, False)],
        },
        2: {
            0: [(0.25, 0, -1.0, False), (0.75, 2, 7.0, False)],
            1: [(0.25, 2, 7.0, False), (0.75, 0, -1.0, False)],
        },
    }


def test_a_chain_of_one_state_pays_large_for_forward_and_small_for_backward() -> None:
    assert chain_mdp(1, slip=0.0, small=2, large=10).P == {
        0: {
            0: [(0.0, 0, 2.0, False), (1.0, 0, 10.0, False)],
            1: [(0.0, 0, 10.0, False), (1.0, 0, 2.0, False)],
        }
    }


def test_forward_is_action_0_and_backward_action_1() -> None:
    assert (FORWARD, BACKWARD) == (0, 1)


@given(n=st.integers(1, 12), slip=SLIPS, small=REWARDS, large=REWARDS)
def test_every_outcome_is_that_of_the_executed_action(
    n: int, slip: float, small: float, large: float
) -> None:
    mdp = chain_mdp(n, slip, small, large)
    assert mdp.next_state.shape == (n, 2, 2)
    for state in range(n):
        for action in range(2):
            outcomes = zip(
                mdp.probability[state, action],
                mdp.next_state[state, action],
                mdp.reward[state, action],
                mdp.terminated[state, action],
                strict=True,
            )
            slipped = (slip, *executed(n, state, 1 - action, small, large), False)
            chosen = (1 - slip, *executed(n, state, action, small, large), False)
            assert list(outcomes) == [slipped, chosen]
    assert mdp.initial.tolist() == [1.0] + [0.0] * (n - 1)


@given(slip=SLIPS)
@example(slip=np.nextafter(0.5, 0))
@example(slip=2.0**-54)
@example(slip=3 * 2.0**-54)
def test_the_cumulative_probabilities_end_at_exactly_one(slip: float) -> None:
    cumulative = chain_mdp(2, slip).cumulative
    assert (cumulative[:, :, 0] == slip).all()
    assert (cumulative[:, :, 1] == 1.0).all()


@given(n=st.integers(1, 300))
def test_the_chain_has_the_states_asked_for(n: int) -> None:
    mdp = chain_mdp(n)
    assert (mdp.num_states, mdp.num_actions) == (n, 2)


N = "n must be an integer of at least 1"
SLIP = "slip must be a number in [0, 1]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"n": value}, N) for value in (0, -1, 2.5, True, "5", math.nan, None, [5], 5.0)]
    + [
        ({"slip": value}, SLIP)
        for value in (-0.1, 1.1, math.nan, math.inf, "x", None, True, False, 10**400)
    ]
    + [
        ({name: value}, f"{name} must be a number in [-1e+300, 1e+300]")
        for name in ("small", "large")
        for value in (
            math.inf,
            -math.inf,
            math.nan,
            "x",
            None,
            True,
            [1.0],
            10**400,
            1e308,
            -1.1e300,
        )
    ],
)
def test_a_bad_parameter_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        chain_mdp(**arguments)
    (value,) = arguments.values()
    assert str(caught.value) == f"{message}, got {value!r}"
