"""What depends on Keras's backend, TensorFlow or JAX."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from importlib import import_module
from typing import Any

from nchain_agents.extras import needed_for
from nchain_agents.quiet import tensorflow_quiet


def backend() -> Any:
    """Return the module of Keras's backend.

    Raises:
        ModuleNotFoundError: Keras or the backend is not installed.
        ValueError: The backend is neither TensorFlow nor JAX.
    """
    extra = "jax" if os.environ.get("KERAS_BACKEND") == "jax" else "keras"
    quiet = nullcontext() if "keras" in sys.modules else tensorflow_quiet()
    with needed_for("KerasDQN", extra), quiet:
        import keras

        name = keras.backend.backend()
        if name not in ("tensorflow", "jax"):
            raise ValueError(
                "KERAS_BACKEND must be 'tensorflow' (nchain-env[keras]) or 'jax' "
                f"(nchain-env[jax]) for KerasDQN, got {name!r}"
            )
        return import_module(f"nchain_agents.deep.{name}")
