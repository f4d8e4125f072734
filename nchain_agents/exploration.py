"""Exploration: the choice of actions by their values.

Numba can compile the functions, except for `probabilities`. They draw uniform numbers only and use
`math.exp`, so that they give the same bits compiled and not compiled.
"""

from __future__ import annotations

import math

import numpy as np

from nchain_env.mdp import FloatArray


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


def probabilities(q: FloatArray, epsilon: float, temperature: float) -> FloatArray:
    """Return the probabilities with which `choose` takes the actions.

    Args:
        q: (..., A) the values of the actions.
        epsilon: The probability of exploring.
        temperature: As in `choose`.

    Returns:
        Of the shape of q.
    """
    best = q.max(axis=-1, keepdims=True)
    weight = (q == best).astype(np.float64)
    if temperature > 0.0:
        with np.errstate(over="ignore"):  # what is worse by so much has the probability 0
            weight = np.exp((q - best) / temperature)
    chosen = weight / weight.sum(axis=-1, keepdims=True)
    return np.asarray(epsilon / q.shape[-1] + (1.0 - epsilon) * chosen)


def greedy(q: FloatArray, state: int, rng: np.random.Generator) -> int:
    """Return the action of the largest value; among equals one at random."""
    # A search for the largest value, in place of an argmax, lets the processor predict the branch.
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
