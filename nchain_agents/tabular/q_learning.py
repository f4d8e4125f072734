"""Q-learning (Watkins 1989; Sutton & Barto 2018, section 6.5)."""

from __future__ import annotations

from typing import Any

from nchain_agents.exploration import best_value
from nchain_agents.tabular.loop import Settings, Transition
from nchain_agents.tabular.temporal_difference import Tables, TemporalDifferenceAgent, move


def update(
    tables: Tables, settings: Settings, transition: Transition, epsilon: float, rng: Any
) -> None:
    """Q(S, A) <- Q(S, A) + alpha [R + gamma max_a Q(S', a) - Q(S, A)]."""
    bootstrap = 0.0
    if not transition.terminated:
        bootstrap = best_value(tables.q, transition.next_state)
    move(tables.q, tables.visits, settings, transition, bootstrap)


class QLearning(TemporalDifferenceAgent):
    """Off-policy control: learn the value of the best next action.

    Its arguments are those of `TemporalDifferenceAgent`. With epsilon 0 it is the greedy learner.
    """

    update = staticmethod(update)
