"""An environment that records what an agent does to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym

from nchain_agents.check.experience import Experience, Step, experience


class Recorder(gym.Wrapper[Any, Any, Any, Any]):
    """Records the transitions, the seeds of `reset`, and what an agent must not do.

    Args:
        env: An environment with discrete observations and actions.
        on_step: Called after each step with the number of steps.
    """

    def __init__(
        self, env: gym.Env[Any, Any], on_step: Callable[[int], None] = lambda steps: None
    ) -> None:
        super().__init__(env)
        self._on_step = on_step
        self._steps: list[Step] = []
        self._state: int | None = None
        self.seeds: list[int | None] = []
        self.actions: list[int] = []
        self.illegal: list[Any] = []
        self.past_the_end = 0
        self._over = True

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self._steps)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Reset, and record the seed."""
        observation, info = super().reset(seed=seed, options=options)
        self.seeds.append(seed)
        self._state, self._over = int(observation), False
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and record the transition."""
        if not self.action_space.contains(action):
            self.illegal.append(action)
        if self._over:
            self.past_the_end += 1
        result = super().step(action)
        observation, reward, terminated, truncated, _ = result
        next_state = int(observation)
        assert self._state is not None
        self._steps.append(
            (self._state, int(action), float(reward), next_state, terminated, truncated, False)
        )
        self._state, self._over = next_state, terminated or truncated
        self._on_step(self.steps)
        return result

    @property
    def experience(self) -> Experience:
        """The transitions."""
        spaces: Any = (self.observation_space, self.action_space)
        return experience(*(int(space.n) for space in spaces), [self._steps])
