"""Observations as rows of numbers, and as inputs of a network."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]


class Encoding:
    """Observations of a Discrete, MultiDiscrete or Box space, as flat rows and as network inputs.

    The inputs are one-hot for discrete spaces, and the rows themselves for boxes.
    """

    def __init__(self, space: gym.Space[Any]) -> None:
        self.space = space
        # of each discrete number: its lowest value, and how many values there are
        self._counts: list[tuple[int, int]] | None = None
        if isinstance(space, gym.spaces.Discrete):
            self._counts = [(int(space.start), int(space.n))]
        elif isinstance(space, gym.spaces.MultiDiscrete):
            starts, sizes = space.start.ravel().tolist(), space.nvec.ravel().tolist()
            self._counts = list(zip(starts, sizes, strict=True))
        elif not isinstance(space, gym.spaces.Box):
            raise ValueError(f"env must have discrete or box observations, got {space}")
        # the numbers in a row, and in an input of the network
        self.width = math.prod(space.shape or ())
        self.inputs = self.width if self._counts is None else sum(n for _, n in self._counts)

    def rows(self, observations: Any, num: int) -> Float32Array:
        """Return a copy of `num` observations as rows, (num, width)."""
        with np.errstate(over="ignore"):  # callers refuse what becomes infinite
            return np.array(observations, dtype=np.float32).reshape(num, self.width)

    def encode(self, rows: Any) -> Any:
        """Return the network's inputs, (N, inputs), for rows, (N, width)."""
        if self._counts is None:
            return rows
        from keras import ops

        columns = [
            ops.one_hot(ops.cast(rows[:, i] - start, "int32"), size, dtype="float32")
            for i, (start, size) in enumerate(self._counts)
        ]
        return columns[0] if len(columns) == 1 else ops.concatenate(columns, axis=1)

    def checked_rows(self, observations: npt.ArrayLike) -> tuple[Float32Array, bool]:
        """Return observations of the space as rows, and whether it was a single one."""
        given = np.asarray(observations)
        shape = self.space.shape or ()
        single = given.shape == shape
        if not single and given.shape[1:] != shape:
            raise ValueError(
                f"observation must have shape {shape} or a batch of it, got {given.shape}"
            )
        batch = given[None] if single else given
        if self._counts is not None:
            for observation in batch:
                if observation not in self.space:
                    raise ValueError(f"observation must be in {self.space}, got {observation!r}")
        rows = self.rows(batch, len(batch))
        if not np.isfinite(rows).all():
            raise ValueError(f"observation must be finite in single precision, got {given}")
        return rows, single
