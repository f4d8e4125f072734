"""What the learners of all backends have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from keras import ops

from nchain_agents.deep.encoding import Encoding, Float32Array
from nchain_agents.deep.hyperparameters import Hyperparameters
from nchain_agents.deep.networks import twin


class BaseLearner(ABC):
    """Two networks and an optimizer, with compiled functions for values and for learning.

    Args:
        network: The Keras model that learns. A copy of it becomes the target network.
        optimizer: A Keras optimizer.
        encoding: How rows of observations are encoded.
        hyperparameters: How it learns.
    """

    # all that learning changes
    state: Any

    def __init__(
        self, network: Any, optimizer: Any, encoding: Encoding, hyperparameters: Hyperparameters
    ) -> None:
        optimizer.build(network.trainable_variables)
        self.network, self.target_network, self.optimizer = network, twin(network), optimizer
        self.encoding, self.hyperparameters = encoding, hyperparameters
        self.last_loss: Any = np.nan

    def encode(self, rows: Any) -> Any:
        """Return the network's input for rows of observations."""
        inputs = self.encoding.encode(rows)
        shape = self.network.input_shape[1:]
        return inputs if len(shape) == 1 else ops.reshape(inputs, (-1, *shape))

    @abstractmethod
    def values(self, rows: Float32Array) -> Float32Array:
        """Return the action values, (N, A) or (N, K, A), of observations, (N, D)."""

    @abstractmethod
    def learn(self, batches: Float32Array, rows: Float32Array, tau: float) -> Float32Array:
        """Move the target network, take one optimizer step a batch, and return the new values.

        Args:
            batches: (G, B, W) the transitions of G batches.
            rows: (N, D) observations.
            tau: The share of the network that goes into the target network before; 0: none.

        Returns:
            (N, A), or (N, K, A) of K members: the values of the observations, by the network that
            has learned.
        """

    @property
    def loss(self) -> float:
        """The loss of the last batch, before its optimizer step; NaN before the first."""
        return float(self.last_loss)

    def release(self) -> None:  # noqa: B027  (nothing to do by default)
        """Put what was learned into the Keras variables, where a backend keeps it elsewhere."""
