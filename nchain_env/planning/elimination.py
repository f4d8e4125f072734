"""Markov chains solved by eliminating one state after the other, without subtractions.

Source: Grassmann, Taksar, Heyman 1985, Regenerative analysis and steady state distributions for
    Markov chains.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from nchain_env.bellman import Outcomes, RealArray, matrix
from nchain_env.mdp import FloatArray, TabularMDP

# The largest number of states for which the gain is found by elimination, and the diameter.
DIRECT_STATES = 1000
# Two values are taken to be equal if they differ by this part of the largest one.
EQUAL = 1e-12

Dtype = type[np.floating[Any]]
T = TypeVar("T")


class Eliminated(NamedTuple):
    """A Markov chain after the elimination of its states, from the last one to the first.

    table: (S, 2 + S): when a state s is eliminated, the time spent from a visit of s to the next
        visit of a state up to s, the probability of ending in it, and the probabilities that it
        leads to the states up to s. The entries of the states after s belong to their elimination.
    leaving: (S,) the probability of leaving a state when it is eliminated. It is 0 in one state of
        each recurrent class, the first one.
    """

    table: RealArray
    leaving: RealArray


def eliminate(outcomes: Outcomes) -> Eliminated:
    """Eliminate the states of a Markov chain, (J, S), one after the other.

    To eliminate a state, transitions to it are replaced by transitions to the states that follow
    it, and the time spent there is added to theirs. There are no subtractions, so that all
    probabilities keep their relative precision.
    """
    probability, _, next_state, terminated = outcomes
    states = next_state.shape[-1]
    ends = (probability * terminated).sum(axis=0)
    visit = np.stack([np.ones(states, ends.dtype), ends], axis=1)
    table = np.hstack([visit, matrix(probability * ~terminated, next_state)])
    leaving = np.empty(states, ends.dtype)
    for s in reversed(range(states)):
        to_s = table[:s, s + 2]
        leaving[s] = table[s, 1] + table[s, 2 : s + 2].sum()
        rows = np.flatnonzero(to_s)
        if leaving[s] == 0:
            table[:s, 1] += to_s
        elif 4 * len(rows) < s:
            table[rows, : s + 2] += np.outer(to_s[rows] / leaving[s], table[s, : s + 2])
        else:
            table[:s, : s + 2] += np.outer(to_s / leaving[s], table[s, : s + 2])
    return Eliminated(table, leaving)


def gains_of(chain: Eliminated, reward: RealArray) -> RealArray:
    """Return the gain from every state, (S,), for the expected rewards of the states, (S,).

    In a state that is never left, it is the reward between two visits divided by the time between
    them.
    """
    table, leaving = chain
    total, later, gain = reward.copy(), np.zeros_like(reward), np.empty_like(reward)
    for s in reversed(range(len(reward))):
        to_s = table[:s, s + 2]
        if leaving[s] > 0:
            total[:s] += to_s / leaving[s] * total[s]
            later[:s] += to_s / leaving[s] * later[s]
        else:
            gain[s] = total[s] / table[s, 0]
            later[:s] += to_s * gain[s]
    for s in range(len(reward)):
        if leaving[s] > 0:
            gain[s] = (later[s] + table[s, 2 : s + 2] @ gain[:s]) / leaving[s]
    return gain


def totals(chain: Eliminated, reward: RealArray) -> RealArray:
    """Return the total reward, (S,), until a state that is never left or the end is reached."""
    table, leaving = chain
    total, value = reward.copy(), np.zeros_like(reward)
    for s in reversed(range(len(reward))):
        if leaving[s] > 0:
            total[:s] += table[:s, s + 2] / leaving[s] * total[s]
    for s in range(len(reward)):
        if leaving[s] > 0:
            value[s] = (total[s] + table[s, 2 : s + 2] @ value[:s]) / leaving[s]
    return value


def visits_of(chain: Eliminated) -> RealArray:
    """Return the visits of each state per visit of its class's first one, (S,); 0 if transient."""
    table, leaving = chain
    visits = (leaving == 0).astype(table.dtype)
    for s in np.flatnonzero(leaving):
        visits[s] = visits[:s] @ table[:s, s + 2] / leaving[s]
    return np.asarray(visits)


def with_enough_range(solve: Callable[[Dtype], T]) -> T:
    """Return `solve(dtype)` for doubles, or long doubles if these do not suffice.

    If a state is left with a very small probability, the time spent there may overflow. Then long
    doubles are used, if the machine has them.
    """
    with np.errstate(over="raise", under="raise", invalid="raise"):
        try:
            return solve(np.float64)
        except FloatingPointError:
            pass
    with np.errstate(over="raise", under="ignore", invalid="raise"):
        try:
            return solve(np.longdouble)
        except FloatingPointError:
            raise ValueError(
                "mdp must not have probabilities so close to 0 that the time spent in a state "
                "overflows"
            ) from None


def few_enough(mdp: TabularMDP, states: int, what: str) -> None:
    """Check that a process has at most so many states.

    Raises:
        ValueError: It has more.
    """
    if mdp.num_states > states:
        raise ValueError(
            f"mdp must have at most {states:,} states for its {what}, got {mdp.num_states:,}"
        )


def doubles(values: RealArray) -> FloatArray:
    """Return the values as doubles; too large ones are an error in `with_enough_range`."""
    return values.astype(np.float64)
