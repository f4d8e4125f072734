"""What stable-baselines3's callbacks need: an environment as it has them, and calls at each step.

Source: stable-baselines3's documentation, Callbacks, for the order of the calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv

from nchain_agents.extras import needed_for


def is_callback(callback: Any) -> bool:
    """Return whether something is a callback of stable-baselines3's."""
    needed = ("init_callback", "on_training_start", "update_locals", "on_step", "on_training_end")
    return all(callable(getattr(callback, name, None)) for name in needed)


def vec_env(env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> Any:
    """Return an environment as a `VecEnv` of stable-baselines3; a vector environment as it is.

    Raises:
        ModuleNotFoundError: stable-baselines3 is not installed.
    """
    if isinstance(env, VectorEnv):
        return env
    with needed_for("get_env", "sb3"):
        from stable_baselines3.common.env_util import is_wrapped
        from stable_baselines3.common.monitor import Monitor
        from stable_baselines3.common.vec_env import DummyVecEnv
    monitored = env if is_wrapped(env, Monitor) else Monitor(env)
    return DummyVecEnv([lambda: monitored])


class SB3Callback:
    """A callback of stable-baselines3's as a function of the agent, called after each step.

    Each step is a rollout of its own, as the agents learn after each. The local variables that the
    callback is told are the arguments of `learn`, and `dones`.
    """

    n_steps = 1

    def __init__(self, callback: Any) -> None:
        self._callback = callback
        self._end = 0

    def begin(self, agent: Any, arguments: Mapping[str, Any]) -> None:
        """Call what is called when a training begins."""
        self._end = int(arguments["total_timesteps"])
        self._callback.init_callback(agent)
        self._callback.on_training_start(dict(arguments), {})
        self._callback.on_rollout_start()

    def __call__(self, agent: Any) -> bool:
        """Call what is called after a step; return whether to go on."""
        self._callback.update_locals({"dones": agent.dones})
        if not self._callback.on_step():
            return False
        self._callback.on_rollout_end()
        if agent.num_timesteps < self._end:
            self._callback.on_rollout_start()
        return True

    def end(self) -> None:
        """Call what is called when a training has ended."""
        self._callback.on_training_end()
