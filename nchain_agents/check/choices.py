"""Evidence from the choices: which explanations' best actions an agent takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nchain_agents.check.explanations import EXPLANATIONS, Explanation, q_learning
from nchain_agents.check.lesson import Lesson
from nchain_agents.check.values import Backup
from nchain_env.mdp import FloatArray, IntArray

# An action is worse where it loses this much, relative to how far the values of a state's actions
# lie apart, on average.
_LOSS = 0.1


@dataclass(frozen=True)
class Agreement:
    """How well an explanation agrees with an agent's choices.

    Args:
        explanation: The explanation; None for the correct update.
        parameter: Its parameter, where it has one.
        contradicted: The states, of all problems, in which the agent's action is worse.
        compared: The number of states.
        values: (S, A) the values that the explanation leads to, by the problem's name.
    """

    explanation: Explanation | None
    parameter: Any
    contradicted: int
    compared: int
    values: dict[str, FloatArray]

    @property
    def name(self) -> str:
        """The name of the explanation."""
        return "correct" if self.explanation is None else self.explanation.name


def chosen(lessons: Sequence[Lesson]) -> dict[str, IntArray]:
    """Return the action that most seeds choose in each state, (S,), by the problem's name."""
    found: dict[str, list[IntArray]] = {}
    for lesson in lessons:
        assert lesson.actions is not None
        found.setdefault(lesson.problem.name, []).append(lesson.actions)
    return {
        problem: np.array([np.bincount(column).argmax() for column in np.array(actions).T])
        for problem, actions in found.items()
    }


def agreements(lessons: Sequence[Lesson], gamma: float) -> list[Agreement]:
    """Return how well each explanation agrees, the correct update first.

    Of the values that a parameter may have, the one that agrees best counts. Explanations that
    change no value here are left out.
    """
    correct = agreement(lessons, gamma)
    found = [correct]
    for one in EXPLANATIONS:
        states = lessons[0].experience.num_states
        tried = [agreement(lessons, gamma, one, value) for value in one.choices(states)]
        if not all(_equal(other.values, correct.values) for other in tried):
            found.append(min(tried, key=lambda agreement: agreement.contradicted))
    return found


def _equal(one: dict[str, FloatArray], other: dict[str, FloatArray]) -> bool:
    return all(np.allclose(one[problem], other[problem]) for problem in one)


def agreement(
    lessons: Sequence[Lesson],
    gamma: float,
    explanation: Explanation | None = None,
    parameter: Any = None,
) -> Agreement:
    """Return how well an explanation agrees, by default the correct update."""
    actions = chosen(lessons)
    values: dict[str, list[FloatArray]] = {}
    for lesson in lessons:
        x = lesson.experience
        update = q_learning(x, gamma)
        if explanation is not None:
            update = explanation.changed(x, update, parameter)
        q = Backup.of(x, update).fixed_point(np.zeros((x.num_states, x.num_actions)), sweeps=1000)
        values.setdefault(lesson.problem.name, []).append(q)
    means = {problem: np.asarray(np.mean(found, axis=0)) for problem, found in values.items()}
    contradicted = 0
    for problem, q in means.items():
        loss = q.max(axis=1) - q[np.arange(len(q)), actions[problem]]
        range_of_values = np.ptp(q, axis=1).mean()
        contradicted += int((loss > _LOSS * range_of_values).sum())
    compared = sum(len(one) for one in actions.values())
    return Agreement(explanation, parameter, contradicted, compared, means)
