"""Callbacks that stop a training, or that are called every so many steps."""

from __future__ import annotations

from collections.abc import Sequence

from nchain_agents.agent import Agent, Callback
from nchain_env.checks import integer, real, whole_steps
from nchain_env.mdp import FloatArray


class StopAfterEpisodes:
    """Stop after a number of episodes.

    Args:
        episodes: The number, at least 1.

    Raises:
        ValueError: episodes is not such a number.
    """

    def __init__(self, episodes: int) -> None:
        self.left = integer("episodes", episodes, 1)

    def __call__(self, agent: Agent) -> bool:
        """Count an episode; return whether to go on."""
        self.left -= 1
        return self.left > 0


class StopAtConvergence:
    """Stop when what was learned no longer changes.

    At the first end of an episode after each window of steps, what the agent learned (the table of
    a table learner) is compared with what it was a window before.

    Args:
        tolerance: The largest change that is ignored; positive.
        window: The number of steps between two comparisons, at least 1.

    Raises:
        ValueError: A parameter is outside its range.
    """

    def __init__(self, tolerance: float, window: float = 10_000) -> None:
        self.tolerance = real("tolerance", tolerance, 0, open_low=True)
        self.window = whole_steps("window", window)
        self.converged = False
        self._before: FloatArray | None = None
        self._next_comparison = 0

    def __call__(self, agent: Agent) -> bool:
        """Compare, if a window is over; return whether to go on."""
        if agent.num_timesteps < self._next_comparison:
            return True
        now = agent.knowledge().copy()
        if self._before is not None:
            self.converged = bool(abs(now - self._before).max() <= self.tolerance)
        self._before = now
        self._next_comparison = agent.num_timesteps + self.window
        return not self.converged


class EveryNTimesteps:
    """Call back at every multiple of a number of steps instead of at each episode's end.

    Args:
        n_steps: That number, at least 1.
        callback: Called with the agent; False stops the training.

    Raises:
        ValueError: n_steps is not such a number.
    """

    def __init__(self, n_steps: float, callback: Callback) -> None:
        self.n_steps = whole_steps("n_steps", n_steps)
        if not callable(callback):
            raise ValueError(f"callback must be a function of the agent, got {callback!r}")
        self.callback = callback

    def __call__(self, agent: Agent) -> bool:
        """Pass the call on; return whether to go on."""
        return self.callback(agent) is not False


class AtTimesteps:
    """Call back at certain steps, and at the end of the training, instead of after each episode.

    Args:
        timesteps: The numbers of steps, increasing and at least 1, counted from the first call of
            `learn` on.
        callback: Called with the agent; False stops the training.

    Raises:
        ValueError: timesteps are not such numbers.
    """

    def __init__(self, timesteps: Sequence[float], callback: Callback) -> None:
        self.at_timesteps = [whole_steps("timesteps", step) for step in timesteps]
        if sorted(set(self.at_timesteps)) != self.at_timesteps:
            raise ValueError(f"timesteps must be increasing, got {timesteps!r}")
        if not callable(callback):
            raise ValueError(f"callback must be a function of the agent, got {callback!r}")
        self.callback = callback

    def __call__(self, agent: Agent) -> bool:
        """Pass the call on; return whether to go on."""
        return self.callback(agent) is not False
