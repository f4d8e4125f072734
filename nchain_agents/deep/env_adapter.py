"""One environment or a vector of them, stepped the same way."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import VectorEnv

from nchain_agents.deep.encoding import Encoding, Float32Array
from nchain_env.mdp import BoolArray, FloatArray
from nchain_env.vector_env import AutoresetMode


class Step(NamedTuple):
    """The result of a step of N environments."""

    next_observations: Float32Array  # (N, D), of episodes that ended the last ones
    rewards: FloatArray  # (N,)
    terminated: BoolArray  # (N,)
    ended: BoolArray  # (N,) terminated or truncated
    valid: BoolArray | None  # (N,) False where the step was a reset; None: all are valid
    # to act on next, as the environment gave them: after an episode's end, the next one's first
    observations: Any


class SingleEnv:
    """A Gymnasium environment."""

    num_envs = 1

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        self._env = env
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self.encoding = Encoding(self.observation_space)
        self.num_actions = _num_actions(self.action_space)

    def restart(self) -> None:
        """Prepare for a reset of all environments."""

    def step(self, actions: npt.NDArray[np.int64]) -> Step:
        """Take one step, and begin a new episode where one ended."""
        observation, reward, terminated, truncated, _ = self._env.step(int(actions[0]))
        ended = bool(terminated or truncated)
        rows = self.encoding.rows(observation, 1)
        if ended:
            observation, _ = self._env.reset()
        rewards = np.array([reward], dtype=np.float64)
        return Step(rows, rewards, np.array([terminated]), np.array([ended]), None, observation)


class VectorEnvs:
    """A Gymnasium vector environment, in any autoreset mode, which its metadata must name."""

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        self._env = env
        self.num_envs = env.num_envs
        self.observation_space = env.single_observation_space
        self.action_space = env.single_action_space
        self.encoding = Encoding(self.observation_space)
        self.num_actions = _num_actions(self.action_space)
        mode = env.metadata.get("autoreset_mode")
        if not isinstance(mode, AutoresetMode):
            raise ValueError(
                f"env must have an AutoresetMode as metadata['autoreset_mode'], got {mode!r}"
            )
        self._mode = mode
        self.restart()

    def restart(self) -> None:
        """Prepare for a reset of all environments."""
        # where the next step is a reset
        self._resets = np.zeros(self.num_envs, dtype=np.bool_)

    def step(self, actions: npt.NDArray[np.int64]) -> Step:
        """Take one step in each environment, and begin new episodes where some ended."""
        observations, rewards, terminated, truncated, infos = self._env.step(actions)
        valid = ~self._resets
        terminated = np.asarray(terminated, dtype=np.bool_)
        ended = (terminated | np.asarray(truncated, dtype=np.bool_)) & valid
        next_observations = self.encoding.rows(observations, self.num_envs)
        if self._mode is AutoresetMode.NEXT_STEP:
            self._resets = ended
        elif ended.any():
            if self._mode is AutoresetMode.SAME_STEP:
                for i in np.flatnonzero(ended):
                    next_observations[i] = self.encoding.rows(infos["final_obs"][i], 1)
            else:
                # a copy of the mask: Gymnasium takes it out of the dictionary, and may keep it
                options = {"reset_mask": ended.copy()}
                observations, _ = self._env.reset(options=options)
        rewards = np.array(rewards, dtype=np.float64)
        return Step(next_observations, rewards, terminated, ended, valid, observations)


EnvAdapter = SingleEnv | VectorEnvs


def adapted(env: Any) -> EnvAdapter:
    """Return an environment or a vector environment, to be stepped as one or the other."""
    return VectorEnvs(env) if isinstance(env, VectorEnv) else SingleEnv(env)


def _num_actions(space: gym.Space[Any]) -> int:
    if not isinstance(space, gym.spaces.Discrete) or space.start != 0:
        raise ValueError(f"env must have discrete actions numbered from 0, got {space}")
    return int(space.n)
