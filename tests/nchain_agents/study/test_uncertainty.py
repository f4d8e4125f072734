"""The statistics across seeds, against hand-computed samples, SciPy, enumeration and simulation."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import trapezoid
from scipy.stats import PermutationMethod, binomtest, mannwhitneyu, trim_mean

from nchain_agents.study.uncertainty import (
    RESAMPLES,
    improvement_interval,
    interquartile_mean,
    interval,
    p_value,
    performance_profile,
    probability_of_improvement,
)

STATISTICS: list[Callable[..., Any]] = [np.mean, np.median, interquartile_mean]
WORLDS = {  # what a seed's value is drawn from
    "normal": lambda rng, size: rng.normal(size=size),
    "skewed": lambda rng, size: rng.exponential(size=size),
}


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ends(given: tuple[float, float] | None) -> tuple[float, float]:
    assert given is not None
    return given


# --- the interquartile mean


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.0], 7.0),
        ([1, 2, 6], 3.0),  # too few to cut: all three
        ([100, 1, 3, -50], 2.0),  # 1 and 3
        ([100, 2, 3, 1, 0], 2.0),  # one from each end: 1, 2, 3
        ([8, 1, 7, 2, 6, 3, 5, 4], 4.5),  # 3, 4, 5, 6
        ([[9, 1], [2, 8]], 5.0),  # pooled: 2 and 8
    ],
)
def test_the_interquartile_mean_is_the_mean_of_the_middle_half(
    values: Any, expected: float
) -> None:
    mean = interquartile_mean(values)
    assert type(mean) is float
    assert mean == expected


def test_the_interquartile_mean_can_be_taken_of_each_row() -> None:
    rows = [[8, 1, 7, 2, 6, 3, 5, 4], [0, 0, 0, 0, 4, 4, 4, 4]]
    np.testing.assert_array_equal(interquartile_mean(rows, axis=1), [4.5, 2.0])


@pytest.mark.parametrize("n", range(1, 30))
def test_the_interquartile_mean_is_the_sum_its_formula_says_and_scipys(n: int) -> None:
    values = seeded(n).normal(size=n)
    k = math.floor(n / 4)
    by_hand = math.fsum(sorted(values)[k : n - k]) / (n - 2 * k)
    assert interquartile_mean(values) == pytest.approx(by_hand, rel=1e-12)
    assert interquartile_mean(values) == pytest.approx(trim_mean(values, 0.25), rel=1e-12)


# --- intervals


def every_resample(strata: Sequence[Sequence[float]]) -> np.ndarray[Any, Any]:
    """Return all equally probable stratified resamples, pooled: (prod n_i^n_i, sum n_i)."""
    each = [list(itertools.product(stratum, repeat=len(stratum))) for stratum in strata]
    return np.array([list(itertools.chain(*parts)) for parts in itertools.product(*each)])


def brackets(values: Any, level: float, found: float) -> bool:
    """Return whether `found` can be the quantile of 9,999 draws from equally probable values.

    The share of draws below a value has a standard deviation of at most 0.005: four of them.
    """
    ordered = np.sort(values)
    low, high = np.clip([level - 0.02, level + 0.02], 0, 1)
    below = ordered[max(0, math.ceil(low * len(ordered)) - 1)]
    above = ordered[min(len(ordered) - 1, math.floor(high * len(ordered)))]
    return bool(below - 1e-12 <= found <= above + 1e-12)


def test_three_seeds_have_27_resamples_whose_quantiles_are_the_interval() -> None:
    # Means of the resamples of 0, 3, 9: 0 (1 of 27), 1 (3), 2 (3), 3 (4: 3,3,3 and 0,0,9), ...,
    # 7 (3), 9 (1). The 10 % of draws lie within the 1's, the 90 % within the 7's: 23 of 27 up to 6.
    assert interval([[0, 3, 9]], np.mean, seeded(), confidence=0.8) == (1.0, 7.0)
    # 95 %: 0 and 9 have 3.7 % each, more than the 2.5 % outside
    assert interval([[0, 3, 9]], np.mean, seeded()) == (0.0, 9.0)


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("confidence", [0.3, 0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize(
    "strata",
    [
        [[0.3, 1.0, 4.0]],
        [[2.0, 2.0, 5.0, -1.0]],
        [[0.0, 1.0], [100.0, 103.0, 110.0]],  # resampled across strata, it would be far wider
        [[0.0, 1.0], [0.5, 0.6], [7.0, 3.0, 3.0]],
    ],
)
def test_an_interval_is_the_quantiles_of_all_stratified_resamples(
    strata: list[list[float]], confidence: float, statistic: Callable[..., Any]
) -> None:
    values = statistic(every_resample(strata), axis=1)
    low, high = ends(interval(strata, statistic, seeded(1), confidence))
    assert brackets(values, (1 - confidence) / 2, low)
    assert brackets(values, (1 + confidence) / 2, high)


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95])
@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([[1, 4]], [[2, 3, 5]]),
        ([[1, 3, 3]], [[3, 2, 0]]),
        ([[1, 4], [0, 2]], [[3, 2], [1, 1, 2]]),
    ],
)
def test_an_improvements_interval_is_the_quantiles_of_all_stratified_resamples(
    x: list[list[float]], y: list[list[float]], confidence: float
) -> None:
    by_stratum = []
    for a, b in zip(x, y, strict=True):
        draws = itertools.product(every_resample([a]), every_resample([b]))
        by_stratum.append([wins(c, d) for c, d in draws])
    values = [float(sum(each) / len(x)) for each in itertools.product(*by_stratum)]
    low, high = ends(improvement_interval(x, y, seeded(2), confidence))
    assert brackets(values, (1 - confidence) / 2, low)
    assert brackets(values, (1 + confidence) / 2, high)


def test_one_seed_in_a_stratum_leaves_no_interval() -> None:
    assert interval([[3.0]], np.mean, seeded()) is None
    assert interval([[1, 2, 3], [3.0]], np.mean, seeded()) is None
    assert improvement_interval([[1, 2]], [[3.0]], seeded()) is None
    assert improvement_interval([[3.0]], [[1, 2]], seeded()) is None


@pytest.mark.parametrize("statistic", STATISTICS)
def test_equal_values_have_an_interval_of_no_width(statistic: Callable[..., Any]) -> None:
    assert interval([[2.5] * 5], statistic, seeded()) == (2.5, 2.5)
    low, high = ends(interval([[99.91] * 5, [99.91] * 3], statistic, seeded()))
    assert low == high == pytest.approx(99.91)
    assert improvement_interval([[2.5] * 5], [[2.5] * 4], seeded()) == (0.5, 0.5)


def test_agents_that_never_overlap_have_an_improvement_of_one_however_few_the_seeds() -> None:
    assert improvement_interval([[3, 4]], [[1, 2]], seeded()) == (1.0, 1.0)
    assert improvement_interval([[1, 2]], [[3, 4]], seeded()) == (0.0, 0.0)


def test_an_interval_is_two_plain_floats() -> None:
    for found in (
        interval([[1, 2, 4]], np.mean, seeded()),
        improvement_interval([[1, 2, 4]], [[1, 3]], seeded()),
    ):
        assert [type(end) for end in ends(found)] == [float, float]


def test_equal_generators_give_equal_results() -> None:
    x, y = seeded(5).normal(size=(2, 2, 12))

    def everything(rng: np.random.Generator) -> list[Any]:
        intervals = [interval(x, statistic, rng) for statistic in STATISTICS]
        return [*intervals, improvement_interval(x, y, rng), p_value(x, y, rng), rng.random()]

    assert everything(seeded(3)) == everything(seeded(3))
    assert everything(seeded(3)) != everything(seeded(4))


# How often percentile intervals of 95 % cover the truth, by number of seeds: 40,000 samples each,
# another program. Short of 95 % because resamples spread as n - 1, and for want of a seen tail.
COVERAGE = {
    ("normal", np.mean): {5: 0.836, 10: 0.903, 20: 0.928},
    ("skewed", np.mean): {5: 0.784, 10: 0.865, 20: 0.904},
    ("normal", interquartile_mean): {5: 0.902, 10: 0.937, 20: 0.942},
    ("skewed", interquartile_mean): {5: 0.899, 10: 0.935, 20: 0.943},
}
TRUTH = {
    ("normal", np.mean): 0.0,
    ("skewed", np.mean): 1.0,
    ("normal", interquartile_mean): 0.0,
    # 2 x exp(-x), integrated from log(4 / 3) to log(4)
    ("skewed", interquartile_mean): 1 + math.log(4) - 1.5 * math.log(3),
}


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [5, 10, 20])
@pytest.mark.parametrize(("world", "statistic"), COVERAGE)
def test_intervals_cover_the_truth_as_often_as_percentile_intervals_do(
    world: str, statistic: Callable[..., Any], seeds: int
) -> None:
    rng = seeded(11)
    trials, covered = 1000, 0
    for _ in range(trials):
        low, high = ends(interval([WORLDS[world](rng, seeds)], statistic, rng))
        covered += low <= TRUTH[world, statistic] <= high
    assert binomtest(covered, trials, COVERAGE[world, statistic][seeds]).pvalue > 0.001


# --- the probability of improvement


def wins(a: Any, b: Any) -> Fraction:
    return Fraction(sum(2 * (v > w) + (v == w) for v in a for w in b), 2 * len(a) * len(b))


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([[1]], [[2]], 0.0),
        ([[2]], [[2]], 0.5),
        ([[1, 3]], [[2, 2]], 0.5),
        ([[5, 2, 3]], [[3, 1]], 0.75),  # 2 + 1 + (1 + 1 / 2) of 6
        ([[5, 2, 3], [0]], [[3, 1], [1]], 0.375),  # strata count alike: (0.75 + 0) / 2
        ([[1], [1], [2]], [[2], [2], [1]], 1 / 3),
    ],
)
def test_an_improvement_is_the_share_of_pairs_won_as_a_mean_over_strata(
    x: list[list[float]], y: list[list[float]], expected: float
) -> None:
    found = probability_of_improvement(x, y)
    assert type(found) is float
    assert found == expected


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 5), (5, 5), (20, 7)])
def test_an_improvement_is_mann_and_whitneys_u(n: int, m: int, tied: bool) -> None:
    rng = seeded(n)
    x, y = (rng.integers(4, size=k) if tied else rng.normal(size=k) for k in (n, m))
    u = mannwhitneyu(x, y, method="exact").statistic
    assert probability_of_improvement([x], [y]) == pytest.approx(u / (n * m), rel=1e-12)


# --- the p-value


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([[1]], [[2]], 1),  # one of two, and the other
        ([[1, 2]], [[3, 4]], 1 / 3),  # two of the six ways
        ([[6, 7, 8, 9, 10]], [[1, 2, 3, 4, 5]], 2 / 252),
        # Ranks 1, 2, 3.5, 3.5, 5: two of them sum to 6 on average, Y's to 4.5. As far from 6 are
        # 1 + 2, twice 1 + 3.5 and twice 3.5 + 5, of ten.
        ([[5, 2, 3]], [[3, 1]], 5 / 10),
        ([[1, 2], [1, 2]], [[3, 4], [3, 4]], 2 / 36),
        ([[1, 2], [3, 4]], [[3, 4], [1, 2]], 1),  # ahead here, behind there
        # +-1/2, and 1/2, 0 or -1/2: two of the six sums are +-1
        ([[1], [2, 3]], [[0], [1]], 2 / 6),
    ],
)
def test_the_p_value_is_the_share_of_ways_as_far_apart(
    x: list[list[float]], y: list[list[float]], expected: float
) -> None:
    found = p_value(x, y, seeded())
    assert type(found) is float
    assert found == expected


@pytest.mark.parametrize("n", [1, 3, 5, 30])
def test_agents_that_tie_everywhere_do_not_differ(n: int) -> None:
    assert p_value([[99.91] * n], [[99.91] * n], seeded()) == 1


def test_counting_all_ways_draws_nothing() -> None:
    rng = seeded()
    p_value([[1, 2, 3]], [[2, 3, 4]], rng)
    assert rng.bit_generator.state == seeded().bit_generator.state


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("n", "m"), [(2, 7), (5, 5), (6, 4)])
def test_the_p_value_of_one_stratum_is_scipys(n: int, m: int, seed: int) -> None:
    rng = seeded(seed)
    x, y = rng.normal(size=n), rng.normal(size=m)
    expected = mannwhitneyu(x, y, method="exact").pvalue
    assert p_value([x], [y], rng) == pytest.approx(expected, rel=1e-12)
    # With ties SciPy counts permutations too; equal numbers, for there its two tails are alike
    x, y = rng.integers(5, size=(2, min(n, m)))
    expected = mannwhitneyu(x, y, method=PermutationMethod()).pvalue
    assert p_value([x], [y], rng) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize(("n", "m"), [(8, 8), (30, 10), (40, 40)])
def test_drawn_permutations_agree_with_the_exact_distribution(n: int, m: int, shift: float) -> None:
    rng = seeded(n)
    x, y = rng.normal(size=n) + shift, rng.normal(size=m)
    expected = mannwhitneyu(x, y, method="exact").pvalue
    deviation = math.sqrt(expected * (1 - expected) / RESAMPLES)
    off = p_value([x], [y], rng) - float(expected)
    # the seen one counts, so a probability is never zero: 1 / 10,000 more
    assert abs(off) <= 4 * deviation + 1 / (RESAMPLES + 1)


@pytest.mark.parametrize(
    "deals",  # what X is dealt of 0, ..., 9 in each of three strata
    [
        ([0, 1, 2, 8, 9], [1, 3, 5, 7, 9], [2, 3, 4, 6, 8]),
        ([2, 3, 6, 8, 9], [1, 4, 6, 7, 9], [3, 4, 5, 7, 8]),
        ([3, 5, 7, 8, 9], [2, 4, 6, 8, 9], [0, 5, 6, 7, 9]),
    ],
)
def test_drawn_permutations_agree_with_the_exact_distribution_of_three_strata(
    deals: tuple[list[int], ...],
) -> None:
    one = Counter(sum(deal) for deal in itertools.combinations(range(10), 5))
    ways: Counter[int] = Counter()  # 252^3 of them, by their sum
    for sums in itertools.product(one, repeat=3):
        ways[sum(sums)] += math.prod(one[each] for each in sums)
    far = abs(sum(map(sum, deals)) - 67.5)  # 22.5 a stratum on average
    expected = sum(n for total, n in ways.items() if abs(total - 67.5) >= far) / 252**3
    others = [[i for i in range(10) if i not in deal] for deal in deals]
    deviation = math.sqrt(expected * (1 - expected) / RESAMPLES)
    found = p_value(deals, others, seeded(13))
    assert abs(found - expected) <= 4 * deviation + 1 / (RESAMPLES + 1)


def test_drawn_permutations_never_give_zero() -> None:
    assert p_value([np.arange(50)], [np.arange(50, 100)], seeded()) == 1 / (RESAMPLES + 1)


def test_drawn_permutations_stay_within_strata() -> None:
    # One agent is a little better in each world, and the worlds are far apart
    rng = seeded(8)
    worlds = 100 * np.arange(8)[:, np.newaxis]
    x, y = worlds + rng.uniform(1, 2, size=(8, 3)), worlds + rng.uniform(0, 1, size=(8, 3))
    assert p_value(x, y, rng) == 1 / (RESAMPLES + 1)  # 2 / 20^8 exactly
    assert p_value([x.ravel()], [y.ravel()], rng) > 0.2


def test_five_seeds_err_exactly_as_often_as_their_ranks_allow() -> None:
    # U <= 2 or U >= 23 of 25 in 8 of the 252 ways; U = 3 would make it 14, more than 5 %
    rng = seeded(9)
    trials = 2000
    errors = sum(p_value(x, y, rng) <= 0.05 for x, y in rng.normal(size=(trials, 2, 1, 5)))
    assert binomtest(errors, trials, 8 / 252).pvalue > 0.01


def test_ties_and_strata_do_not_make_the_test_err_more_often() -> None:
    rng = seeded(10)
    trials = 1000
    samples = rng.integers(4, size=(trials, 2, 3, 3)) + 10 * np.arange(3)[:, np.newaxis]
    errors = sum(p_value(x, y, rng) <= 0.05 for x, y in samples)
    assert binomtest(errors, trials, 0.05, alternative="greater").pvalue > 0.01
    assert errors > 0.02 * trials  # nor is it blind


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_drawn_permutations_err_in_five_of_a_hundred(world: str) -> None:
    rng = seeded(12)
    trials = 1000
    samples = WORLDS[world](rng, (trials, 2, 1, 10))
    errors = sum(p_value(x, y, rng) <= 0.05 for x, y in samples)
    assert binomtest(errors, trials, 0.05, alternative="greater").pvalue > 0.01
    assert errors > 0.02 * trials


# --- the performance profile


@pytest.mark.parametrize(
    ("strata", "expected"),
    [
        ([[10.0]], [1.0, 1.0, 0.0]),
        ([[10, 5, 5, 20]], [1.0, 0.5, 0.25]),  # larger, not as large
        ([[10, 5, 5, 20], [0, 30]], [0.75, 0.5, 0.375]),  # strata count alike
    ],
)
def test_a_profile_is_the_share_of_runs_above_each_threshold(
    strata: list[list[float]], expected: list[float]
) -> None:
    np.testing.assert_array_equal(performance_profile(strata, [0, 5, 10]), expected)


def test_the_area_under_a_profile_is_the_mean() -> None:
    # of values in [0, 100], as Agarwal et al. 2021 note of theirs
    values = seeded(3).uniform(0, 100, size=(3, 7))
    levels = np.linspace(0, 100, 20_001)
    profile = performance_profile(values, levels)
    assert trapezoid(profile, levels) == pytest.approx(values.mean(), abs=0.01)


# --- properties

NUMBERS = st.integers(-20, 20).map(float)  # few enough that there are ties
STRATUM = st.lists(NUMBERS, min_size=2, max_size=5)
STRATA = st.lists(STRATUM, min_size=1, max_size=3)
SMALL = st.lists(NUMBERS, min_size=1, max_size=3)
PAIRS = st.lists(st.tuples(SMALL, SMALL), min_size=1, max_size=2)
some = settings(max_examples=30, deadline=None)


def sides(pairs: list[tuple[list[float], list[float]]]) -> tuple[Any, Any]:
    return [x for x, _ in pairs], [y for _, y in pairs]


@some
@given(STRATA, st.sampled_from(STATISTICS), st.randoms(use_true_random=False))
def test_the_order_of_the_seeds_does_not_matter(
    strata: list[list[float]], statistic: Callable[..., Any], random: Any
) -> None:
    shuffled = [random.sample(stratum, len(stratum)) for stratum in strata]
    assert interval(strata, statistic, seeded()) == interval(shuffled, statistic, seeded())
    other = [[1.0, 2.0, 3.0]] * len(strata)
    for function in (improvement_interval, p_value):
        assert function(strata, other, seeded()) == function(shuffled, other, seeded())
    assert interquartile_mean(strata[0]) == pytest.approx(interquartile_mean(shuffled[0]))


@some
@given(STRATA, st.sampled_from(STATISTICS), st.floats(-100, 100), st.floats(0.01, 100))
def test_shifting_and_scaling_the_values_shifts_and_scales_the_interval(
    strata: list[list[float]], statistic: Callable[..., Any], shift: float, scale: float
) -> None:
    moved = [[shift + scale * value for value in stratum] for stratum in strata]
    expected = [shift + scale * end for end in ends(interval(strata, statistic, seeded()))]
    assert ends(interval(moved, statistic, seeded())) == pytest.approx(expected, abs=1e-8)


@some
@given(STRATA, st.sampled_from(STATISTICS))
def test_more_confidence_takes_a_wider_interval_within_the_values(
    strata: list[list[float]], statistic: Callable[..., Any]
) -> None:
    low, high = ends(interval(strata, statistic, seeded(), 0.5))
    lower, higher = ends(interval(strata, statistic, seeded(), 0.99))
    assert min(map(min, strata)) <= lower <= low <= high <= higher <= max(map(max, strata))


@some
@given(PAIRS)
def test_what_one_agent_wins_the_other_loses(pairs: list[tuple[list[float], list[float]]]) -> None:
    x, y = sides(pairs)
    ahead = probability_of_improvement(x, y)
    assert ahead == pytest.approx(float(sum(wins(a, b) for a, b in pairs) / len(pairs)))
    assert ahead + probability_of_improvement(y, x) == pytest.approx(1)


@some
@given(PAIRS)
def test_the_p_value_is_what_dealing_out_the_values_in_all_ways_gives(
    pairs: list[tuple[list[float], list[float]]],
) -> None:
    def ways(x: list[float], y: list[float]) -> list[Fraction]:
        values, seats = x + y, range(len(x) + len(y))
        return [
            wins([values[i] for i in mine], [values[i] for i in seats if i not in mine])
            for mine in itertools.combinations(seats, len(x))
        ]

    half = Fraction(len(pairs), 2)
    seen = abs(sum(wins(a, b) for a, b in pairs) - half)
    dealt = list(itertools.product(*(ways(a, b) for a, b in pairs)))
    as_far = sum(abs(sum(each) - half) >= seen for each in dealt)
    x, y = sides(pairs)
    found = p_value(x, y, seeded())
    assert found == as_far / len(dealt)
    assert found == p_value(y, x, seeded())


@some
@given(st.lists(NUMBERS, min_size=10, max_size=10), st.lists(NUMBERS, min_size=10, max_size=10))
def test_the_drawn_p_value_is_the_same_seen_from_the_other_side(
    x: list[float], y: list[float]
) -> None:
    found = p_value([x], [y], seeded())
    assert found == p_value([y], [x], seeded())
    assert 1 / (RESAMPLES + 1) <= found <= 1


@some
@given(PAIRS)
def test_only_the_order_of_the_values_decides_between_agents(
    pairs: list[tuple[list[float], list[float]]],
) -> None:
    x, y = sides(pairs)
    a, b = ([[value**3 for value in stratum] for stratum in side] for side in (x, y))
    assert probability_of_improvement(a, b) == probability_of_improvement(x, y)
    assert p_value(a, b, seeded()) == p_value(x, y, seeded())


# --- refusals


def refusal(function: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the tests compare the whole message
        function(*args, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    "value", [[], math.nan, [1.0, math.nan], [math.inf], ["a"], None, [[1], []]]
)
def test_only_finite_numbers_have_statistics(value: Any) -> None:
    message = f"must hold finite numbers, at least one, got {value!r}"
    assert refusal(interquartile_mean, value) == f"values {message}"
    assert refusal(interval, [[1, 2], value], np.mean, seeded()) == f"strata[1] {message}"
    for function in (improvement_interval, p_value):
        assert refusal(function, [value], [[1]], seeded()) == f"x[0] {message}"
        assert refusal(function, [[1], [2]], [[1], value], seeded()) == f"y[1] {message}"
    assert refusal(probability_of_improvement, [[1]], [value]) == f"y[0] {message}"
    assert refusal(performance_profile, [value], [0]) == f"strata[0] {message}"
    assert refusal(performance_profile, [[1]], value) == f"thresholds {message}"


def test_there_is_at_least_one_stratum() -> None:
    message = "must have at least one stratum, got []"
    assert refusal(interval, [], np.mean, seeded()) == f"strata {message}"
    assert refusal(p_value, [], [], seeded()) == f"x {message}"
    assert refusal(probability_of_improvement, [[1]], []) == f"y {message}"


def test_a_stratum_is_one_dimensional() -> None:
    message = "must be one-dimensional, one value a seed, got"
    assert refusal(interval, [1.0, 2.0], np.mean, seeded()) == f"strata[0] {message} 1.0"
    assert refusal(p_value, [[1]], [[[1]]], seeded()) == f"y[0] {message} [[1]]"


def test_two_agents_have_the_same_strata() -> None:
    message = "y must have as many strata as x, which has 2, got 1"
    for function in (improvement_interval, p_value):
        assert refusal(function, [[1], [2]], [[1]], seeded()) == message
    assert refusal(probability_of_improvement, [[1], [2]], [[1]]) == message


@pytest.mark.parametrize("confidence", [0, 1, -0.5, 95, math.nan, True, "0.95", None])
def test_a_confidence_lies_between_zero_and_one(confidence: Any) -> None:
    message = f"confidence must be a number in (0, 1), got {confidence!r}"
    assert refusal(interval, [[1, 2]], np.mean, seeded(), confidence) == message
    assert refusal(interval, [[1]], np.mean, seeded(), confidence) == message
    assert refusal(improvement_interval, [[1, 2]], [[1, 2]], seeded(), confidence) == message
