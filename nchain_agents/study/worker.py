"""Calls in a worker of a Dask cluster; each thread keeps an interpreter for some seconds."""

from __future__ import annotations

import threading
from typing import Any

from nchain_agents.study.failure import Failure
from nchain_agents.study.isolation import Interpreter

# In seconds: how long an interpreter without calls is kept, and the time between two checks whether
# the scheduler still waits for a call.
_IDLE, _CHECK = 10.0, 1.0

_own = threading.local()


def isolated(call: bytes, time_limit: float | None, environment: dict[str, str]) -> bytes | Failure:
    """Return the result of a call, which is stopped when its study or its scheduler has ended.

    Args:
        call: What `Interpreter.call` takes.
        time_limit: How many seconds it may take; None: any number.
        environment: Environment variables for the interpreter.
    """
    from distributed import get_worker

    interpreter = _interpreter(environment)
    worker = get_worker()
    key = worker.get_current_task()
    answered = threading.Event()

    def watch() -> None:
        while not answered.wait(_CHECK):
            if not _wanted(worker, key):
                interpreter.stop()
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        return interpreter.call(call, time_limit)
    finally:
        answered.set()
        _own.idle = threading.Timer(_IDLE, interpreter.close)
        _own.idle.daemon = True
        _own.idle.start()


def _interpreter(environment: dict[str, str]) -> Interpreter:
    """Return this thread's interpreter."""
    kept: Interpreter | None = getattr(_own, "interpreter", None)
    if kept is not None:
        _own.idle.cancel()
        _own.idle.join()
        if kept.environment == environment and not kept.stopped:
            return kept
        kept.close()
    _own.interpreter = new = Interpreter(environment)
    return new


def _wanted(worker: Any, key: Any) -> bool:
    """Whether the scheduler still waits for a task."""
    task = worker.state.tasks.get(key)
    return worker.status.name == "running" and task is not None and task.state != "cancelled"
