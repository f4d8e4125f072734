"""Sarsa (Rummery & Niranjan 1994; Sutton & Barto 2018, section 6.4)."""

from __future__ import annotations

from typing import Any

from nchain_agents.exploration import choose
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
    """Choose A' from S'; Q(S, A) <- Q(S, A) + alpha [R + gamma Q(S', A') - Q(S, A)]."""
    following = 0.0
    next_action = -1
    if not terminated:
        next_action = choose(memory.q, reached, epsilon, settings.temperature, rng)
        following = memory.q[reached, next_action]
    alpha = step_size(settings, memory.visits, state, action)
    error = reward + settings.gamma * following - memory.q[state, action]
    memory.q[state, action] += alpha * error
    return next_action


class Sarsa(TemporalDifferenceAgent):
    """On-policy control: learn the value of the action that is taken next.

    Its arguments are those of `TemporalDifferenceAgent`. It learns the values of its own exploring
    policy, so epsilon must fall for it to find the optimal one.
    """

    update = staticmethod(update)
