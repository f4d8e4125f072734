"""A Python process for calls that may hang, crash or print: whatever they do, it can be ended.

It is begun by `python -m nchain_agents.study.isolation`, takes calls on its standard input and
answers on its standard output. It ends with the process that began it, however that ends.
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

# An interpreter whose pipe is closed has ended, or does so within these seconds.
_ENDING = 10.0


class Interpreter:
    """A Python process with the same import path, that makes one call after the other.

    It begins with the first call, and again with the next one after it has ended. It leads a
    session of its own: signals from the terminal do not reach it, and the processes that calls
    begin end with it.

    Args:
        environment: Environment variables in addition to those of this process.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self.stopped = False

    def call(self, function: bytes, time_limit: float | None = None) -> bytes | Failure:
        """Return what a function returns, for `unpickled`, or why the process did not answer.

        Args:
            function: A function without arguments, as `pickled` returns it.
            time_limit: After so many seconds the process is killed; None: never.
        """
        with self._lock:
            if self.stopped:
                return Failure("it was stopped")
            if self._process is None:
                self._process = self._begun()
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
        if late.is_set():  # killed as it answered: the next call is another process's
            self.close()
        return answer

    def stop(self) -> None:
        """End the process, whatever it does, and begin no other; from any thread."""
        with self._lock:
            self.stopped = True
            if self._process is not None:
                _kill(self._process)

    def close(self) -> None:
        """End the process; from the thread that makes calls."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            _kill(process)
            with contextlib.suppress(OSError):  # what it was never sent
                process.communicate()

    def _begun(self) -> subprocess.Popen[bytes]:
        given = {"PYTHONPATH": os.pathsep.join(sys.path), **self.environment}
        return subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**QUIET, **os.environ, **ONE_CORE, **given},
            start_new_session=True,
        )


def pickled(function: Callable[[], Any]) -> bytes | Failure:
    """Return a function as an interpreter takes it, by value where only this process knows it."""
    try:
        sent: bytes = cloudpickle.dumps(function)
    except Exception as error:
        return Failure.of(error, "it cannot be pickled: ")
    return sent


def unpickled(answer: bytes | Failure) -> Any:
    """Return what an interpreter's call has returned, or a `Failure`."""
    if isinstance(answer, Failure):
        return answer
    try:
        return pickle.loads(answer)
    except Exception as error:
        return Failure.of(error, "its result cannot be unpickled: ")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it began."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _ending(process: subprocess.Popen[bytes]) -> str:
    """Return how a process ended; nobody has killed it yet but for the time limit."""
    try:
        code = process.wait(_ENDING)
    except subprocess.TimeoutExpired:
        return "closed its pipe"
    if code < 0:
        return f"ended with signal {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _serve() -> None:
    """Make the calls that come, in the main thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who began this process ends it
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def listen() -> None:
        while True:
            try:
                calls.put(pickle.load(sys.stdin.buffer))
            except BaseException:
                _end()  # nobody is there to answer to, whatever is being done

    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what calls print is no answer
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
    """End this process at once, and those that calls began."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    _serve()
