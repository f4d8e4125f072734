"""The comparison with the best agent: Holm's adjustment, and how many seeds a difference takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from nchain_agents.study.best import LEVEL, beside_the_best, telling_seeds
from nchain_agents.study.uncertainty import RESAMPLES, holm, least_p_value, p_value

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- Holm's adjustment


@pytest.mark.parametrize(
    ("p_values", "tests", "expected"),
    [
        ([0.03], None, [0.03]),
        # in order 4 x 0.005, 3 x 0.01, 2 x 0.03, and 0.04, which is no less than the one before
        ([0.01, 0.04, 0.03, 0.005], None, [0.03, 0.06, 0.06, 0.02]),
        # as statsmodels' multipletests(..., method="holm") has it
        (
            [0.00216, 0.3, 0.0238, 0.0411, 0.0087, 0.0238],
            None,
            [0.01296, 0.3, 0.0952, 0.0952, 0.0435, 0.0952],
        ),
        ([0.5, 0.9], None, [1.0, 1.0]),
        ([0.01, 0.004], 3, [0.02, 0.012]),  # 3 x 0.004, 2 x 0.01; a third p-value is larger
        ([], 0, []),
    ],
)
def test_p_values_are_adjusted_by_hand(
    p_values: list[float], tests: int | None, expected: list[float]
) -> None:
    np.testing.assert_allclose(holm(p_values, tests), expected, rtol=1e-12)


@settings(max_examples=100, deadline=None)
@given(P_VALUES, st.floats(0.001, 0.999))
def test_what_is_below_a_level_is_what_holms_procedure_rejects_there(
    p_values: list[float], level: float
) -> None:
    # Holm 1979: reject the smallest if it is below level / k, the next below level / (k - 1), ...,
    # and stop where one is not
    left = sorted(range(len(p_values)), key=lambda i: p_values[i])
    rejected = set()
    while left and p_values[left[0]] * len(left) < level:
        rejected.add(left.pop(0))
    adjusted = holm(p_values)
    assert set(np.flatnonzero(adjusted < level)) == rejected
    # tests that were not made are as good as larger p-values
    assert (holm(p_values, len(p_values) + 3) >= adjusted).all()


@pytest.mark.parametrize("value", [[0.5, 1.1], [-0.1], [math.nan], 0.5, [[0.1]]])
def test_p_values_are_probabilities(value: object) -> None:
    with pytest.raises(ValueError, match="p_values must be a list of numbers in"):
        holm(value)  # type: ignore[arg-type]


def test_there_are_no_fewer_tests_than_p_values() -> None:
    with pytest.raises(ValueError, match="tests must be an integer of at least 2, got 1"):
        holm([0.1, 0.2], 1)


# --- too few seeds


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 3), (4, 4), (7, 5)])
def test_the_least_p_value_is_that_of_seeds_without_overlap(n: int, m: int) -> None:
    assert least_p_value(n, m) == 2 / math.comb(n + m, n)
    assert least_p_value(n, m) == p_value([np.arange(n)], [np.arange(n, n + m)], seeded())


def test_drawn_permutations_have_a_least_p_value_too() -> None:
    assert least_p_value(8, 8) == least_p_value(1000, 1000) == 1 / (RESAMPLES + 1)
    assert p_value([np.arange(20)], [np.arange(20, 40)], seeded()) == least_p_value(20, 20)


def apart(agents: int, seeds: int) -> dict[str, list[float]]:
    """Return values of agents that do not overlap, worst first."""
    return {f"agent {i}": [float(10 * i + seed) for seed in range(seeds)] for i in range(agents)}


@pytest.mark.parametrize(
    ("agents", "seeds"),
    [
        (2, 4),  # 2 / 20 with three each, 2 / 70 = 0.029 with four
        (3, 5),  # 3 x 2 / 70 = 0.086, 3 x 2 / 252 = 0.024
        (4, 5),  # 6 x 2 / 252 = 0.048
        (5, 6),  # 10 x 2 / 252 = 0.079, 10 x 2 / 924 = 0.022
        (9, 7),  # 36 x 2 / 924 = 0.078, 36 x 2 / 3432 = 0.021
    ],
)
def test_too_few_seeds_are_told_exactly_where_nothing_could_be_found(
    agents: int, seeds: int
) -> None:
    assert telling_seeds(agents) == seeds
    for number, enough in ((seeds - 1, False), (seeds, True)):
        found = beside_the_best(apart(agents, number), seeded())
        assert found is not None
        assert found["agent"] == f"agent {agents - 1}"
        assert len(found["than"]) == agents - 1
        for than in found["than"].values():
            assert than["separated"] is enough
            assert than["too_few_seeds"] is not enough
            assert (than["adjusted_p_value"] < LEVEL) is enough


def test_some_agents_may_have_too_few_seeds_and_others_enough() -> None:
    values = {"best": [10.0, 11, 12, 13, 14, 15], "failed": [1.0], "worse": [2.0, 3, 4, 5, 6, 7]}
    found = beside_the_best(values, seeded())
    assert found is not None
    # 3 x 2 / 924 = 0.006, then 2 x 2 / 7
    assert found["than"]["worse"]["adjusted_p_value"] == pytest.approx(6 / 924)
    assert found["than"]["failed"]["adjusted_p_value"] == pytest.approx(4 / 7)
    assert [than["too_few_seeds"] for than in found["than"].values()] == [True, False]


def test_seeds_that_overlap_are_enough_and_not_separated() -> None:
    values = {"a": [1.0, 3, 5, 7], "b": [0.0, 2, 4, 6]}
    found = beside_the_best(values, seeded())
    assert found is not None
    than = found["than"]["b"]
    assert (than["separated"], than["too_few_seeds"]) == (False, False)
    assert than["adjusted_p_value"] == than["p_value"]  # one test


def test_so_many_agents_that_no_number_of_seeds_is_enough() -> None:
    # C(32, 2) / 10,000 is 0.0496, C(33, 2) / 10,000 is 0.0528
    assert telling_seeds(32) is not None
    assert telling_seeds(33) is None
    assert telling_seeds(1) == 1


def errors(agents: int, samples: Sequence[np.ndarray]) -> int:
    """Return in how many studies of equal agents the best one is separated from another."""
    found = 0
    for sample in samples:
        best = beside_the_best({str(i): list(sample[i]) for i in range(agents)}, seeded())
        assert best is not None
        found += any(than["separated"] for than in best["than"].values())
    return found


@pytest.mark.slow
def test_equal_agents_are_separated_in_no_more_than_five_of_a_hundred_studies() -> None:
    trials, agents = 300, 5
    samples = list(seeded(21).normal(size=(trials, agents, 7)))
    found = errors(agents, samples)
    assert binomtest(found, trials, LEVEL, alternative="greater").pvalue > 0.01
    assert found > 0  # nor is it blind
