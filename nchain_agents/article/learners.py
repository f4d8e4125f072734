"""The tutorial's table learners, to the letter: their update, their ties, their exploration."""

from __future__ import annotations

from typing import Any, ClassVar

from nchain_agents.exploration import best_value
from nchain_agents.tabular.loop import Act, Settings, Transition, Update
from nchain_agents.tabular.temporal_difference import Tables, TemporalDifferenceAgent


def act(tables: Tables, settings: Settings, state: int, epsilon: float, rng: Any) -> int:
    """Act at random with probability epsilon or where the row sums to 0, else take the best.

    Among equals the first is the best, as NumPy's argmax has it.
    """
    explores = epsilon > 0.0 and rng.random() < epsilon
    total = 0.0
    for action in range(tables.q.shape[1]):
        total += tables.q[state, action]
    if explores or total == 0.0:
        return int(rng.random() * tables.q.shape[1])
    best = 0
    for action in range(1, tables.q.shape[1]):
        if tables.q[state, action] > tables.q[state, best]:
            best = action
    return best


def update(
    tables: Tables, settings: Settings, transition: Transition, epsilon: float, rng: Any
) -> None:
    """Q(S, A) <- Q(S, A) + R + alpha [gamma max_a Q(S', a) - Q(S, A)]."""
    state, action, reward, next_state, _, _ = transition
    q = tables.q[state, action]
    bootstrap = settings.gamma * best_value(tables.q, next_state)
    tables.q[state, action] = q + (reward + settings.learning_rate * (bootstrap - q))


class TutorialQLearning(TemporalDifferenceAgent):
    """Q-learning as the tutorial codes it: the reward is not multiplied by the learning rate.

    Its values are those of the textbook's rule with rewards 1 / learning_rate times as large. Its
    other arguments are those of `TemporalDifferenceAgent`, of which it ignores visit_power and
    temperature.
    """

    act: ClassVar[Act] = staticmethod(act)
    update: ClassVar[Update] = staticmethod(update)
