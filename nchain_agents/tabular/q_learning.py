"""Q-learning (Watkins 1989; Sutton & Barto 2018, section 6.5)."""

from __future__ import annotations

from typing import Any

from nchain_agents.exploration import best_value
from nchain_agents.tabular.loop import Settings
from nchain_agents.tabular.temporal_difference import Memory, TemporalDifferenceAgent, step_size


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
    """Q(S, A) <- Q(S, A) + alpha [R + gamma max_a Q(S', a) - Q(S, A)]."""
    following = 0.0
    if not terminated:
        following = best_value(memory.q, reached)
    alpha = step_size(settings, memory.visits, state, action)
    error = reward + settings.gamma * following - memory.q[state, action]
    memory.q[state, action] += alpha * error
    return -1


class QLearning(TemporalDifferenceAgent):
    """Off-policy control: learn the value of the best action that follows.

    Its arguments are those of `TemporalDifferenceAgent`. With epsilon 0 it is the greedy learner.
    """

    update = staticmethod(update)
