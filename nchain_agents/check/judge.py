"""Which explanation holds: the verdict on an agent's values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from nchain_agents.check.lesson import Lesson, Values
from nchain_agents.check.values import Explainer, Fit

# Approximation and noise explain such a distance, relative to the size of the values.
SMALL = 0.03
# An explanation must be nearer than the correct update, and two together than one, by this factor.
_NEARER = 3.0
# Farther than this none holds, whatever the noise: the values may be on their way to the correct
# ones, as with a target network that was seldom updated.
_FAR = 0.15
# Explanations within this ratio of the nearest one, or nearer than this, are not told apart.
_RATIO, _SAME = 2.0, 0.01
# Standard errors of the seeds that a distance may have from noise.
_ERRORS = 3.0

Kind = Literal["correct", "explained", "moving", "unexplained"]


@dataclass(frozen=True)
class Judgement:
    """What the values say.

    Args:
        kind: "correct"; "explained": by one of `named`; "moving": the values have not come to rest;
            "unexplained": they have, and no explanation holds.
        correct: The fit of the correct update.
        named: The explanations that hold, nearest first, where kind is "explained".
        others: The other explanations that were measured, nearest first.
        drift: How far the values still moved, relative to their size.
        earlier: The distance of the correct update in the quarter before the last.
    """

    kind: Kind
    correct: Fit
    named: tuple[Fit, ...]
    others: tuple[Fit, ...]
    drift: float
    earlier: float

    def more_steps(self, steps: int) -> int | None:
        """Return about how many more steps the values need to be near the correct targets.

        The distance is taken to fall by the same factor in each quarter of the training as between
        its last two. None where it does not fall.

        Args:
            steps: The number of steps of the training.
        """
        if not SMALL < self.correct.distance < self.earlier:
            return None
        quarters = math.log(self.correct.distance / SMALL)
        quarters /= math.log(self.earlier / self.correct.distance)
        return math.ceil(steps / 4 * quarters)


def judge(lessons: Sequence[Lesson], gamma: float, on_policy: bool = False) -> Judgement:
    """Return what values say.

    The correct update is never rejected where it fits, nor where the values are on their way to fit
    it. Single explanations are tried before pairs,
    and those without a parameter are named before those whose parameter was fitted.

    Args:
        lessons: What agents of one kind learned, with values: one for each problem and seed.
        gamma: The discount factor that they were given.
        on_policy: Whether they are to learn the values of the policy that they follow.
    """
    explainer = Explainer(lessons, gamma, on_policy)
    correct = explainer.fit()
    drift = explainer.drift
    before = [replace(one, values=_earlier(one)) for one in lessons]
    earlier = Explainer(before, gamma, on_policy).fit().distance
    if correct.distance <= SMALL:
        kind: Kind = "correct" if explainer.complete else "moving"
        return Judgement(kind, correct, (), (), drift, earlier)
    singles = sorted(explainer.singles(), key=lambda fit: fit.distance)
    at_rest = explainer.at_rest and explainer.ahead().distance > SMALL
    named = _named(singles, correct) if at_rest else ()
    measured = singles
    if not named and at_rest and correct.distance > _allowed(correct):
        # a network changes the values that it never learns, too
        network = Explainer(lessons, gamma, on_policy, generalises=True)
        singles = sorted(network.singles(), key=lambda fit: fit.distance)
        named = _named(singles, correct)
        measured = singles if named else measured
    # many pairs have parameters enough to fit the values of a single problem
    if not named and at_rest and explainer.complete and correct.distance > _allowed(correct):
        pairs = sorted(explainer.pairs(), key=lambda fit: fit.distance)
        named = _named(pairs, measured[0])
        measured = sorted([*measured, *pairs[:5]], key=lambda fit: fit.distance)
    others = tuple(fit for fit in measured if fit not in named)
    kind = "unexplained"
    if named:
        kind = "explained"
    elif correct.distance <= _allowed(correct):
        kind = "correct"
    elif drift > SMALL or not at_rest:
        kind = "moving"
    return Judgement(kind, correct, named, others, drift, earlier)


def _earlier(lesson: Lesson) -> Values:
    """Return the values of a lesson in the quarter before the last."""
    assert lesson.values is not None
    return replace(lesson.values, late=lesson.values.earlier)


def _named(fits: Sequence[Fit], simpler: Fit) -> tuple[Fit, ...]:
    """Return the fits that hold and are not told apart, of fits in the order of their distance."""
    if not fits:
        return ()
    if fits[0].distance > min(_allowed(fits[0]), _FAR, simpler.distance / _NEARER):
        return ()
    near = [fit for fit in fits if fit.distance <= max(_RATIO * fits[0].distance, _SAME)]
    return tuple([fit for fit in near if not fit.fitted] or near)


def _allowed(fit: Fit) -> float:
    """Return the distance that approximation and noise explain."""
    return SMALL + _ERRORS * fit.noise if math.isfinite(fit.noise) else SMALL
