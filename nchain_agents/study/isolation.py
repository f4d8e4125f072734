"""A Python process for calls that may hang, crash or print; it can be ended at any time.

`python -m nchain_agents.study.isolation` starts it. It reads calls from its standard input and
writes results to its standard output. It ends when the process that started it has ended.
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
from collections.abc import Callable, Mapping
from typing import Any

import cloudpickle

from nchain_agents.quiet import ONE_CORE, QUIET
from nchain_agents.study.failure import Failure

# A process whose pipe is closed ends within these seconds.
_ENDING = 10.0


class Interpreter:
    """A Python process with the same import path, which makes one call at a time.

    The first call starts it, and so does the first call after it has ended. It leads its own
    session: signals from the terminal do not reach it, and processes that calls start end with it.

    Args:
        environment: Environment variables in addition to those of this process.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self.stopped = False

    def call(self, function: bytes, time_limit: float | None = None) -> bytes | Failure:
        """Return the pickled result of a function, for `unpickled`, or why there is none.

        Args:
            function: A function without arguments, as `pickled` returns it.
            time_limit: The process is killed after this many seconds; None: never.
        """
        with self._lock:
            if self.stopped:
                return Failure("it was stopped")
            if self._process is None:
                self._process = self._started()
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Event()

        def kill() -> None:
            late.set()
            _kill(process)

        timer = threading.Timer(time_limit or 0, kill)
        timer.daemon = True
        if time_limit is not None:
            timer.start()
        try:
            pickle.dump(function, process.stdin)
            process.stdin.flush()
            answer: bytes = pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            ending = _ending(process)
            self.close()
            if late.is_set():
                return Failure(f"it took longer than {time_limit:g} s, the time limit")
            return Failure(f"its process {ending}")
        finally:
            timer.cancel()
            if timer.is_alive():
                timer.join()
        if late.is_set():  # killed while it answered: the next call starts another process
            self.close()
        return answer

    def stop(self) -> None:
        """End the process and start no other one; callable from any thread."""
        with self._lock:
            self.stopped = True
            if self._process is not None:
                _kill(self._process)

    def close(self) -> None:
        """End the process; callable from the thread that makes calls."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            _kill(process)
            with contextlib.suppress(OSError):  # bytes that it has not read
                process.communicate()

    def _started(self) -> subprocess.Popen[bytes]:
        given = {"PYTHONPATH": os.pathsep.join(sys.path), **self.environment}
        return subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**QUIET, **os.environ, **ONE_CORE, **given},
            start_new_session=True,
        )


def pickled(function: Callable[[], Any]) -> bytes | Failure:
    """Return a function as an interpreter takes it; one of this program only goes by value."""
    try:
        sent: bytes = cloudpickle.dumps(function)
    except Exception as error:
        return Failure.of(error, "it cannot be pickled: ")
    return sent


def unpickled(answer: bytes | Failure) -> Any:
    """Return the result of a call, or its `Failure`."""
    if isinstance(answer, Failure):
        return answer
    try:
        return pickle.loads(answer)
    except Exception as error:
        return Failure.of(error, "its result cannot be unpickled: ")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _ending(process: subprocess.Popen[bytes]) -> str:
    """Return how a process ended that was not killed, except by the time limit."""
    try:
        code = process.wait(_ENDING)
    except subprocess.TimeoutExpired:
        return "closed its pipe"
    if code < 0:
        return f"ended with signal {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _serve() -> None:
    """Make calls in the main thread as they arrive."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def listen() -> None:
        while True:
            try:
                calls.put(pickle.load(sys.stdin.buffer))
            except BaseException:
                _end()  # the process that started this one has ended

    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what calls print goes to the standard error
        threading.Thread(target=listen, daemon=True).start()
        while True:
            pickle.dump(_answer(calls.get()), answers)
            answers.flush()


def _answer(call: bytes) -> bytes:
    """Return the pickled result of a call, or its failure."""
    try:
        result = cloudpickle.loads(call)()
    except BaseException as error:  # SystemExit, too
        result = Failure.of(error)
    try:
        pickled: bytes = cloudpickle.dumps(result)
    except Exception as error:
        pickled = pickle.dumps(Failure.of(error, "its result cannot be pickled: "))
    return pickled


def _end() -> None:
    """End this process at once, and those that calls started."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    _serve()
