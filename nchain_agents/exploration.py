"""How an agent chooses between what looks best and what it has not tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from nchain_env.checks import real
from nchain_env.mdp import FloatArray


def greedy(q: FloatArray, rng: np.random.Generator) -> int:
    """Return the action of the largest value; among equals one at random.

    Args:
        q: (A,) the values of the actions.
        rng: Drawn from only where there are equals.
    """
    best, equals = 0, 1
    for action in range(1, len(q)):
        if q[action] > q[best]:
            best, equals = action, 1
        elif q[action] == q[best]:
            equals += 1
    if equals == 1:
        return best
    skip = rng.integers(equals)
    for action in range(best, len(q)):
        if q[action] == q[best]:
            if skip == 0:
                return action
            skip -= 1
    return best


def epsilon_greedy(q: FloatArray, epsilon: float, rng: np.random.Generator) -> int:
    """Return a uniformly random action with probability epsilon, else the greedy one.

    Args:
        q: (A,) the values of the actions.
        epsilon: The probability of exploring, in [0, 1]; with 0 no number is drawn for it.
        rng: The agent's generator.

    Source: Sutton & Barto 2018, section 2.2.
    """
    if epsilon > 0 and rng.random() < epsilon:
        return int(rng.integers(len(q)))
    return greedy(q, rng)


@dataclass(frozen=True)
class Constant:
    """The same epsilon throughout."""

    initial: float

    def __call__(self, progress: float, episode: int) -> float:
        """Return epsilon, whatever the progress."""
        return self.initial


@dataclass(frozen=True)
class Decay:
    """Epsilon multiplied by `decay` at the start of each episode, the first included."""

    initial: float
    decay: float

    def __call__(self, progress: float, episode: int) -> float:
        """Return epsilon in an episode, counted from 0."""
        return self.initial * self.decay ** (episode + 1)


@dataclass(frozen=True)
class Linear:
    """Epsilon from `initial` to `final` over a fraction of the steps, as in stable-baselines3."""

    initial: float
    final: float
    fraction: float

    def __call__(self, progress: float, episode: int) -> float:
        """Return epsilon after a share `progress` of the steps, in [0, 1]."""
        if progress >= self.fraction:
            return self.final
        return self.initial + (self.final - self.initial) * progress / self.fraction


Schedule = Constant | Decay | Linear
EpsilonLike = float | Mapping[str, float] | Schedule


def epsilon_schedule(epsilon: EpsilonLike) -> Schedule:
    """Return the schedule that a number or a mapping of a schedule's fields means.

    Args:
        epsilon: A constant in [0, 1], `{initial, decay}`, `{initial, final, fraction}`, or a
            schedule.

    Raises:
        ValueError: The fields are not those of a schedule, or outside [0, 1].
    """
    if isinstance(epsilon, Schedule):
        schedule: Schedule = epsilon
    elif isinstance(epsilon, Mapping):
        for kind in (Decay, Linear, Constant):
            if set(epsilon) == set(kind.__dataclass_fields__):
                schedule = kind(**epsilon)
                break
        else:
            raise ValueError(
                "epsilon must be a number, {initial, decay} or {initial, final, fraction}, "
                f"got {dict(epsilon)!r}"
            )
    else:
        schedule = Constant(epsilon)
    for name, value in asdict(schedule).items():
        real(f"epsilon ({name})", value, 0, 1)
    return schedule
