"""Double Q-learning (van Hasselt 2010; Sutton & Barto 2018, section 6.7)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nchain_agents.exploration import choose, greedy
from nchain_agents.tabular.loop import Settings
from nchain_agents.tabular.temporal_difference import TemporalDifferenceAgent, step_size
from nchain_env.mdp import FloatArray, IntArray


class Memory(NamedTuple):
    """Two tables, each with its visits, and their mean, all (S, A)."""

    q: FloatArray
    q1: FloatArray
    q2: FloatArray
    visits1: IntArray
    visits2: IntArray


def act(memory: Memory, settings: Settings, state: int, epsilon: float, rng: Any) -> int:
    """Explore, or take an action by its mean value."""
    return choose(memory.q, state, epsilon, settings.temperature, rng)


def update(
    memory: Memory,
    settings: Settings,
    state: int,
    action: int,
    reward: float,
    reached: int,
    terminated: bool,
    epsilon: float,
    rng: Any,
) -> int:
    """With probability one half update the first table, else the second, valued by the other."""
    if rng.random() < 0.5:
        move(
            memory.q1,
            memory.q2,
            memory.visits1,
            settings,
            state,
            action,
            reward,
            reached,
            terminated,
            rng,
        )
    else:
        move(
            memory.q2,
            memory.q1,
            memory.visits2,
            settings,
            state,
            action,
            reward,
            reached,
            terminated,
            rng,
        )
    memory.q[state, action] = (memory.q1[state, action] + memory.q2[state, action]) / 2.0
    return -1


def move(
    q: FloatArray,
    other: FloatArray,
    visits: IntArray,
    settings: Settings,
    state: int,
    action: int,
    reward: float,
    reached: int,
    terminated: bool,
    rng: Any,
) -> None:
    """Q1(S, A) <- Q1(S, A) + alpha [R + gamma Q2(S', argmax_a Q1(S', a)) - Q1(S, A)]."""
    following = 0.0
    if not terminated:
        following = other[reached, greedy(q, reached, rng)]
    alpha = step_size(settings, visits, state, action)
    q[state, action] += alpha * (reward + settings.gamma * following - q[state, action])


class DoubleQLearning(TemporalDifferenceAgent):
    """Off-policy control without maximization bias: one table chooses what the other values.

    Its arguments are those of `TemporalDifferenceAgent`. `q` is the mean of the two tables.
    """

    act = staticmethod(act)
    update = staticmethod(update)

    @staticmethod
    def _bytes_per_pair(states: int) -> int:
        return 40

    def _initial_memory(self) -> Memory:
        first, second = self._initial_table(), self._initial_table()
        visits = (np.zeros(self._shape, dtype=np.int64) for _ in range(2))
        return Memory((first + second) / 2.0, first, second, *visits)
