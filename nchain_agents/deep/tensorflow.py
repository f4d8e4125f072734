"""What is TensorFlow's own in KerasDQN: gradients, compilation, and variables that keep state."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf

from nchain_agents.deep.encoding import Float32Array
from nchain_agents.deep.hyperparameters import Hyperparameters
from nchain_agents.deep.replay import Batch
from nchain_agents.deep.rule import chosen, clipped, mean_loss, polyak, targets


def jit(function: Callable[..., Any]) -> Any:
    """Return a function of tensors, compiled by XLA."""
    # XLA makes one operation of what TensorFlow would run as a hundred
    return tf.function(function, jit_compile=True, autograph=False)


class Learner:
    """One compiled call for the values of observations, and one for learning and then these.

    Args:
        network: The Keras model that learns.
        target_network: The Keras model that the targets are computed with.
        optimizer: A Keras optimizer.
        encode: Makes of rows of observations what the network takes.
        width: D, the length of a row.
        hyperparameters: How it learns.
    """

    def __init__(
        self,
        network: Any,
        target_network: Any,
        optimizer: Any,
        encode: Callable[[Any], Any],
        width: int,
        hyperparameters: Hyperparameters,
    ) -> None:
        variables = network.trainable_variables
        optimizer.build(variables)
        self._variables = [*network.variables, *target_network.variables, *optimizer.variables]
        self.network, self.target_network = network, target_network
        self.optimizer = optimizer
        self.last_loss: Any = np.nan

        def values(rows: Any) -> Any:
            return network(encode(rows), training=False)

        def update(rows: Any) -> Any:
            batch = Batch.of(rows)
            next_inputs = encode(batch.next_observations)
            next_values = target_network(next_inputs, training=False)
            chooser = network(next_inputs, training=False) if hyperparameters.double_q else None
            target = targets(batch.rewards, batch.discounts, next_values, chooser)
            with tf.GradientTape() as tape:
                present = network(encode(batch.observations), training=True)
                loss = mean_loss(hyperparameters.loss, target - chosen(present, batch.actions))
            optimizer.apply(clipped(tape.gradient(loss, variables), hyperparameters.max_grad_norm))
            return loss

        def move(tau: Any) -> None:
            pairs = zip(target_network.variables, network.variables, strict=True)
            for target, source in pairs:
                # statistics are copied whole, as in stable-baselines3
                part = tau if source.trainable else tf.math.ceil(tau)
                part = tf.cast(part, source.dtype)
                target.assign(polyak(target.value, source.value, part))

        def learn(batches: Any, seen: Any, tau: Any) -> tuple[Any, Any]:
            def step(i: Any, _: Any) -> tuple[Any, Any]:
                return i + 1, update(batches[i])

            move(tau)
            _, loss = tf.while_loop(lambda i, _: i < batches.shape[0], step, (0, 0.0))
            return values(seen), loss

        @cache
        def compiled_learn(batches: tuple[int, ...], rows: tuple[int, ...]) -> Any:
            # calling it as concrete saves finding out each time which one it is
            return jit(learn).get_concrete_function(
                tf.TensorSpec(batches), tf.TensorSpec(rows), tf.TensorSpec(())
            )

        self._learn = compiled_learn
        self._values = tf.function(values, autograph=False).get_concrete_function(
            tf.TensorSpec((None, width))
        )

        # for those who compile more than one step: what the variables hold before does not matter,
        # and what they hold after is compiled away but for the last step's
        def pure_values(state: list[Any], rows: Any) -> Any:
            self.state = state
            return values(rows)

        def pure_learn(state: list[Any], batches: Any, seen: Any, tau: Any) -> Any:
            self.state = state
            result, loss = learn(batches, seen, tau)
            return self.state, result, loss

        self.pure_values, self.pure_learn = pure_values, pure_learn

    @property
    def state(self) -> list[Any]:
        """All that learning changes."""
        return [tf.convert_to_tensor(variable.value) for variable in self._variables]

    @state.setter
    def state(self, state: list[Any]) -> None:
        for variable, value in zip(self._variables, state, strict=True):
            variable.assign(value)

    def values(self, rows: Float32Array) -> Float32Array:
        """Return the action values, (N, A), of observations, (N, D)."""
        result: Float32Array = self._values(tf.constant(rows)).numpy()
        return result

    def learn(self, batches: Float32Array, rows: Float32Array, tau: float) -> Float32Array:
        """Move the target network, take one optimizer step a batch, and return the new values.

        Args:
            batches: (G, B, W) the transitions of G batches.
            rows: (N, D) observations.
            tau: The share of the network that goes into the target network before; 0: none.

        Returns:
            (N, A) the values of the observations, by the network that has learned.
        """
        function = self._learn(batches.shape, rows.shape)
        values, self.last_loss = function(
            tf.constant(batches), tf.constant(rows), tf.constant(tau, tf.float32)
        )
        result: Float32Array = values.numpy()
        return result

    @property
    def loss(self) -> float:
        """The loss of the last batch, before its optimizer step; NaN before the first."""
        return float(self.last_loss)

    def release(self) -> None:
        """Put what was learned into the Keras variables: here it always is."""
