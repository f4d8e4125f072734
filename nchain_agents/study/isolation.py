"""A Python process for runs that may hang, crash or print: whatever they do, it can be ended.

It is begun by `python -m nchain_agents.study.isolation`, takes calls on its standard input and
answers on its standard output. It ends with the process that began it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import cloudpickle

from nchain_agents.quiet import ONE_CORE, QUIET


class EndedError(Exception):
    """The process ended before it answered; the message says why."""


class Interpreter:
    """A Python process with the same import path, that makes one call after the other."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**QUIET, **os.environ, **ONE_CORE, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def call(self, function: bytes, time_limit: float | None = None) -> Any:
        """Return what a function returns.

        Args:
            function: A function without arguments, pickled by cloudpickle.
            time_limit: After so many seconds the process is killed; None: never.

        Raises:
            EndedError: It was killed, or ended by itself; a new interpreter is needed.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Event()

        def kill() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(time_limit or 0, kill)
        timer.daemon = True
        if time_limit is not None:
            timer.start()
        try:
            pickle.dump(function, self._process.stdin)
            self._process.stdin.flush()
            return pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            self.close()
            if late.is_set():
                raise EndedError(f"it took longer than {time_limit:g} s, the time limit") from None
            raise EndedError(f"its process ended with {_said(self._process.returncode)}") from None
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):  # what it was never sent
            self._process.communicate()


def _said(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


# Workers of any kind make calls from their own threads; each thread has an interpreter.
_own = threading.local()


def call_isolated(function: bytes, time_limit: float | None, failed: Callable[[str], Any]) -> Any:
    """Return what a function returns in this thread's own interpreter.

    Args:
        function: A function without arguments, pickled by cloudpickle.
        time_limit: How many seconds it may take.
        failed: Makes the result where there is none, of the reason.
    """
    if not hasattr(_own, "interpreter"):
        _own.interpreter = Interpreter()
    try:
        return _own.interpreter.call(function, time_limit)
    except EndedError as reason:
        close_own()
        return failed(str(reason))
    except BaseException:  # stopped from the keyboard: an answer would be taken for the next one's
        close_own()
        raise


def close_own() -> None:
    """End this thread's interpreter, if it has one."""
    if hasattr(_own, "interpreter"):
        _own.interpreter.close()
        del _own.interpreter


def _serve() -> None:
    """Make the calls that come, in the main thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who began this process ends it
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def listen() -> None:
        while True:
            try:
                calls.put(pickle.load(sys.stdin.buffer))
            except BaseException:
                os._exit(0)  # nobody is there to answer to, whatever is being done

    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what runs print is no answer
        threading.Thread(target=listen, daemon=True).start()
        while True:
            answer = cloudpickle.loads(calls.get())()
            pickle.dump(answer, answers)
            answers.flush()


if __name__ == "__main__":
    _serve()
