"""RiverSwim's table against the figures of the two papers, written out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from nchain_env.planning import diameter, optimal_gain, policy_iteration
from nchain_env.problems.river_swim import LEFT, RIGHT, river_swim_mdp


def test_the_default_is_the_river_of_strehl_and_littman() -> None:
    mdp = river_swim_mdp()
    assert (LEFT, RIGHT) == (0, 1)
    # (down, stay, up) of right
    expected = [[0, 0.7, 0.3], *[[0.1, 0.6, 0.3]] * 4, [0.7, 0.3, 0]]
    np.testing.assert_allclose(mdp.probability[:, RIGHT], expected, rtol=0, atol=1e-15)
    assert mdp.probability[:, LEFT].tolist() == [[1, 0, 0]] * 6
    for action in (LEFT, RIGHT):
        assert mdp.next_state[:, action].tolist() == [
            [0, 0, 1],
            [0, 1, 2],
            [1, 2, 3],
            [2, 3, 4],
            [3, 4, 5],
            [4, 5, 5],
        ]
    assert mdp.reward[0, LEFT].tolist() == [5, 5, 5]
    assert mdp.reward[5, RIGHT].tolist() == [0, 10_000, 0]  # not if it is swept down
    assert np.count_nonzero(mdp.reward) == 4
    assert not mdp.terminated.any()
    assert mdp.initial.tolist() == [0, 0.5, 0.5, 0, 0, 0]


def test_the_other_variant_is_the_river_of_osband_russo_and_van_roy() -> None:
    mdp = river_swim_mdp(variant="osband2013")
    expected = [[0, 0.4, 0.6], *[[0.05, 0.6, 0.35]] * 4, [0.4, 0.6, 0]]
    np.testing.assert_allclose(mdp.probability[:, RIGHT], expected, rtol=0, atol=1e-15)
    assert mdp.reward[0, LEFT].tolist() == [0.005] * 3
    assert mdp.reward[5, RIGHT].tolist() == [1, 1, 1]  # even if it is swept down
    assert np.count_nonzero(mdp.reward) == 6
    assert mdp.initial.tolist() == [1, 0, 0, 0, 0, 0]


def test_going_right_has_the_gain_of_a_birth_and_death_chain() -> None:
    # Detailed balance: p(s) up(s) = p(s + 1) down(s + 1).
    up, down = [0.6, 0.35, 0.35, 0.35, 0.35], [0.05, 0.05, 0.05, 0.05, 0.4]
    weights = np.cumprod([1, *(u / d for u, d in zip(up, down, strict=True))])
    mdp = river_swim_mdp(variant="osband2013")
    assert optimal_gain(mdp) == pytest.approx(weights[-1] / weights.sum(), abs=1e-14)
    assert policy_iteration(mdp, 0.99)[0].tolist() == [RIGHT] * 6
    # From state 0 to the last one: the time from s to s + 1 is (1 + down(s) time(s - 1)) / up(s).
    time = [1 / 0.6]
    for _ in range(4):
        time.append((1 + 0.05 * time[-1]) / 0.35)
    assert diameter(mdp) == pytest.approx(sum(time), abs=1e-12)


def test_every_number_can_be_given() -> None:
    mdp = river_swim_mdp(4, up=0.5, down=0.25, ends=0.125, small=-1, large=7)
    assert mdp.probability[:, RIGHT].tolist() == [
        [0, 0.875, 0.125],
        [0.25, 0.25, 0.5],
        [0.25, 0.25, 0.5],
        [0.875, 0.125, 0],
    ]
    assert mdp.reward[0, LEFT, 0] == -1
    assert mdp.reward[3, RIGHT].tolist() == [0, 7, 0]


@pytest.mark.parametrize("n", [3, 7, 300])
@pytest.mark.parametrize("variant", ["strehl2008", "osband2013"])
def test_the_cumulative_probabilities_end_at_exactly_one(n: int, variant: str) -> None:
    assert (river_swim_mdp(n, variant).cumulative[:, :, -1] == 1).all()


BAD: list[tuple[dict[str, Any], str]] = [
    ({"n": 2}, "n must be an integer of at least 3, got 2"),
    ({"n": 6.0}, "n must be an integer of at least 3, got 6.0"),
    ({"n": 10**12}, "n must be small enough for memory"),
    ({"variant": "x"}, "variant must be one of 'strehl2008', 'osband2013', got 'x'"),
    ({"up": 1.5}, "up must be a number in [0, 1], got 1.5"),
    ({"up": 0.95}, "down must be a number in [0, 0.05], got 0.1"),
    ({"ends": -0.1}, "ends must be a number in [0, 1], got -0.1"),
    ({"small": math.nan}, "small must be a number in [-1e+300, 1e+300], got nan"),
    ({"large": "x"}, "large must be a number in [-1e+300, 1e+300], got 'x'"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_a_bad_parameter_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        river_swim_mdp(**arguments)
    assert str(caught.value).startswith(message)
