"""The two mistakes about the end of an episode, as wrappers."""

from __future__ import annotations

from typing import Any

import gymnasium as gym


class TerminationAsTruncation(gym.Wrapper[Any, Any, Any, Any]):
    """Reports terminal steps as truncated, so that a learner bootstraps from them."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step; nothing terminates."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, False, terminated or truncated, info


class TruncationAsTermination(gym.Wrapper[Any, Any, Any, Any]):
    """Reports truncated steps as terminal, so that a learner does not bootstrap at a time limit."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step; nothing is truncated."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated or truncated, False, info
