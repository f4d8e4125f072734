"""How many steps it takes to reach a state."""

from __future__ import annotations

import math

import numpy as np

from nchain_env.bellman import RealArray, backup, check_table, model_of, outcomes_of
from nchain_env.mdp import BoolArray, IntArray, TabularMDP
from nchain_env.planning.elimination import (
    DIRECT_STATES,
    EQUAL,
    Dtype,
    doubles,
    eliminate,
    few_enough,
    totals,
    with_enough_range,
)


def diameter(mdp: TabularMDP) -> float:
    """Return the diameter: the most steps that it takes to get from one state to another.

    That is the largest expected number of steps over all pairs of states, each with the policy that
    makes it smallest. It is infinite if a state cannot be reached with certainty from another one,
    as where all actions of a state may terminate, and 0 with one state.

    Args:
        mdp: The process. With more than 1,000 states, it must be one in which all actions of a
            state may terminate. The computing time grows with the number of states to the power of
            three to four: seconds for 100 to 200 states.

    Returns:
        The diameter D, with a relative error of at most 1e-12 D plus the rounding error.

    Raises:
        ValueError: There are more than 1,000 states, or a probability is so close to 0 that the
            time spent in a state overflows.

    Source: Jaksch, Ortner & Auer 2010, Near-optimal Regret Bounds for Reinforcement Learning,
        definition 1 (JMLR 11).
    """
    check_table(mdp)
    if mdp.num_states == 1:
        return 0.0
    outcomes = outcomes_of(mdp, None)
    # A policy that may terminate before it reaches a state does not reach it with certainty.
    safe = (outcomes.probability * outcomes.terminated).sum(axis=0) == 0
    if not safe.any(axis=0).all():
        return math.inf
    few_enough(mdp, DIRECT_STATES, "diameter")
    leads = (outcomes.probability > 0) & safe
    approaches = [_approach(leads, outcomes.next_state, s) for s in range(mdp.num_states)]
    if any(approach is None for approach in approaches):
        return math.inf

    def longest(dtype: Dtype) -> float:
        return max(
            _shortest_time(mdp, safe, policy, target, dtype)
            for target, policy in enumerate(approaches)
            if policy is not None
        )

    return with_enough_range(longest)


def _approach(leads: BoolArray, next_state: IntArray, target: int) -> IntArray | None:
    """Return a policy that reaches `target` with certainty from all states, or None.

    Args:
        leads: (K, A, S) whether an outcome is possible, of an action that does not terminate.
        next_state: (K, A, S).
        target: The state to reach.
    """
    states = next_state.shape[-1]
    steps = np.full(states, states)  # the smallest number of steps, of which there may be more
    steps[target] = 0
    while True:
        nearest = np.where(leads, steps[next_state], states).min(axis=0)
        fewer = np.minimum(steps, nearest.min(axis=0) + 1)
        if (fewer == steps).all():
            return nearest.argmin(axis=0) if steps.max() < states else None
        steps = fewer


def _shortest_time(
    mdp: TabularMDP, safe: BoolArray, policy: IntArray, target: int, dtype: Dtype
) -> float:
    """Return the largest expected time to `target` over all states, by policy iteration.

    Args:
        mdp: The process.
        safe: (A, S) whether an action does not terminate.
        policy: A policy that reaches `target` with certainty.
        target: The state to reach.
        dtype: Doubles or long doubles.
    """
    model = model_of(outcomes_of(mdp, None, dtype), 1.0)
    model = model._replace(reward=np.where(safe, 1.0, np.inf))

    def shorter(time: RealArray) -> RealArray:
        times = backup(model, time)
        times[:, target] = 0
        return times

    while True:
        outcomes = outcomes_of(mdp, policy, dtype)
        terminated = outcomes.terminated.copy()
        terminated[:, target] = True
        one = np.ones(mdp.num_states, dtype)
        one[target] = 0
        time = totals(eliminate(outcomes._replace(terminated=terminated)), one)
        times = shorter(time)
        if (time - times.min(axis=0)).max() <= EQUAL * time.max():
            return float(doubles(time).max())
        # Times of a policy only become shorter, so the actions chosen reach the target, too.
        for _ in range(10):
            times = shorter(times.min(axis=0))
        policy = times.argmin(axis=0)
