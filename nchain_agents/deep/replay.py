"""Experience replay (Lin 1992; Mnih et al. 2015)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]


class Batch(NamedTuple):
    """N transitions: observations before and reached (N, D), the rest (N,)."""

    observations: Float32Array
    actions: npt.NDArray[np.int64]
    rewards: Float32Array
    reached: Float32Array
    terminated: npt.NDArray[np.bool_]


class ReplayBuffer:
    """The last `capacity` transitions, sampled uniformly with replacement.

    Args:
        capacity: How many transitions are kept.
        width: D, the length of a flat observation.
    """

    def __init__(self, capacity: int, width: int) -> None:
        self.capacity = capacity
        self.added = 0
        self._stored = Batch(
            np.zeros((capacity, width), dtype=np.float32),
            np.zeros(capacity, dtype=np.int64),
            np.zeros(capacity, dtype=np.float32),
            np.zeros((capacity, width), dtype=np.float32),
            np.zeros(capacity, dtype=np.bool_),
        )

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(
        self,
        observation: Float32Array,
        action: int,
        reward: float,
        reached: Float32Array,
        terminated: bool,
    ) -> None:
        """Keep one transition, in place of the oldest where the buffer is full."""
        row, stored = self.added % self.capacity, self._stored
        stored.observations[row], stored.reached[row] = observation, reached
        stored.actions[row], stored.rewards[row] = action, reward
        stored.terminated[row] = terminated
        self.added += 1

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Return `size` transitions, each drawn uniformly from all that are kept."""
        rows, stored = rng.integers(len(self), size=size), self._stored
        return Batch(
            stored.observations[rows],
            stored.actions[rows],
            stored.rewards[rows],
            stored.reached[rows],
            stored.terminated[rows],
        )
