"""Q-learning (Watkins 1989; Sutton & Barto 2018, section 6.5)."""

from __future__ import annotations

from typing import Any

from nchain_agents.exploration import best_value
from nchain_agents.tabular.loop import Settings, Transition
from nchain_agents.tabular.temporal_difference import Tables, TemporalDifferenceAgent, step_size


def update(
    tables: Tables, settings: Settings, transition: Transition, epsilon: float, rng: Any
) -> None:
    """Q(S, A) <- Q(S, A) + alpha [R + gamma max_a Q(S', a) - Q(S, A)]."""
    state, action, reward, next_state, terminated, _ = transition
    bootstrap = 0.0
    if not terminated:
        bootstrap = best_value(tables.q, next_state)
    alpha = step_size(settings, tables.visits, state, action)
    tables.q[state, action] += alpha * (
        reward + settings.gamma * bootstrap - tables.q[state, action]
    )


class QLearning(TemporalDifferenceAgent):
    """Off-policy control: learn the value of the best next action.

    Its arguments are those of `TemporalDifferenceAgent`. With epsilon 0 it is the greedy learner.
    """

    update = staticmethod(update)
