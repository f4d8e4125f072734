"""Expected Sarsa (van Seijen et al. 2009; Sutton & Barto 2018, section 6.6)."""

from __future__ import annotations

from typing import Any

from nchain_agents.exploration import policy_value
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
    """Q(S, A) <- Q(S, A) + alpha [R + gamma sum_a pi(a | S') Q(S', a) - Q(S, A)]."""
    following = 0.0
    if not terminated:
        following = policy_value(memory.q, reached, epsilon, settings.temperature)
    alpha = step_size(settings, memory.visits, state, action)
    error = reward + settings.gamma * following - memory.q[state, action]
    memory.q[state, action] += alpha * error
    return -1


class ExpectedSarsa(TemporalDifferenceAgent):
    """On-policy control: learn the mean value of the actions that may be taken next.

    Its arguments are those of `TemporalDifferenceAgent`. It learns the values of its own exploring
    policy, so epsilon must fall for it to find the optimal one.
    """

    update = staticmethod(update)
