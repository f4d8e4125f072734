"""Imports of large libraries without their notes on start-up."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib import import_module

# One core a run: small networks gain nothing from more, and the results stay the same bytes. It is
# for the environment of a process in which nothing of these is imported yet.
ONE_CORE = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}
# Goes with it: without TensorFlow's notes.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}


def import_quietly(modules: Iterable[str]) -> None:
    """Import modules, without TensorFlow's notes on start-up; torch gets one thread."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    # The notes come from C++ before that level is read, so only the file descriptor stops them.
    stderr = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            for module in modules:
                import_module(module)
            if "tensorflow" in sys.modules:  # it says more when it first looks for devices
                sys.modules["tensorflow"].config.list_physical_devices()
            if "torch" in sys.modules:  # which may have been imported before, with other settings
                sys.modules["torch"].set_num_threads(1)
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
