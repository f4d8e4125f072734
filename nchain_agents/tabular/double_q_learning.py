"""Double Q-learning (van Hasselt 2010; Sutton & Barto 2018, section 6.7)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nchain_agents.exploration import choose, greedy
from nchain_agents.tabular.loop import Settings, Transition
from nchain_agents.tabular.temporal_difference import TemporalDifferenceAgent, move
from nchain_env.mdp import FloatArray, IntArray


class DoubleTables(NamedTuple):
    """Two tables, each with its visits, and their mean, all (S, A)."""

    q: FloatArray
    q1: FloatArray
    q2: FloatArray
    visits1: IntArray
    visits2: IntArray


def act(tables: DoubleTables, settings: Settings, state: int, epsilon: float, rng: Any) -> int:
    """Explore, or take an action by its mean value."""
    return choose(tables.q, state, epsilon, settings.temperature, rng)


def update(
    tables: DoubleTables, settings: Settings, transition: Transition, epsilon: float, rng: Any
) -> None:
    """Q1(S, A) <- Q1(S, A) + alpha [R + gamma Q2(S', argmax_a Q1(S', a)) - Q1(S, A)].

    With probability one half the two tables change places.
    """
    q, other, visits = tables.q1, tables.q2, tables.visits1
    if rng.random() >= 0.5:
        q, other, visits = tables.q2, tables.q1, tables.visits2
    bootstrap = 0.0
    if not transition.terminated:
        next_state = transition.next_state
        bootstrap = other[next_state, greedy(q, next_state, rng)]
    move(q, visits, settings, transition, bootstrap)
    state, action = transition.state, transition.action
    tables.q[state, action] = (q[state, action] + other[state, action]) / 2.0


class DoubleQLearning(TemporalDifferenceAgent):
    """Off-policy control without maximization bias: one table chooses what the other values.

    Its arguments are those of `TemporalDifferenceAgent`. `q` is the mean of the two tables.
    """

    act = staticmethod(act)
    update = staticmethod(update)

    @staticmethod
    def _bytes_per_pair(states: int) -> int:
        return 40

    def _initial_tables(self) -> DoubleTables:
        first, second = self._initial_table(), self._initial_table()
        visits = (np.zeros(self._shape, dtype=np.int64) for _ in range(2))
        return DoubleTables((first + second) / 2.0, first, second, *visits)
