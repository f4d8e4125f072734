"""Ctrl-C while an agent learns: noted at once, answered when the agent's state is consistent.

Python raises KeyboardInterrupt between any two instructions, also between a step of the environment
and the instruction that counts it. While SIGINT is `held`, it is only noted. Loops check
`requested` after each step, or each chunk of compiled steps, and return; then `answer` does what
SIGINT does otherwise. So an agent can go on as if it had never been interrupted.
"""

from __future__ import annotations

import inspect
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# How long a chunk of compiled steps should take, in seconds.
_CHUNK = 0.15
# Ctrl-C that comes again after so many seconds is answered at once: something hangs.
_PATIENCE = 0.25


class _Main:
    """SIGINT in the main thread; `handler` is what answers it otherwise."""

    def __init__(self, handler: Callable[[int, Any], Any]) -> None:
        self._handler = handler
        self._since: float | None = None

    @property
    def requested(self) -> bool:
        return self._since is not None

    def note(self, *_: Any) -> None:
        now = time.monotonic()
        if self._since is None:
            self._since = now
        elif now - self._since > _PATIENCE:
            self.answer()

    def answer(self) -> None:
        self._since = None
        self._handler(signal.SIGINT, inspect.currentframe())


class _Worker:
    """A thread that another one stops by setting `stop`."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    @property
    def requested(self) -> bool:
        return self._stop.is_set()

    def answer(self) -> None:
        raise KeyboardInterrupt


class _Local(threading.local):
    watch: _Main | _Worker | None = None  # what may stop the training in this thread


_local = _Local()


@contextmanager
def held() -> Iterator[None]:
    """Hold SIGINT back until `answer`, or the end of the block.

    SIGINT that comes again a quarter of a second after the first is answered at once, because
    something hangs. Outside of the main thread, and where SIGINT is ignored or ends the process
    without Python, nothing is held.
    """
    handler = signal.getsignal(signal.SIGINT)
    in_main = threading.current_thread() is threading.main_thread()
    if _local.watch is not None or not in_main or not callable(handler):
        yield
        return
    watch = _Main(handler)
    try:
        signal.signal(signal.SIGINT, watch.note)
        _local.watch = watch
        yield
    finally:
        _local.watch = None
        if signal.getsignal(signal.SIGINT) == watch.note:  # nobody else's since
            signal.signal(signal.SIGINT, handler)
        if watch.requested:
            watch.answer()


@contextmanager
def stopped_by(stop: threading.Event) -> Iterator[None]:
    """Let another thread stop what is learned in this one: `answer` raises KeyboardInterrupt."""
    _local.watch = _Worker(stop)
    try:
        yield
    finally:
        _local.watch = None


def requested() -> bool:
    """Return whether the training in this thread is to stop."""
    watch = _local.watch
    return watch is not None and watch.requested


def answer() -> None:
    """Do what is done on SIGINT, if it came: raise KeyboardInterrupt, or call the user's handler.

    If that returns, the training goes on.
    """
    if _local.watch is not None and _local.watch.requested:
        _local.watch.answer()


class Pace:
    """How many steps a compiled loop takes before it looks for an interrupt; `steps` at first."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def took(self, steps: int, seconds: float) -> None:
        """Set the number of steps by how long some took."""
        # by at most a factor of four, because the first call compiles, too
        fitting = int(steps * _CHUNK / max(seconds, 1e-9))
        self.steps = max(min(fitting, 4 * self.steps), self.steps // 4, 1)
