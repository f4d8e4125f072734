"""Environments whose steps can be taken on their outcome table, with the same random numbers.

All others are stepped, or checked by stepping (see `model_check`).
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from nchain_env.known_tables import NotKnown, known_table, time_limit, time_limits

# The time limit of an environment that has none.
NEVER = 2**62


class EpisodeClock:
    """The time limits of an environment, and the number of steps since its reset."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        self._env, self._limits = env, time_limits(env)

    @property
    def max_episode_steps(self) -> int:
        """The number of steps after which an episode is cut off; NEVER without a time limit."""
        limit = time_limit(self._env)
        return NEVER if limit is None else limit

    @property
    def elapsed(self) -> int:
        """The number of steps since the reset; 0 without a time limit."""
        return self._limits[0]._elapsed_steps if self._limits else 0

    @elapsed.setter
    def elapsed(self, elapsed: int) -> None:
        for limit in self._limits:
            limit._elapsed_steps = elapsed


class ModelEnv(EpisodeClock):
    """An environment whose steps can be taken on its table, with the same random numbers.

    Its state is `s`. A step, like a reset, draws one number and takes the first outcome whose
    cumulative probability exceeds it.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.mdp = known_table(env)
        self._model: Any = env.unwrapped
        refuse_drawing(self._model)

    @property
    def np_random(self) -> np.random.Generator:
        """The environment's generator."""
        generator: np.random.Generator = self._model.np_random
        return generator

    @property
    def position(self) -> tuple[int, int]:
        """The state, and the number of steps since the reset."""
        return int(self._model.s), self.elapsed

    @position.setter
    def position(self, position: tuple[int, int]) -> None:
        self._model.s, self.elapsed = position


def refuse_drawing(env: Any) -> None:
    """Refuse an environment that is drawn as it is stepped."""
    if env.render_mode is not None:
        raise NotKnown("env has a render mode, and what is not stepped is not drawn")


def model_env(env: gym.Env[Any, Any]) -> ModelEnv:
    """Return a `ModelEnv` of an environment that was reset; NotKnown if it was not."""
    model = ModelEnv(env)
    if getattr(env.unwrapped, "s", None) is None:
        raise NotKnown("env must have been reset")
    return model
