"""What an ensemble adds to the training loops: which member acts, and which members learn.

Where there is nothing to draw, as for one network, no random numbers are used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nchain_agents.deep.encoding import Float32Array
from nchain_agents.deep.hyperparameters import Hyperparameters
from nchain_env.mdp import FloatArray, IntArray

# The first two numbers of a step are those of the epsilon-greedy action.
_MEMBER = 2


def numbers_per_step(hyperparameters: Hyperparameters) -> int:
    """Return how many random numbers a step takes: for the action, the next member and masks."""
    return _first_mask(hyperparameters) + _num_masks(hyperparameters)


def next_members(hyperparameters: Hyperparameters, uniform: FloatArray) -> IntArray:
    """Return the members, (N,), that act from the next episode on.

    Args:
        hyperparameters: Those of the learner.
        uniform: (`numbers_per_step`, N) random numbers in [0, 1).

    Source: Osband et al. 2016, Deep Exploration via Bootstrapped DQN, algorithm 1.
    """
    num_envs = uniform.shape[1]
    if hyperparameters.ensemble_size < 2:
        return np.zeros(num_envs, dtype=np.int64)
    members: IntArray = (uniform[_MEMBER] * hyperparameters.ensemble_size).astype(np.int64)
    return members


def bootstrap_masks(hyperparameters: Hyperparameters, uniform: FloatArray) -> npt.NDArray[Any]:
    """Return which members learn from a transition, 1 or 0, (N, K).

    Args:
        hyperparameters: Those of the learner.
        uniform: (`numbers_per_step`, N) random numbers in [0, 1).

    Source: Osband et al. 2016, Deep Exploration via Bootstrapped DQN, section 3.
    """
    if not _num_masks(hyperparameters):
        return np.ones((uniform.shape[1], hyperparameters.ensemble_size), dtype=np.float32)
    numbers = uniform[_first_mask(hyperparameters) :].T
    return (numbers < hyperparameters.mask_probability).astype(np.float32)


def of_members(values: Float32Array, members: IntArray) -> Float32Array:
    """Return the values to act by, (N, A), out of those of all members, (N, K, A), if any."""
    return values if values.ndim == 2 else values[np.arange(len(values)), members]


def _first_mask(hyperparameters: Hyperparameters) -> int:
    return _MEMBER + (hyperparameters.ensemble_size > 1)


def _num_masks(hyperparameters: Hyperparameters) -> int:
    return hyperparameters.ensemble_size if hyperparameters.mask_probability < 1 else 0
