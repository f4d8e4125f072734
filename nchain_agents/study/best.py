"""The comparison of the best agent with the others: which differences are more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb
from typing import Any

import numpy as np

from nchain_agents.study.uncertainty import (
    RESAMPLES,
    holm,
    improvement_interval,
    interquartile_mean,
    least_p_value,
    p_value,
    probability_of_improvement,
)

# Two agents differ where the adjusted p-value is below this.
LEVEL = 0.05


def telling_seeds(agents: int) -> int | None:
    """Return with how many seeds each the comparison with the best can find a difference.

    None: with no number, because so many agents would take more than `RESAMPLES` permutations.
    """
    pairs = comb(agents, 2)
    seeds = 1
    while pairs * least_p_value(seeds, seeds) >= LEVEL:
        if comb(2 * seeds, seeds) > RESAMPLES:
            return None
        seeds += 1
    return seeds


def beside_the_best(
    values: Mapping[str, Sequence[float]], rng: np.random.Generator
) -> dict[str, Any] | None:
    """Compare the agent of the largest interquartile mean with each of the others.

    The same seeds decide which agent that is, so each pair of agents might have been tested. The
    p-values are adjusted for the tests of all pairs.

    Args:
        values: One value for each seed, by agent.
        rng: What resamples and permutations are drawn from.

    Returns:
        The best agent, and what is known of it beside each of the others, ready for JSON; None
        where there are no agents.
    """
    if not values:
        return None
    best = max(values, key=lambda agent: interquartile_mean(values[agent]))
    others = [agent for agent in values if agent != best]
    tests = [([values[best]], [values[agent]]) for agent in others]
    p_values = [p_value(x, y, rng) for x, y in tests]
    least = [least_p_value(len(values[best]), len(values[agent])) for agent in others]
    pairs = comb(len(values), 2)
    adjusted = holm(p_values, pairs).tolist()
    # No adjusted p-value is smaller than it is where all p-values are as small as they can be.
    possible = holm(least, pairs) < LEVEL
    beside = {
        agent: {
            "probability_of_improvement": probability_of_improvement(x, y),
            "interval": improvement_interval(x, y, rng),
            "p_value": p_values[i],
            "adjusted_p_value": adjusted[i],
            "separated": adjusted[i] < LEVEL,
            "too_few_seeds": not possible[i],
        }
        for i, (agent, (x, y)) in enumerate(zip(others, tests, strict=True))
    }
    return {"agent": best, "than": beside}
