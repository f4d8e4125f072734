"""The exact solution of models without zeros, such as sampled ones, begun from a good guess."""

from __future__ import annotations

import numpy as np

from nchain_env.mdp import FloatArray

# The largest discounted value allowed.
_LARGEST_VALUE = 1e307


def largest_reward(gamma: float) -> float:
    """Return the largest |reward| with which all discounted values are finite."""
    return _LARGEST_VALUE * (1 - gamma)


def solved(
    probability: FloatArray, reward: FloatArray, gamma: float, guess: FloatArray
) -> FloatArray:
    """Return the optimal action values of a model, by policy iteration.

    It begins with the greedy policy of a guess. With the values of a similar model, that is optimal
    or nearly so, and one or two linear systems are solved.

    Args:
        probability: (S, A, S) the probabilities of the next states; an episode ends with what they
            lack of 1.
        reward: (S, A) the expected rewards.
        gamma: The discount factor, in [0, 1).
        guess: (S, A) action values.

    Returns:
        q of shape (S, A), with the bounds of `nchain_env.planning.policy_iteration`.

    Raises:
        ValueError: gamma is so close to 1 that the rounding error of the values is not bounded.

    Source: Howard 1960; Puterman 1994, section 6.4.
    """
    states = np.arange(len(reward))
    weight = gamma * probability
    scale = np.abs(reward).max() / (1 - gamma)
    policy = guess.argmax(axis=1)
    seen: set[bytes] = set()
    while True:
        # policy iteration never comes back to a policy, except by a rounding error
        seen.add(policy.tobytes())
        equations = -weight[states, policy]
        equations[states, states] += 1.0
        try:
            v = np.linalg.solve(equations, reward[states, policy])
        except np.linalg.LinAlgError:
            v = np.full(len(states), np.inf)
        if not np.abs(v).max() <= 2 * scale:  # more than the values can be
            raise ValueError(
                f"gamma must be farther from 1 than the probabilities' sums are by rounding, "
                f"got {gamma!r}"
            )
        q: FloatArray = reward + weight @ v
        better = q.max(axis=1) > q[states, policy] + 1e-12 * scale
        improved = np.where(better, q.argmax(axis=1), policy)
        if improved.tobytes() in seen:
            return q
        policy = improved
