"""An outcome table as pure functions of JAX: Gymnasium's functional environments.

Only this module of the package needs JAX.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.error import DependencyNotInstalled
from gymnasium.experimental.functional import FuncEnv

from nchain_env.extras import install_command
from nchain_env.mdp import FloatArray, TabularMDP
from nchain_env.uniform import split

try:
    import jax
    import jax.numpy as jnp
except ImportError as error:
    raise DependencyNotInstalled(
        f"nchain_env.functional needs JAX, run `{install_command('jax')}`"
    ) from error


class TabularFuncEnv(FuncEnv[Any, Any, Any, Any, Any, Any, Any]):
    """An outcome table as Gymnasium's `FuncEnv`: pure functions, for `jax.jit` and `jax.vmap`.

    A state is an int32: the number of the outcome that led there, because the reward and the
    termination belong to outcomes. Outcome k of action a in state s of the table has the number
    (s A + a) K + k; S A K + s is the beginning of an episode in state s. The observation is the
    state of the table.

    A step, like a reset, compares a random number of 53 bits with the cumulative probabilities, in
    integers: no probability is rounded to single precision, and an outcome of probability 0 never
    occurs. Rewards are in single precision. As in all code of JAX, an action that does not exist is
    not refused, and gives another one's outcome.

    Args:
        mdp: The outcome table.

    Raises:
        ValueError: A reward is infinite in single precision.
    """

    def __init__(self, mdp: TabularMDP) -> None:
        super().__init__()
        self.observation_space = gym.spaces.Discrete(mdp.num_states)
        self.action_space = gym.spaces.Discrete(mdp.num_actions)
        with np.errstate(over="ignore"):
            reward = mdp.reward.astype(np.float32)
        if not np.isfinite(reward).all():
            raise ValueError("mdp must have rewards that are finite in single precision")
        states = np.arange(mdp.num_states)
        nothing = np.zeros(mdp.num_states)
        self._state = _joined(mdp.next_state, states, np.int32)
        self._reward = _joined(reward, nothing, np.float32)
        self._terminated = _joined(mdp.terminated, nothing, np.bool_)
        self._outcomes = _thresholds(mdp.probability, mdp.cumulative)
        self._starts = _thresholds(mdp.initial, mdp.cumulative_initial)

    def initial(self, rng: Any, params: Any = None) -> Any:
        """Return the state at the beginning of an episode."""
        return self._outcomes[0].size + _sampled(self._starts, rng)

    def transition(self, state: Any, action: Any, rng: Any, params: Any = None) -> Any:
        """Return the next state."""
        place = self._state[state], action
        _, num_actions, outcomes = self._outcomes[0].shape
        k = _sampled(tuple(part[place] for part in self._outcomes), rng)
        return (place[0] * num_actions + jnp.asarray(action, jnp.int32)) * outcomes + k

    def observation(self, state: Any, rng: Any = None, params: Any = None) -> Any:
        """Return the state of the table."""
        return self._state[state]

    def reward(
        self, state: Any, action: Any, next_state: Any, rng: Any = None, params: Any = None
    ) -> Any:
        """Return the reward of the outcome that led to `next_state`."""
        return self._reward[next_state]

    def terminal(self, state: Any, rng: Any = None, params: Any = None) -> Any:
        """Return whether the outcome that led to the state terminates the episode."""
        return self._terminated[state]


def _joined(
    outcomes: npt.NDArray[Any], starts: npt.NDArray[Any], dtype: type[np.generic]
) -> jax.Array:
    return jnp.asarray(np.concatenate([outcomes.ravel(), starts]).astype(dtype))


def _thresholds(probability: FloatArray, cumulative: FloatArray) -> tuple[jax.Array, ...]:
    """Return cumulative probabilities, split; they are 1 from the last possible outcome on.

    By rounding they may end below 1.
    """
    outcomes = probability.shape[-1]
    last = outcomes - 1 - np.argmax(probability[..., ::-1] > 0, axis=-1, keepdims=True)
    exact = np.where(np.arange(outcomes) < last, cumulative, 1.0)
    return tuple(jnp.asarray(part) for part in split(exact))


def _sampled(thresholds: tuple[jax.Array, ...], rng: Any) -> jax.Array:
    """Return the first index whose threshold is above a random number."""
    (high, low), bits = thresholds, jax.random.bits(rng, (2,), jnp.uint32)
    # the upper 26 bits of one number, and the upper 27 of the other
    number_high, number_low = (bits >> jnp.array([6, 5], jnp.uint32)).astype(jnp.int32)
    above = (high > number_high) | ((high == number_high) & (low > number_low))
    return jnp.argmax(above, axis=-1).astype(jnp.int32)
