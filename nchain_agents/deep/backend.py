"""What depends on Keras's backend, TensorFlow or JAX."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from nchain_agents.deep.encoding import Encoding
from nchain_agents.deep.hyperparameters import Hyperparameters


def backend() -> Any:
    """Return the module of Keras's backend.

    Raises:
        ModuleNotFoundError: Keras or the backend is not installed.
        ValueError: The backend is neither TensorFlow nor JAX.
    """
    extra = "jax" if os.environ.get("KERAS_BACKEND") == "jax" else "keras"
    try:
        import keras

        name = keras.backend.backend()
        if name not in ("tensorflow", "jax"):
            raise ValueError(
                "KERAS_BACKEND must be 'tensorflow' (nchain-env[keras]) or 'jax' "
                f"(nchain-env[jax]) for KerasDQN, got {name!r}"
            )
        return import_module(f"nchain_agents.deep.{name}")
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            f"KerasDQN needs {missing.name}: pip install 'nchain-env[{extra}]'", name=missing.name
        ) from missing


def learner(
    network: Any, optimizer: Any, encoding: Encoding, hyperparameters: Hyperparameters
) -> Any:
    """Return the backend's `Learner` for a network, with a copy of it as the target network."""
    from nchain_agents.deep.networks import twin

    def encode(rows: Any) -> Any:
        from keras import ops

        inputs = encoding.encode(rows)
        shape = network.input_shape[1:]
        return inputs if len(shape) == 1 else ops.reshape(inputs, (-1, *shape))

    return backend().Learner(
        network, twin(network), optimizer, encode, encoding.width, hyperparameters
    )
