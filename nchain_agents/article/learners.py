"""The tutorial's table learners, to the letter: their update, their ties, their exploration."""

from __future__ import annotations

from typing import Any, ClassVar

from nchain_agents.exploration import best_value
from nchain_agents.tabular.loop import Rule, Settings
from nchain_agents.tabular.temporal_difference import Memory, TemporalDifferenceAgent


def act(memory: Memory, settings: Settings, state: int, epsilon: float, rng: Any) -> int:
    """Act at random with probability epsilon or where the row sums to 0, else take the best.

    Among equals the first is the best, as NumPy's argmax has it.
    """
    explores = epsilon > 0.0 and rng.random() < epsilon
    total = 0.0
    for action in range(memory.q.shape[1]):
        total += memory.q[state, action]
    if explores or total == 0.0:
        return int(rng.random() * memory.q.shape[1])
    best = 0
    for action in range(1, memory.q.shape[1]):
        if memory.q[state, action] > memory.q[state, best]:
            best = action
    return best


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
    """Q(S, A) <- Q(S, A) + R + alpha [gamma max_a Q(S', a) - Q(S, A)]."""
    target = settings.gamma * best_value(memory.q, reached)
    q = memory.q[state, action]
    memory.q[state, action] = q + (reward + settings.learning_rate * (target - q))
    return -1


class TutorialQLearning(TemporalDifferenceAgent):
    """Q-learning as the tutorial codes it: the reward is not multiplied by the learning rate.

    Its values are those of the textbook's rule with rewards 1 / learning_rate times as large. Its
    other arguments are those of `TemporalDifferenceAgent`, of which it ignores visit_power and
    temperature.
    """

    act: ClassVar[Rule] = staticmethod(act)
    update: ClassVar[Rule] = staticmethod(update)
