"""What an agent saw and did, recorded at the environment's side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nchain_env.mdp import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Experience:
    """The transitions of an agent in the order in which they happened, arrays of shape (T,).

    The environments of a vector environment follow each other.

    Args:
        num_states: The number of states, S.
        num_actions: The number of actions, A.
        state: The observation that was acted on.
        action: The action.
        reward: The reward.
        next_state: The next observation, at the end of an episode its final one.
        terminated: Whether the step terminated the episode.
        truncated: Whether the step truncated the episode and did not terminate it.
        seen_next: What the agent saw next: the first observation of the next episode where one
            ended, else the next observation.
        previous_reward: The reward of the step before; 0 for the first step.
        last: Whether the step after it in these arrays belongs to another episode.
        ghost: Whether the environment ignored the action, as a vector environment does that resets
            in the step after an episode's end.
    """

    num_states: int
    num_actions: int
    state: IntArray
    action: IntArray
    reward: FloatArray
    next_state: IntArray
    terminated: BoolArray
    truncated: BoolArray
    seen_next: IntArray
    previous_reward: FloatArray
    last: BoolArray
    ghost: BoolArray

    @property
    def ended(self) -> BoolArray:
        """Whether the step ended an episode."""
        return self.terminated | self.truncated

    @property
    def visits(self) -> IntArray:
        """How often each action was taken in each state, (S, A)."""
        counts = np.zeros((self.num_states, self.num_actions), dtype=np.int64)
        real = ~self.ghost
        np.add.at(counts, (self.state[real], self.action[real]), 1)
        return counts

    @property
    def policy(self) -> FloatArray:
        """The frequencies of the actions in each state, (S, A); uniform where none was taken."""
        visits = self.visits
        total = visits.sum(axis=1, keepdims=True)
        uniform = np.full(visits.shape, 1 / self.num_actions)
        return np.where(total > 0, visits / np.maximum(total, 1), uniform)

    def since(self, start: float) -> Experience:
        """Return the part after a fraction of the steps."""
        return self._part(np.arange(len(self.state)) >= start * len(self.state))

    def _part(self, chosen: BoolArray) -> Experience:
        columns = {name: getattr(self, name)[chosen] for name in _COLUMNS}
        return Experience(self.num_states, self.num_actions, **columns)


_COLUMNS = (
    "state",
    "action",
    "reward",
    "next_state",
    "terminated",
    "truncated",
    "seen_next",
    "previous_reward",
    "last",
    "ghost",
)

# state, action, reward, next_state, terminated, truncated, ghost
Step = tuple[int, int, float, int, bool, bool, bool]


def experience(num_states: int, num_actions: int, episodes: Sequence[Sequence[Step]]) -> Experience:
    """Return the experience of sequences of steps, one sequence for each environment.

    The states of a sequence must be what the agent acted on, so that the state of a step after an
    episode's end is the first one of the next episode.
    """
    parts = [_columns(sequence) for sequence in episodes if sequence]
    together = {name: np.concatenate([part[name] for part in parts]) for name in _COLUMNS}
    return Experience(num_states, num_actions, **together)


def _columns(steps: Sequence[Step]) -> dict[str, np.ndarray]:
    state, action, reward, next_state, terminated, truncated, ghost = map(np.array, zip(*steps))
    ended = terminated | truncated
    return {
        "state": state.astype(np.int64),
        "action": action.astype(np.int64),
        "reward": reward.astype(np.float64),
        "next_state": next_state.astype(np.int64),
        "terminated": terminated,
        "truncated": truncated & ~terminated,
        "seen_next": np.append(np.where(ended[:-1], state[1:], next_state[:-1]), next_state[-1]),
        "previous_reward": np.append(0.0, reward[:-1]),
        "last": np.append(ended[:-1], True),
        "ghost": ghost,
    }
