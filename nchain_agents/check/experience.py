"""What an agent saw and did, recorded at the environment's side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from nchain_env.mdp import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Experience:
    """The transitions of an agent in the order in which they happened, arrays of shape (T,).

    The environments of a vector environment follow each other. Where an environment or the
    recording of one ends, and where the agent reset it before the end of an episode, a sequence
    ends.

    Args:
        num_states: The number of states, S.
        num_actions: The number of actions, A.
        state: The observation that was acted on.
        action: The action.
        reward: The reward.
        next_state: The next observation, at the end of an episode its final one.
        terminated: Whether the step terminated the episode.
        truncated: Whether the step truncated the episode and did not terminate it.
        seen_next: The observation that the agent acted on next: where an episode ended, the first
            one of the next episode, or the final one if a ghost step follows; at the end of a
            sequence the next observation.
        previous_reward: The reward of the step before; 0 for the first step of a sequence.
        last: Whether the step after it in these arrays belongs to another episode, or to none. A
            ghost step belongs to the episode that it begins.
        ghost: Whether the environment ignored the action, as a vector environment does that resets
            in the step after an episode's end. The state is the final observation, and the next
            state the first one.
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
        later = np.arange(len(self.state)) >= start * len(self.state)
        return replace(self, **{name: getattr(self, name)[later] for name in _COLUMNS})


_COLUMNS = [field.name for field in fields(Experience)][2:]  # all but the numbers

# state, action, reward, next_state, terminated, truncated, ghost
Step = tuple[int, int, float, int, bool, bool, bool]
_STEP = np.dtype(
    [
        ("state", np.int64),
        ("action", np.int64),
        ("reward", np.float64),
        ("next_state", np.int64),
        ("terminated", np.bool_),
        ("truncated", np.bool_),
        ("ghost", np.bool_),
    ]
)


def experience(
    num_states: int, num_actions: int, sequences: Sequence[Sequence[Step]]
) -> Experience:
    """Return the experience of sequences of steps, at least one for each environment.

    A sequence must have all steps between its first and its last one, whose states are what the
    agent acted on. So the state of the step after an episode's end is the first one of the next
    episode; where it is a ghost step, it is the final observation, which the agent saw.
    """
    parts = [_columns(np.array(sequence, dtype=_STEP)) for sequence in sequences]
    together = {name: np.concatenate([part[name] for part in parts]) for name in _COLUMNS}
    return Experience(num_states, num_actions, **together)


def _columns(steps: np.ndarray) -> dict[str, np.ndarray]:
    state, next_state, terminated = steps["state"], steps["next_state"], steps["terminated"]
    ended = terminated | steps["truncated"]
    seen_next, previous_reward, last = next_state.copy(), np.zeros(len(steps)), ended.copy()
    seen_next[:-1] = np.where(ended[:-1], state[1:], next_state[:-1])
    previous_reward[1:] = steps["reward"][:-1]
    last[-1:] = True
    return {
        **{name: steps[name] for name in _STEP.names or ()},
        "truncated": steps["truncated"] & ~terminated,
        "seen_next": seen_next,
        "previous_reward": previous_reward,
        "last": last,
    }
