"""The parameter `env` of agents and of `score`."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv

import nchain_env  # noqa: F401  (registers NChain-v0)


def environment(env: Any) -> Any:
    """Return the environment, or the vector environment, that was given or that an id names."""
    if isinstance(env, gym.Env | VectorEnv):
        return env
    if isinstance(env, str):
        try:
            return gym.make(env)
        except gym.error.Error as error:
            raise ValueError(
                f"env must be the id of an environment, got {env!r}: {error}"
            ) from error
    if any(base.__module__.startswith("stable_baselines3.") for base in type(env).__mro__):
        raise ValueError(
            f"env must be an environment of Gymnasium's, got stable-baselines3's "
            f"{type(env).__name__}; use gymnasium.make_vec(id, num_envs=...), or "
            "gymnasium.vector.SyncVectorEnv with the functions that make the environments"
        )
    raise ValueError(f"env must be an environment of Gymnasium's or the id of one, got {env!r}")
