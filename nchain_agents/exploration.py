"""How an agent chooses between what looks best and what it has not tried.

The functions on tables are written so that Numba can compile them: they draw uniform numbers only,
and take their exponentials from `math`, so that compiled and not they give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from nchain_env.checks import real
from nchain_env.mdp import FloatArray

EpsilonLike = float | Mapping[str, float]


class EpsilonSchedule(NamedTuple):
    """Epsilon over the steps and episodes: linear from `initial` to `final`, times decay^episode.

    Args:
        initial: Epsilon at the first step.
        final: Epsilon after the share `fraction` of the steps.
        fraction: That share.
        decay: The factor by which each episode's epsilon is smaller, the first's included.
    """

    initial: float
    final: float
    fraction: float
    decay: float

    def epsilon(self, step: int, total: int, episode: int) -> float:
        """Return epsilon at a step of `total`, in an episode counted from 0."""
        scale = decay_factor(self.decay, episode)
        return scale * linear(self.initial, self.final, self.slope(total), step)

    def slope(self, total: int) -> float:
        """Return the share of the way from initial to final that one step of `total` goes."""
        return 1.0 / max(self.fraction * total, 1.0)


def linear(initial: float, final: float, slope: float, step: int) -> float:
    """Return the value at a step on the way from initial to final."""
    return final + (initial - final) * max(0.0, 1.0 - step * slope)


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
        return EpsilonSchedule(**fields, decay=1.0)
    raise ValueError(
        "epsilon must be a number, {initial, decay} or {initial, final, fraction}, "
        f"got {dict(epsilon)!r}"
    )


def choose(
    q: FloatArray, state: int, epsilon: float, temperature: float, rng: np.random.Generator
) -> int:
    """Return a uniformly random action with probability epsilon, else one by its value.

    Args:
        q: (S, A) the values of the actions.
        state: The row to choose from.
        epsilon: The probability of exploring, in [0, 1]; with 0 no number is drawn for it.
        temperature: With 0 the greedy action is taken, among equals one at random; above, an
            action with probability proportional to exp(q / temperature) (Boltzmann).
        rng: The agent's generator.

    Source: Sutton & Barto 2018, sections 2.2 (epsilon-greedy) and 13.1 (soft-max).
    """
    if epsilon > 0.0:
        u = rng.random()
        if u < epsilon:
            # below epsilon, u / epsilon is uniform too
            return int(u / epsilon * q.shape[1])
    if temperature > 0.0:
        return boltzmann(q, state, temperature, rng)
    return greedy(q, state, rng)


def greedy(q: FloatArray, state: int, rng: np.random.Generator) -> int:
    """Return the action of the largest value; among equals one at random."""
    # Searching for the largest value, instead of keeping its place while looking for it, lets the
    # processor guess the action before it knows the values.
    largest = best_value(q, state)
    best = 0
    while q[state, best] < largest:
        best += 1
    for other in range(best + 1, q.shape[1]):
        if q[state, other] == largest:
            return break_tie(q, state, largest, rng)
    return best


def break_tie(q: FloatArray, state: int, largest: float, rng: np.random.Generator) -> int:
    """Return one of the actions of the largest value at random."""
    equals = 0
    for action in range(q.shape[1]):
        if q[state, action] == largest:
            equals += 1
    skip = int(rng.random() * equals)
    action = 0
    while q[state, action] < largest or skip > 0:
        if q[state, action] == largest:
            skip -= 1
        action += 1
    return action


def boltzmann(q: FloatArray, state: int, temperature: float, rng: np.random.Generator) -> int:
    """Return an action with probability proportional to exp(q / temperature)."""
    largest = best_value(q, state)
    total = 0.0
    for action in range(q.shape[1]):
        total += math.exp(float(q[state, action] - largest) / temperature)
    left = rng.random() * total
    for action in range(q.shape[1] - 1):
        left -= math.exp(float(q[state, action] - largest) / temperature)
        if left < 0.0:
            return action
    return int(q.shape[1]) - 1


def best_value(q: FloatArray, state: int) -> float:
    """Return the largest value of a state's actions."""
    largest: float = q[state, 0]
    for action in range(1, q.shape[1]):
        if q[state, action] > largest:
            largest = q[state, action]
    return largest


def policy_value(q: FloatArray, state: int, epsilon: float, temperature: float) -> float:
    """Return the mean value of the action that `choose` takes in a state."""
    mean = 0.0
    for action in range(q.shape[1]):
        mean += q[state, action] / q.shape[1]
    largest = best_value(q, state)
    value = largest
    if temperature > 0.0:
        total = 0.0
        weighted = 0.0
        for action in range(q.shape[1]):
            weight = math.exp(float(q[state, action] - largest) / temperature)
            total += weight
            weighted += weight * q[state, action]
        value = weighted / total
    return epsilon * mean + (1.0 - epsilon) * value
