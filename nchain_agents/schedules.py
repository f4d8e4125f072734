"""Schedules of epsilon over steps and episodes, for tables and networks.

Numba can compile the functions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from nchain_env.checks import real

EpsilonLike = float | Mapping[str, float]


class EpsilonSchedule(NamedTuple):
    """Epsilon over the steps and episodes: linear from `initial` to `final`, times decay^episode.

    Args:
        initial: Epsilon at the first step.
        final: Epsilon after the share `fraction` of the steps.
        fraction: That share.
        decay: The factor by which each episode's epsilon is smaller, the first's included.
        learning_starts: The number of random steps at the beginning.
    """

    initial: float
    final: float
    fraction: float
    decay: float
    learning_starts: int = 0

    def epsilon(self, step: int, total: int, episode: int) -> float:
        """Return epsilon at a step of `total`, in an episode counted from 0."""
        if step < self.learning_starts:
            return 1.0
        scale = decay_factor(self.decay, episode)
        return float(scale * linear(self.initial, self.final, step * self.slope(total)))

    def slope(self, total: int) -> float:
        """Return the share of the way from initial to final that one step of `total` goes."""
        return 1.0 / self._length(total)

    def parts(self, steps: Any, total: int) -> tuple[Any, Any]:
        """Return epsilon without decay, and the decay by episode, for an array of steps."""
        epsilon = linear(self.initial, self.final, steps / self._length(total))
        begins = steps < self.learning_starts
        return np.where(begins, 1.0, epsilon), np.where(begins, 1.0, self.decay)

    def _length(self, total: int) -> float:
        return max(self.fraction * total, 1.0)


def linear(initial: float, final: float, way: Any) -> Any:
    """Return the value after a share of the way from initial to final; for an array, too."""
    return final + (initial - final) * ((1.0 - way) * (way < 1.0))


def decay_factor(decay: float, episode: int) -> float:
    """Return decay^(episode + 1): it is multiplied at the start of each episode, the first too."""
    return math.pow(decay, episode + 1.0)


def epsilon_schedule(epsilon: EpsilonLike) -> EpsilonSchedule:
    """Return the schedule that a number or a mapping means.

    Args:
        epsilon: A constant, `{initial, decay}` by episode, as in the tutorial, or
            `{initial, final, fraction}` over the steps, as in stable-baselines3; all in [0, 1].

    Raises:
        ValueError: It is none of these, or a number is outside [0, 1].
    """
    if not isinstance(epsilon, Mapping):
        constant = real("epsilon", epsilon, 0, 1)
        return EpsilonSchedule(constant, constant, 1.0, 1.0)
    fields = {name: real(f"epsilon ({name})", value, 0, 1) for name, value in epsilon.items()}
    if set(fields) == {"initial", "decay"}:
        return EpsilonSchedule(fields["initial"], fields["initial"], 1.0, fields["decay"])
    if set(fields) == {"initial", "final", "fraction"}:
        return EpsilonSchedule(fields["initial"], fields["final"], fields["fraction"], 1.0)
    raise ValueError(
        "epsilon must be a number, {initial, decay} or {initial, final, fraction}, "
        f"got {dict(epsilon)!r}"
    )
