"""How signals end the command line: with one line, and without a traceback."""

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

# Ctrl-C, and, where there are such signals, what a batch system sends and a terminal that closes.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
# In seconds: signals that follow one within this time are the same wish to stop, and when a signal
# is raised again that came where no exception can be raised.
_SAME, _AGAIN = 1.0, 0.05


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let signals raise KeyboardInterrupt; where one ends the block, end the process.

    Its exit code is 128 and the signal's number, as in a shell. The block is the whole program.
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
        # raised in a destructor or in a callback of C, where Python prints and forgets it
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
        # an extension module that is interrupted while it is imported may raise anything
        if not isinstance(error, KeyboardInterrupt) and last is None:
            raise
        _set(numbers, signal.SIG_IGN)
        with suppress(OSError, ValueError):  # nobody reads, or it is closed
            print("nchain: stopped", file=sys.stderr, flush=True)
            sys.stdout.flush()
        # at once: threads would be waited for, and an interrupted `exec` changes the exit code
        os._exit(128 + received)
    finally:
        _set(numbers, signal.SIG_DFL)  # what is left is Python's own end, which cannot be stopped


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
