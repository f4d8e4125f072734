"""The two mistakes about where an episode ends: a cut taken for an end, an end for a cut."""

from __future__ import annotations

from typing import Any

import gymnasium as gym


class EndsAreCuts(gym.Wrapper[Any, Any, Any, Any]):
    """Reports ends as cuts, so that a learner goes on counting what would follow an end."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step; nothing terminates."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, False, terminated or truncated, info


class CutsAreEnds(gym.Wrapper[Any, Any, Any, Any]):
    """Reports cuts as ends, so that a learner believes that nothing follows a time limit."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step; nothing is truncated."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated or truncated, False, info
