"""Evidence from the values: which updates they are consistent with.

A learner's values come to rest where they equal the mean of their own targets. So each explanation
is measured by how far Q is from the mean of *its* targets, which are computed from Q itself and
from the transitions that the agent saw. The parameters of explanations are fitted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from nchain_agents.check.experience import Experience
from nchain_agents.check.explanations import (
    EXPLANATIONS,
    Explanation,
    Update,
    on_policy,
    q_learning,
)
from nchain_agents.check.lesson import Lesson
from nchain_env.mdp import BoolArray, FloatArray, IntArray

# Pairs of state and action that were visited less often say nothing: a prior with the weight of one
# observation still changes their values.
_VISITS = 50
# Replay buffers keep all transitions, and constant step sizes the last ones: the nearer one counts.
_WINDOWS = (0.0, 0.5)
# Values that move by more than this between the last two quarters, relative to their size, are not
# at rest.
_MOVING = 0.2
_TINY = 1e-12
# Pairs of explanations whose parameters are fitted.
_FITTED = 10


class Backup(NamedTuple):
    """The mean targets of an update on an experience, as a function of Q.

    Args:
        reward: (S, A) the mean reward.
        weight: (S, A, S) the mean discount of V, by next state.
        of_action: (S, A, S, A) the mean discount of Q, by next state and next action.
        visits: (S, A) how many transitions were learned from.
        value: V, (S,), as a function of Q, (S, A).
    """

    reward: FloatArray
    weight: FloatArray
    of_action: FloatArray
    visits: IntArray
    value: Callable[[FloatArray], FloatArray]

    @classmethod
    def of(cls, x: Experience, update: Update) -> Backup:
        """Return the backup of an update."""
        states, actions = x.num_states, x.num_actions
        used = np.flatnonzero(update.learned)
        pair = update.row[x.state[used]] * actions + x.action[used]
        visits = np.bincount(pair, minlength=states * actions)

        def mean(values: FloatArray, *after: tuple[IntArray, int]) -> FloatArray:
            place, shape = pair, tuple[int, ...]((states, actions))
            for index, size in after:
                place, shape = place * size + index, (*shape, size)
            total = np.bincount(place, values, math.prod(shape)).reshape(states * actions, -1)
            return np.asarray((total / np.maximum(visits, 1)[:, None]).reshape(shape)[update.row])

        # the place after the last action is for V
        next_action = np.where(update.next_action < 0, actions, update.next_action)[used]
        after = (update.next_state[used], states), (next_action, actions + 1)
        weight = mean(update.discount[used], *after)
        return cls(
            mean(update.reward[used]),
            weight[..., -1],
            weight[..., :-1],
            visits.reshape(states, actions)[update.row],
            update.value,
        )

    def targets(self, q: FloatArray, initial: FloatArray) -> FloatArray:
        """Return the mean targets, (S, A); the initial values where nothing was learned."""
        following = self.weight @ self.value(q) + np.tensordot(self.of_action, q)
        return np.where(self.visits > 0, self.reward + following, initial)

    def fixed_point(self, initial: FloatArray, sweeps: int = 5000) -> FloatArray:
        """Return the values that are their own mean targets, after so many sweeps if none are."""
        q = initial
        for _ in range(sweeps):
            before, q = q, self.targets(q, initial)
            if np.abs(q - before).max() < 1e-9:
                break
        return q


@dataclass(frozen=True)
class Fit:
    """How well explanations fit what was learned.

    Args:
        explanations: The explanations, applied one after the other; () for the correct update.
        parameters: The parameter of each, None for those that have none.
        distance: The largest over the problems of the distance from Q to the mean targets.
        noise: The standard error of the distance over the seeds.
    """

    explanations: tuple[Explanation, ...]
    parameters: tuple[Any, ...]
    distance: float
    noise: float

    @property
    def name(self) -> str:
        """The names of the explanations."""
        return " and ".join(one.name for one in self.explanations) or "correct"

    @property
    def fitted(self) -> bool:
        """Whether a continuous parameter was fitted, of which others are special cases."""
        return any(one.continuous for one in self.explanations)


class _Learned(NamedTuple):
    """The part of a lesson that is explained.

    Args:
        problem: The name of the problem.
        x: The transitions.
        initial: (S, A) the values before the training.
        q: (S, A) the values at its end.
        known: (S, A) which pairs were visited often enough.
        scale: The size of values and rewards, to which distances are relative.
        moved: (S, A) how far the values moved between the last two quarters, relative to that.
    """

    problem: str
    x: Experience
    initial: FloatArray
    q: FloatArray
    known: BoolArray
    scale: float
    moved: FloatArray

    @classmethod
    def of(cls, lesson: Lesson) -> _Learned:
        x, values = lesson.experience, lesson.values
        assert values is not None
        known = x.visits >= _VISITS
        scale = max(_rms(values.late[known]), _rms(x.reward), _TINY)
        moved = np.where(known, values.late - values.earlier, 0.0) / scale
        return cls(lesson.problem.name, x, values.initial, values.late, known, scale, moved)


class Explainer:
    """Measures explanations on what agents of one kind learned.

    Args:
        lessons: What they learned, with values: one for each problem and seed.
        gamma: The discount factor that they were given.
        on_policy: Whether they are to learn the values of the policy that they follow, as Sarsa.
        generalises: Whether values that are never learned may be any, as those of a network; else
            they are what they were before the training.
    """

    def __init__(
        self,
        lessons: Sequence[Lesson],
        gamma: float,
        on_policy: bool = False,
        generalises: bool = False,
    ) -> None:
        self.gamma, self._on_policy = gamma, on_policy
        self._lessons = lessons
        learned = [_Learned.of(lesson) for lesson in lessons]
        moved = _by_problem(learned, [one.moved for one in learned])
        drifts = {problem: _rms(np.mean(found, axis=0)) for problem, found in moved.items()}
        # values that grow without end are not at rest: they speak only where no others do
        self._learned = [one for one in learned if drifts[one.problem] < _MOVING] or learned
        self.complete = len(self._learned) == len(learned)
        self.drift = max(drifts.values())
        self.at_rest = min(drifts.values()) < _MOVING
        if generalises:
            self._learned = [
                one._replace(initial=np.full_like(one.q, np.nan)) for one in self._learned
            ]
        self._windows = {start: [one.x.since(start) for one in self._learned] for start in _WINDOWS}

    def update(self, x: Experience, changes: Iterable[tuple[Explanation, Any]] = ()) -> Update:
        """Return the correct update, changed by explanations."""
        update = q_learning(x, self.gamma)
        if self._on_policy:
            update = on_policy(x, update)
        for one, parameter in changes:
            update = one.changed(x, update, parameter)
        return update

    def fit(self, *explanations: Explanation) -> Fit:
        """Return how well explanations fit together, with at most one parameter that is fitted."""
        states = self._learned[0].x.num_states
        choices: list[tuple[Any, ...]] = [()]
        for one in explanations:
            choices = [(*some, value) for some in choices for value in one.choices(states)]
        found = min((self.measured(explanations, some) for some in choices), key=_distance)
        for i, one in enumerate(explanations):
            if one.continuous:
                found = min(found, self._refined(found, i), key=_distance)
        return found

    def _refined(self, found: Fit, i: int) -> Fit:
        """Return the fit with the best value of parameter i between its neighbouring choices."""
        grid = found.explanations[i].choices(0)
        at = grid.index(found.parameters[i])
        bounds = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]

        def measured(value: float) -> Fit:
            parameters = (*found.parameters[:i], float(value), *found.parameters[i + 1 :])
            return self.measured(found.explanations, parameters)

        best = minimize_scalar(
            lambda value: measured(value).distance, bounds=bounds, method="bounded"
        )
        return measured(best.x)

    def measured(self, explanations: tuple[Explanation, ...], parameters: tuple[Any, ...]) -> Fit:
        """Return how well explanations with these parameters fit."""
        changes = list(zip(explanations, parameters, strict=True))
        windows = [self._errors(start, changes) for start in _WINDOWS]
        return Fit(explanations, parameters, *min(map(_largest, windows)))

    def _errors(
        self, start: float, changes: Sequence[tuple[Explanation, Any]] = ()
    ) -> dict[str, FloatArray]:
        """Return targets minus Q, (seeds, S, A), by problem; the targets after a part of it all."""
        errors = []
        for one, x in zip(self._learned, self._windows[start], strict=True):
            targets = Backup.of(x, self.update(x, changes)).targets(one.q, one.initial)
            errors.append(np.where(one.known, targets - one.q, np.nan) / one.scale)
        return _by_problem(self._learned, errors)

    def ahead(self) -> Fit:
        """Return the fit of the correct update if the values go on as they move.

        Values that are on their way move in proportion to what is missing. So in each problem, that
        part of their last movement is added which brings them nearest to their targets.
        """
        moved = _by_problem(self._learned, [one.moved for one in self._learned])
        windows = [
            {name: _after(errors, moved[name]) for name, errors in self._errors(start).items()}
            for start in _WINDOWS
        ]
        return Fit((), (), *min(map(_largest, windows)))

    def fixed_point(self, lesson: Lesson, fit: Fit) -> FloatArray:
        """Return the values, (S, A), that explanations lead to on the transitions of a lesson."""
        assert lesson.values is not None
        changes = zip(fit.explanations, fit.parameters, strict=True)
        update = self.update(lesson.experience, changes)
        return Backup.of(lesson.experience, update).fixed_point(lesson.values.initial)

    def singles(self) -> Iterator[Fit]:
        """Yield the fit of each explanation that differs from the correct update here."""
        for one in EXPLANATIONS:
            if self._differs(one):
                yield self.fit(one)

    def pairs(self) -> Iterator[Fit]:
        """Yield the fits of two explanations together, of which one may have a parameter.

        Only those pairs are fitted that are nearest by one lesson of each problem and by the listed
        choices of the parameter.
        """
        different = [one for one in EXPLANATIONS if self._differs(one)]
        lessons = {lesson.problem.name: lesson for lesson in self._lessons}
        few = Explainer(list(lessons.values()), self.gamma, self._on_policy)
        found = [
            few.measured((one, two), (None, value))
            for one, two in permutations(different, 2)
            if not one.parameter and (two.parameter or one.name < two.name)
            for value in two.choices(self._learned[0].x.num_states)
        ]
        for fit in sorted(found, key=_distance)[:_FITTED]:
            yield self.fit(*fit.explanations)

    def _differs(self, explanation: Explanation) -> bool:
        """Whether an explanation changes a mean target anywhere."""
        states = self._learned[0].x.num_states
        for one in self._learned:
            correct = Backup.of(one.x, self.update(one.x)).targets(one.q, one.initial)
            update = self.update(one.x, [(explanation, explanation.choices(states)[0])])
            changed = Backup.of(one.x, update).targets(one.q, one.initial)
            if not np.allclose(changed, correct):
                return True
        return False


def _distance(fit: Fit) -> float:
    return fit.distance


def _by_problem(learned: Sequence[_Learned], arrays: Sequence[FloatArray]) -> dict[str, FloatArray]:
    """Return arrays, one of each lesson, as one of all seeds for each problem."""
    found: dict[str, list[FloatArray]] = {}
    for one, array in zip(learned, arrays, strict=True):
        found.setdefault(one.problem, []).append(array)
    return {problem: np.array(some) for problem, some in found.items()}


def _after(errors: FloatArray, moved: FloatArray) -> FloatArray:
    """Return the errors, (seeds, S, A), after the part of a movement that makes them smallest."""
    known = ~np.isnan(errors).all(axis=0)
    missing, move = np.nanmean(errors[:, known], axis=0), np.mean(moved, axis=0)[known]
    part = float(missing @ move) / max(float(move @ move), _TINY)
    return errors - min(max(part, 0.0), 1.0) * moved


def _largest(errors: dict[str, FloatArray]) -> tuple[float, float]:
    """Return the largest distance of the problems, and its noise."""
    return max(map(_distance_and_noise, errors.values()))


def _distance_and_noise(errors: FloatArray) -> tuple[float, float]:
    """Return the root mean square of the mean errors over the seeds, and its standard error.

    Args:
        errors: (seeds, S, A), NaN where nothing is known.
    """
    known = ~np.isnan(errors).all(axis=0)
    if not known.any():
        return math.inf, 0.0
    errors = errors[:, known]
    mean = np.nanmean(errors, axis=0)
    if len(errors) < 2:
        return _rms(mean), 0.0
    return _rms(mean), _rms(np.nan_to_num(np.nanstd(errors, axis=0))) / math.sqrt(len(errors) - 1)


def _rms(numbers: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(numbers)))) if numbers.size else 0.0
