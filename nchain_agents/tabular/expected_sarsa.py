"""Expected Sarsa (van Seijen et al. 2009; Sutton & Barto 2018, section 6.6)."""

from __future__ import annotations

from typing import Any

from nchain_agents.exploration import policy_value
from nchain_agents.tabular.loop import Settings, Transition
from nchain_agents.tabular.temporal_difference import Tables, TemporalDifferenceAgent, move


def update(
    tables: Tables, settings: Settings, transition: Transition, epsilon: float, rng: Any
) -> None:
    """Q(S, A) <- Q(S, A) + alpha [R + gamma sum_a pi(a | S') Q(S', a) - Q(S, A)]."""
    bootstrap = 0.0
    if not transition.terminated:
        bootstrap = policy_value(tables.q, transition.next_state, epsilon, settings.temperature)
    move(tables.q, tables.visits, settings, transition, bootstrap)


class ExpectedSarsa(TemporalDifferenceAgent):
    """On-policy control: learn the mean value of the actions that may be taken next.

    Its arguments are those of `TemporalDifferenceAgent`. It learns the values of its own exploring
    policy, so epsilon must fall for it to find the optimal one.
    """

    # its values are those of the policy that it follows, exploration included
    on_policy = True
    update = staticmethod(update)
