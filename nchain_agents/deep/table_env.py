"""An outcome table, as the compiled training loop steps it."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from keras import ops

from nchain_agents.deep.replay import LARGEST_REWARD
from nchain_agents.model_env import model_env
from nchain_env.mdp import FloatArray
from nchain_env.uniform import split


class Transition(NamedTuple):
    """What a step of an environment gives to the compiled loop."""

    position: Any  # the environment's, before the reset that may follow
    record: Any  # a number by which `rewards` finds the reward
    reward: Any
    terminated: Any
    valid: Any  # whether all numbers are finite, and the reward is not too large


class OutcomeArrays(NamedTuple):
    """The outcome table, as the compiled program reads it."""

    next_state: Any  # (S A K,)
    reward: Any  # (S A K,)
    terminated: Any  # (S A K,)
    cumulative: Any  # (S A, K), split
    initial: Any  # (S,) cumulative, split


class TableEnv:
    """An environment that is known to sample its outcome table; its position is the state.

    Its random numbers are drawn in advance, and those that were not used are put back.
    """

    record_type: Any = np.int32

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        self._wrapped = env
        self.read()

    def read(self) -> bool:
        """Read the table, which may have been changed since the last training.

        Returns whether a program that was compiled for the table before is one for this table.
        """
        self._env = model_env(self._wrapped)
        mdp = self._env.mdp
        self.num_actions = mdp.num_actions
        self._rewards = mdp.reward.ravel()
        if np.abs(self._rewards).max() > LARGEST_REWARD:
            raise ValueError(f"env must have rewards of at most {LARGEST_REWARD:g} in its table")
        self.arrays = OutcomeArrays(
            mdp.next_state.ravel().astype(np.int32),
            self._rewards.astype(np.float32),
            mdp.terminated.ravel(),
            split(mdp.cumulative.reshape(-1, mdp.cumulative.shape[-1])),
            split(mdp.cumulative_initial),
        )
        self.max_episode_steps = self._env.max_episode_steps
        # agents learn together where this is equal
        self.signature = mdp.next_state.shape
        return True

    def begin(self, observation: Any) -> tuple[Any, int]:
        """Return where the environment is, and the number of steps since its reset."""
        self._mark()
        state, elapsed = self._env.position
        return np.int32(state), elapsed

    def draw(self, count: int, length: int) -> Any:
        """Draw the random numbers of `count` steps and resets, padded to `length`."""
        numbers = self._env.np_random.random(2 * count)
        return tuple(np.pad(part, (0, 2 * (length - count))) for part in split(numbers))

    def rewind(self, used: int) -> None:
        """Put back all but so many of the random numbers drawn since the last time."""
        generator = self._env.np_random
        generator.bit_generator.state = self._state_before
        generator.random(used)
        self._mark()

    def _mark(self) -> None:
        self._state_before = self._env.np_random.bit_generator.state

    def row(self, position: Any) -> Any:
        """Return the observation as a row, (1, D)."""
        return ops.reshape(ops.cast(position, "float32"), (1, 1))

    def step(
        self, arrays: OutcomeArrays, numbers: Any, used: Any, position: Any, action: Any
    ) -> Transition:
        """Take a step with the next of the numbers, of which so many were used."""
        pair = position * self.num_actions + action
        k = first_above(_both_at(arrays.cumulative, pair), _both_at(numbers, used))
        outcome = pair * arrays.cumulative[0].shape[1] + k
        return Transition(
            at(arrays.next_state, outcome),
            outcome,
            at(arrays.reward, outcome),
            at(arrays.terminated, outcome),
            True,
        )

    def restarted(
        self, arrays: OutcomeArrays, numbers: Any, used: Any, position: Any, ended: Any
    ) -> Any:
        """Return the beginning of a new episode where one ended, else the position."""
        start = first_above(arrays.initial, _both_at(numbers, used))
        return ops.where(ended, start, position)

    def rewards(self, records: npt.NDArray[Any]) -> FloatArray:
        """Return the rewards of steps."""
        rewards: FloatArray = self._rewards[records]
        return rewards

    def finish(self, position: Any, elapsed: int) -> Any:
        """Set the environment to where the program left it, and return the observation."""
        self._env.position = int(position), elapsed
        return int(position)


def at(array: Any, index: Any) -> Any:
    """Return array[index]."""
    # TensorFlow compiles array[index] anew whenever what the index is computed from has changed
    return ops.take(array, index, axis=0)


def _both_at(pair: tuple[Any, ...], index: Any) -> tuple[Any, ...]:
    return tuple(at(part, index) for part in pair)


def first_above(thresholds: tuple[Any, ...], number: tuple[Any, ...]) -> Any:
    """Return the index of the first threshold above the number, as `categorical_sample` does."""
    (high, low), (number_high, number_low) = thresholds, number
    return first((high > number_high) | ((high == number_high) & (low > number_low)))


def first(mask: Any) -> Any:
    """Return the first index where the mask is true, 0 if it is nowhere."""
    return ops.argmax(ops.cast(mask, "int32"))
