"""Experience replay (Lin 1992; Mnih et al. 2015).

A transition is one row of numbers, so that a batch is one array. `Batch.of` splits rows again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nchain_agents.deep.encoding import Float32Array
from nchain_env.mdp import FloatArray

# The squares of the sums of such rewards fit in single precision.
LARGEST_REWARD = 1e15


class Batch(NamedTuple):
    """B transitions: observations and next_observations (B, D), the rest (B,)."""

    observations: Any
    next_observations: Any
    actions: Any
    rewards: Any
    discounts: Any  # of the next value: gamma^steps, or 0 after a terminal step
    ended: Any  # whether the episode ended, by its rules or cut off
    # which members learn from it, 1 or 0, (B, K); then the other numbers are (B, 1)
    masks: Any = 1.0

    @classmethod
    def of(cls, rows: Any, members: int = 0) -> Batch:
        """Take rows, (B, K + 2 D + 4) with the masks of K members, apart; any backend's."""
        width = (rows.shape[-1] - members - 4) // 2
        middle, end = members + width, members + 2 * width
        observations, next_observations = rows[..., members:middle], rows[..., middle:end]
        if not members:
            last = (rows[..., end + column] for column in range(4))
            return cls(observations, next_observations, *last)
        last = (rows[..., end + column, None] for column in range(4))
        return cls(observations, next_observations, *last)._replace(masks=rows[..., :members])


class Replay:
    """The last transitions of each of N environments, sampled uniformly with replacement.

    Args:
        capacity: How many transitions are kept in all, at least 1 of each environment.
        width: D, the length of an observation.
        num_envs: N.
        gamma: The discount factor.
        n_steps: How many steps a sampled transition spans, unless its episode ends before.
        members: K, the members of an ensemble, for each of which a mask is kept; 0: none.
    """

    def __init__(
        self,
        capacity: int,
        width: int,
        num_envs: int = 1,
        gamma: float = 0.99,
        n_steps: int = 1,
        members: int = 0,
    ) -> None:
        self.gamma, self.n_steps, self.members = gamma, n_steps, members
        # rows[i, e] is a transition of environment e
        self.rows: Float32Array = np.zeros(
            (max(capacity // num_envs, 1), num_envs, members + 2 * width + 4), dtype=np.float32
        )
        # how many transitions each environment has added
        self.added = np.zeros(num_envs, dtype=np.int64)

    def __len__(self) -> int:
        return int(np.minimum(self.added, len(self.rows)).sum())

    def add(
        self,
        observations: Float32Array,
        next_observations: Float32Array,
        actions: npt.NDArray[np.int64],
        rewards: FloatArray,
        terminated: npt.NDArray[np.bool_],
        ended: npt.NDArray[np.bool_],
        valid: npt.NDArray[np.bool_] | None = None,
        masks: npt.NDArray[Any] | None = None,
    ) -> None:
        """Keep one transition of each environment (of those in `valid`), over its oldest."""
        begin, middle = self.members, self.members + observations.shape[1]
        # in place where all environments are at the same row
        in_place = self.rows[self.added[0] % len(self.rows)]
        new = in_place if valid is None else np.empty_like(in_place)
        if masks is not None:
            new[:, :begin] = masks
        new[:, begin:middle], new[:, middle:-4] = observations, next_observations
        new[:, -4], new[:, -3] = actions, rewards
        new[:, -2], new[:, -1] = np.where(terminated, 0.0, self.gamma), ended
        if valid is None:
            self.added += 1
            return
        (envs,) = np.nonzero(valid)
        self.rows[self.added[envs] % len(self.rows), envs] = new[envs]
        self.added[envs] += 1

    def cut(self) -> None:
        """Let no transition span from what is kept to what comes next."""
        (envs,) = np.nonzero(self.added)
        self.rows[(self.added[envs] - 1) % len(self.rows), envs, -1] = 1.0

    def sample(self, uniform: FloatArray) -> Float32Array:
        """Return a row for each number in [0, 1): the kept transition that lies there."""
        index = (uniform * len(self)).astype(np.int64)
        envs: Any = np.int64(0)
        if len(self.added) > 1:
            kept = np.minimum(self.added, len(self.rows))
            first = np.cumsum(kept)
            envs = np.searchsorted(first, index, side="right")
            index -= (first - kept)[envs]
        sampled: Float32Array
        if self.n_steps == 1:
            sampled = self.rows[index, envs]
        else:
            newest = (self.added - 1) % len(self.rows)
            sampled = n_step_return(
                self.rows, index, envs, newest, self.gamma, self.n_steps, np, self.members
            )
        return sampled


def n_step_return(
    rows: Any,
    index: Any,
    envs: Any,
    newest: Any,
    gamma: float,
    n_steps: int,
    xp: Any = np,
    members: int = 0,
) -> Any:
    """Return transitions that span up to `n_steps`, cut at the end of an episode and at the newest.

    Args:
        rows: (T, N, W) the transitions.
        index: (...,) where each sample begins.
        envs: (...,) in which environment.
        newest: (N,) where each environment's newest transition is.
        gamma: The discount factor.
        n_steps: The largest number of steps.
        xp: The module of the arrays, `numpy` or `keras.ops`.
        members: How many masks a row begins with; those of the first transition count.

    Source: Sutton & Barto 2018, section 7.1; cut where stable-baselines3 cuts.
    """
    length, num_envs, columns = rows.shape
    flat = xp.reshape(rows, (length * num_envs, columns))
    if n_steps == 1:
        return xp.take(flat, index * num_envs + envs, axis=0)
    steps = np.arange(n_steps, dtype=np.int32)
    power = (gamma**steps).astype(np.float32)
    ahead = (index[..., None] + steps) % length
    run = xp.take(flat, ahead * num_envs + envs[..., None], axis=0)  # [..., n, W]
    ends = (run[..., -1] > 0) | (ahead == xp.take(newest, envs)[..., None])
    last = xp.argmax(xp.where(ends | (steps == n_steps - 1), 1, 0), axis=-1)
    final = xp.take(flat, (index + last) % length * num_envs + envs, axis=0)
    returns = xp.sum(xp.where(steps <= last[..., None], run[..., -3] * power, 0.0), axis=-1)
    first, middle = run[..., 0, :], (columns - 4 + members) // 2
    return xp.concatenate(
        [
            first[..., :middle],
            final[..., middle:-4],
            first[..., -4:-3],
            returns[..., None],
            (final[..., -2] * xp.take(power, last))[..., None],
            final[..., -1:],
        ],
        axis=-1,
    )
