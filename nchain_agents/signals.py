"""Signals end the command line with one line, and without a traceback."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

# Ctrl-C, and on POSIX the signals of a batch system and of a terminal that closes.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
# In seconds: a signal that follows another within the first time is ignored; a signal that arrived
# where Python cannot raise an exception is raised again after the second.
_SAME, _AGAIN = 1.0, 0.05


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let signals raise KeyboardInterrupt, and end the process where one ends the block.

    The exit code is 128 plus the signal's number, as in a shell. The block is the whole program.
    """
    received, last = int(signal.SIGINT), None

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal received, last
        now = time.monotonic()
        if last is None or now - last > _SAME:
            received, last = number, now
            raise KeyboardInterrupt

    def unraisable(what: Any) -> None:
        nonlocal last
        # raised in a destructor or a C callback, where Python prints and drops it
        if last is not None and isinstance(what.exc_value, KeyboardInterrupt):
            last = None
            again = threading.Timer(_AGAIN, _again, (received,))
            again.daemon = True
            again.start()
        else:
            sys.__unraisablehook__(what)

    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    # one that is ignored stays so: nohup does that with SIGHUP
    numbers = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    try:
        sys.unraisablehook = unraisable
        _set(numbers, stop)
        yield
    except SystemExit:
        raise
    except BaseException as error:
        # an extension module that is interrupted during its import may raise anything
        if not isinstance(error, KeyboardInterrupt) and last is None:
            raise
        _set(numbers, signal.SIG_IGN)
        with suppress(OSError, ValueError):  # a broken pipe, or a closed file
            print("nchain: stopped", file=sys.stderr, flush=True)
            sys.stdout.flush()
        # `sys.exit` would wait for threads, and an interrupted `exec` changes the exit code
        os._exit(128 + received)
    finally:
        _set(numbers, signal.SIG_DFL)  # while Python shuts down


def _set(numbers: list[int], handler: Any) -> None:
    for number in numbers:
        signal.signal(number, handler)


def _again(number: int) -> None:
    """Raise a signal in the main thread, and wake it."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, number)
    else:
        signal.raise_signal(number)
