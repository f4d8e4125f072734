"""Imports of Keras and torch without their log messages, and for one core."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module

# Environment variables of a process that uses one core: small networks gain nothing from more, and
# results do not depend on their number. To be set before the libraries are imported.
ONE_CORE = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}
# The same for TensorFlow's log messages.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}


def import_quietly(modules: Iterable[str]) -> None:
    """Import modules without TensorFlow's log messages; torch gets one thread.

    For processes of our own: TensorFlow stays quiet in those that they start, too.
    """
    with tensorflow_quiet():
        for module in modules:
            import_module(module)
    if "torch" in sys.modules:  # which may have been imported before, with other settings
        sys.modules["torch"].set_num_threads(1)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


@contextmanager
def tensorflow_quiet() -> Iterator[None]:
    """Drop the log messages of a TensorFlow that is imported in the block, now and later.

    TensorFlow reads its log level once, when it is imported; the environment is left as it was.
    Another level that a user has set holds.
    """
    other = any(os.environ.get(name, value) != value for name, value in QUIET.items())
    if other or "tensorflow" in sys.modules:
        yield
        return
    added = {name: value for name, value in QUIET.items() if name not in os.environ}
    os.environ.update(added)
    # C++ writes some messages before it reads that level, so the file descriptor is redirected.
    stderr = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
            if "tensorflow" in sys.modules:  # it logs more when it first looks for devices
                sys.modules["tensorflow"].config.list_physical_devices()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            for name in added:
                del os.environ[name]
