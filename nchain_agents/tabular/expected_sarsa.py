"""Expected Sarsa (van Seijen et al. 2009; Sutton & Barto 2018, section 6.6)."""

from __future__ import annotations

from typing import Any

from nchain_agents.exploration import policy_value
from nchain_agents.tabular.loop import Settings, Transition
from nchain_agents.tabular.temporal_difference import Tables, TemporalDifferenceAgent, step_size


def update(
    tables: Tables, settings: Settings, transition: Transition, epsilon: float, rng: Any
) -> None:
    """Q(S, A) <- Q(S, A) + alpha [R + gamma sum_a pi(a | S') Q(S', a) - Q(S, A)]."""
    state, action, reward, next_state, terminated, _ = transition
    bootstrap = 0.0
    if not terminated:
        bootstrap = policy_value(tables.q, next_state, epsilon, settings.temperature)
    alpha = step_size(settings, tables.visits, state, action)
    tables.q[state, action] += alpha * (
        reward + settings.gamma * bootstrap - tables.q[state, action]
    )


class ExpectedSarsa(TemporalDifferenceAgent):
    """On-policy control: learn the mean value of the actions that may be taken next.

    Its arguments are those of `TemporalDifferenceAgent`. It learns the values of its own exploring
    policy, so epsilon must fall for it to find the optimal one.
    """

    update = staticmethod(update)
