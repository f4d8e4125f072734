"""Evidence from the values: which update they are consistent with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nchain_agents.check.experience import Experience
from nchain_agents.check.explanations import Update
from nchain_env.mdp import FloatArray, IntArray


class Backup(NamedTuple):
    """The mean targets of an update on an experience, as a function of Q.

    Args:
        reward: (S, A) the mean reward.
        weight: (S, A, S) the mean discount by next state.
        count: (S, A) how many transitions were learned from.
        value: V, (S,), as a function of Q, (S, A).
    """

    reward: FloatArray
    weight: FloatArray
    count: IntArray
    value: Callable[[FloatArray], FloatArray]

    @classmethod
    def of(cls, x: Experience, update: Update) -> Backup:
        """Return the backup of an update."""
        shape = (x.num_states, x.num_actions)
        used = np.flatnonzero(update.learned)
        row, action = update.row[x.state[used]], x.action[used]
        pair = row * x.num_actions + action
        size = x.num_states * x.num_actions
        count = np.bincount(pair, minlength=size)
        each = np.maximum(count, 1)
        reward = np.bincount(pair, update.reward[used], size) / each
        triple = pair * x.num_states + update.next_state[used]
        weight = np.bincount(triple, update.discount[used], size * x.num_states)
        weight = weight.reshape(size, -1) / each[:, None]
        return cls(
            reward.reshape(shape)[update.row],
            weight.reshape(*shape, -1)[update.row],
            count.reshape(shape)[update.row],
            update.value,
        )

    def __call__(self, q: FloatArray) -> FloatArray:
        """Return the mean targets, (S, A)."""
        return np.asarray(self.reward + self.weight @ self.value(q))

    def fixed_point(self, start: FloatArray, sweeps: int = 3000) -> FloatArray:
        """Return the values that are their own mean targets; `start` where nothing was learned."""
        q, known = start.copy(), self.count > 0
        for _ in range(sweeps):
            before, q = q, np.where(known, self(q), start)
            if np.abs(q - before).max() < 1e-9:
                break
        return q
