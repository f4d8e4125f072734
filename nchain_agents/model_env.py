"""Environments that sample their own outcome table, seen through their wrappers."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from nchain_env.mdp import TabularMDP

# No episode gets here.
NEVER = 2**62
# These change nothing that an agent sees, but for the time limit, which is kept.
_TRANSPARENT = (OrderEnforcing, PassiveEnvChecker, TimeLimit)


class ModelEnv:
    """An environment whose steps can be taken on its table instead, with the same random numbers.

    Toy-text's environments are such: their state is `s`, a step draws one number and takes the
    first outcome of `P` whose cumulative probability exceeds it, and so does a reset.

    Args:
        env: The environment.

    Raises:
        ValueError: It is not such an environment; the message says why.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        self._limits: list[Any] = []
        layer: gym.Env[Any, Any] = env
        while isinstance(layer, gym.Wrapper):
            if type(layer) not in _TRANSPARENT:
                raise ValueError(f"env wears {type(layer).__name__}, which may change what is seen")
            if isinstance(layer, TimeLimit):
                self._limits.append(layer)
            layer = layer.env
        self.mdp = TabularMDP.from_env(layer)
        if layer.render_mode is not None:
            raise ValueError("env has a render mode, and what is not stepped is not drawn")
        # Taxi's fickle passenger changes his mind outside the table.
        if getattr(layer, "fickle_passenger", False):
            raise ValueError("env has a fickle passenger, who is not in its table")
        self._model: Any = layer

    @property
    def max_episode_steps(self) -> int:
        """The number of steps after which an episode is cut off; NEVER without a time limit."""
        return min((limit._max_episode_steps for limit in self._limits), default=NEVER)

    @property
    def np_random(self) -> np.random.Generator:
        """The environment's generator."""
        generator: np.random.Generator = self._model.np_random
        return generator

    @property
    def position(self) -> tuple[int, int]:
        """The state, and the number of steps since the reset."""
        return int(self._model.s), self._limits[0]._elapsed_steps if self._limits else 0

    @position.setter
    def position(self, position: tuple[int, int]) -> None:
        self._model.s, elapsed = position
        for limit in self._limits:
            limit._elapsed_steps = elapsed


def model_env(env: gym.Env[Any, Any]) -> ModelEnv:
    """Return an environment that was reset as a `ModelEnv`.

    Raises:
        ValueError: It is none; the message says why.
    """
    if not hasattr(env.unwrapped, "s"):  # toy-text's have it from the first reset on
        raise ValueError("env must keep its state in `s`, as toy-text's do")
    return ModelEnv(env)
