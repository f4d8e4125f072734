"""The callbacks of one training, and when each is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nchain_agents.sb3 import SB3Callback, is_callback
from nchain_env.checks import whole_steps

Function = Callable[[Any], Any]  # of the agent; False stops the training
NextStep = Callable[[int], int | None]


class Listeners:
    """What is called while an agent learns; any of them may stop the training.

    Args:
        callback: None, a function of the agent, a callback of stable-baselines3's, or a list of
            these; `Agent.learn` says when they are called.

    Raises:
        ValueError: It is something else.
    """

    def __init__(self, callback: Any) -> None:
        # False when one of them has stopped the training
        self.go_on = True
        self._of_sb3: list[SB3Callback] = []
        self._at_episodes: list[Function] = []
        self._at_steps: list[tuple[Function, NextStep]] = []
        self._due: list[int | None] = []
        several = callback if isinstance(callback, list | tuple) else [callback]
        for one in several:
            if one is not None:
                self._add(one)

    def _add(self, callback: Any) -> None:
        if is_callback(callback):
            callback = SB3Callback(callback)
            self._of_sb3.append(callback)
        # a class is callable, but its instances say nothing about the training
        if not callable(callback) or isinstance(callback, type):
            raise ValueError(
                f"callback must be None or a function of the agent, got {callback!r}; it may also "
                "be a callback of stable-baselines3's, or a list of callbacks"
            )
        next_step = _next_step(callback)
        if next_step is None:
            self._at_episodes.append(callback)
        else:
            self._at_steps.append((callback, next_step))

    @property
    def each_step(self) -> bool:
        """Whether one is called after each step."""
        return any(getattr(callback, "n_steps", None) == 1 for callback, _ in self._at_steps)

    @property
    def at_episodes(self) -> bool:
        """Whether some are called at the ends of episodes."""
        return bool(self._at_episodes)

    def begin(self, agent: Any, arguments: Mapping[str, Any]) -> None:
        """Tell those of stable-baselines3's that a training begins, and its arguments."""
        for callback in self._of_sb3:
            callback.begin(agent, arguments)

    def next_step(self, now: int, end: int) -> int:
        """Return the next step at which one is to be called; at most `end`."""
        self._due = [next_step(now) for _, next_step in self._at_steps]
        return min([end, *(step for step in self._due if step is not None)])

    def episode(self, agent: Any) -> bool:
        """Call those for the end of an episode; return whether to go on."""
        self._call(self._at_episodes, agent)
        return self.go_on

    def step(self, agent: Any, end: int) -> None:
        """Call those that are due at this step, and if the training ends here, all others, too."""
        now = agent.num_timesteps
        due: list[Function] = []
        others: list[Function] = []
        for (callback, _), step in zip(self._at_steps, self._due, strict=True):
            (due if step is not None and now >= step else others).append(callback)
        self._call(due, agent)
        if now >= end or not self.go_on:
            self._call(others, agent)

    def end(self) -> None:
        """Tell those of stable-baselines3's that the training has ended."""
        for callback in self._of_sb3:
            callback.end()

    def _call(self, callbacks: list[Function], agent: Any) -> None:
        answers = [callback(agent) for callback in callbacks]
        self.go_on = self.go_on and all(answer is not False for answer in answers)


def _next_step(callback: Any) -> NextStep | None:
    """Return the function from a step to the next one at which a callback is to be called.

    It is None after the last such step. No function: the callback is for the ends of episodes.
    """
    steps = getattr(callback, "at_timesteps", None)
    if steps is not None:
        return lambda now: next((step for step in steps if step > now), None)
    n_steps = getattr(callback, "n_steps", None)
    if n_steps is None:
        return None
    interval = whole_steps("n_steps of callback", n_steps)
    return lambda now: (now // interval + 1) * interval
