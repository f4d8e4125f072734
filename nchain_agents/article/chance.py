"""What chance allows: intervals, and whether two samples may come from the same source."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import comb

import numpy as np
from scipy.stats import binomtest, t

from nchain_env.mdp import FloatArray


def binomial_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a probability, after so many successes in so many trials.

    Source: Clopper & Pearson 1934, The use of confidence or fiducial limits illustrated in the
        case of the binomial, Biometrika 26.
    """
    interval = binomtest(successes, trials).proportion_ci(confidence_level=0.95, method="exact")
    return float(interval.low), float(interval.high)


def same_source(a: Sequence[int], b: Sequence[int]) -> float:
    """Return the p-value of two samples' counts in three classes, exactly.

    It is the probability, where both samples have the same source and the totals are given, of
    counts that are at most as likely as these.

    Source: Freeman & Halton 1951, Note on an exact treatment of contingency, goodness of fit and
        other problems of significance, Biometrika 38.
    """
    totals = [x + y for x, y in zip(a, b, strict=True)]
    size = sum(a)

    def ways(first: int, second: int) -> int:
        chosen = (first, second, size - first - second)
        if chosen[2] < 0:
            return 0
        # comb(n, k) is 0 for k > n
        return comb(totals[0], chosen[0]) * comb(totals[1], chosen[1]) * comb(totals[2], chosen[2])

    seen = ways(a[0], a[1])
    counts = (
        ways(first, second) for first in range(totals[0] + 1) for second in range(totals[1] + 1)
    )
    as_unlikely = sum(count for count in counts if count <= seen)
    return float(Fraction(as_unlikely, comb(sum(totals), size)))


def next_value_interval(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return where one more value lies with 95 % probability, if they are normal.

    Args:
        values: (N, ...) of N runs, at least 2.

    Source: Student's t; e.g. Hahn & Meeker 1991, Statistical Intervals, section 4.7.
    """
    n = len(values)
    reach = t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) * np.sqrt(1 + 1 / n)
    centre = values.mean(axis=0)
    return centre - reach, centre + reach
