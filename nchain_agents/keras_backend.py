"""Keras's backend in studies and commands.

In a program of the user's Keras's own rule holds: KERAS_BACKEND, else
Keras's configuration file, else TensorFlow.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec


def keras_backend(required: str | None = None) -> str | None:
    """Return the backend: KERAS_BACKEND, else JAX where it is installed, else TensorFlow.

    None where Keras, or any backend for it, is not installed.

    Args:
        required: The backend that a study file names: KERAS_BACKEND must not name another one.

    Raises:
        ValueError: KERAS_BACKEND, or a study file, names a backend on which KerasDQN does not run,
            or one that is not installed.
    """
    given = os.environ.get("KERAS_BACKEND")
    if required and given and given != required:
        raise ValueError(
            f"KERAS_BACKEND must be {required!r} or unset, as keras_backend is, got {given!r}"
        )
    chosen = required or given
    if chosen and (chosen not in ("jax", "tensorflow") or find_spec(chosen) is None):
        name = "keras_backend" if required else "KERAS_BACKEND"
        raise ValueError(f"{name} must be 'jax' or 'tensorflow', installed, got {chosen!r}")
    there = [name for name in ("jax", "tensorflow") if find_spec(name) is not None]
    if find_spec("keras") is None or not there:
        return None
    return chosen or there[0]


def choose_keras_backend() -> None:
    """Have Keras run on that backend in this process, which must not have imported it.

    For commands: a library has no say in the environment variables of a program.
    """
    backend = keras_backend()
    if backend is not None and "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = backend
