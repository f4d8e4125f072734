"""What is TensorFlow's own in KerasDQN: gradients, compilation, and variables that keep state."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import tensorflow as tf

from nchain_agents.deep.encoding import Encoding, Float32Array
from nchain_agents.deep.hyperparameters import Hyperparameters
from nchain_agents.deep.learner import BaseLearner
from nchain_agents.deep.replay import Batch
from nchain_agents.deep.rule import chosen, clipped, mean_loss, polyak, targets


def jit(function: Callable[..., Any]) -> Any:
    """Return a function of tensors, compiled by XLA."""
    # XLA makes one operation of what TensorFlow would run as a hundred
    return tf.function(function, jit_compile=True, autograph=False)


class Learner(BaseLearner):
    """The state is kept in the Keras variables."""

    def __init__(
        self, network: Any, optimizer: Any, encoding: Encoding, hyperparameters: Hyperparameters
    ) -> None:
        super().__init__(network, optimizer, encoding, hyperparameters)
        networks = (*network.variables, *self.target_network.variables)
        self._variables = [*networks, *optimizer.variables]

        @cache
        def compiled_learn(batches: tuple[int, ...], rows: tuple[int, ...]) -> Any:
            # calling it as concrete saves finding out each time which one it is
            return jit(self._learn).get_concrete_function(
                tf.TensorSpec(batches), tf.TensorSpec(rows), tf.TensorSpec(())
            )

        self._compiled_learn = compiled_learn
        self._compiled_values = tf.function(self._values, autograph=False).get_concrete_function(
            tf.TensorSpec((None, encoding.width))
        )

    def _values(self, rows: Any) -> Any:
        return self.network(self.encode(rows), training=False)

    def _learn(self, batches: Any, seen: Any, tau: Any) -> tuple[Any, Any]:
        def step(i: Any, _: Any) -> tuple[Any, Any]:
            return i + 1, self._update(batches[i])

        for target, source in zip(
            self.target_network.variables, self.network.variables, strict=True
        ):
            # statistics are copied whole, as in stable-baselines3
            part = tau if source.trainable else tf.math.ceil(tau)
            part = tf.cast(part, source.dtype)
            target.assign(polyak(target.value, source.value, part))
        _, loss = tf.while_loop(lambda i, _: i < batches.shape[0], step, (0, 0.0))
        return self._values(seen), loss

    def _update(self, rows: Any) -> Any:
        hyperparameters = self.hyperparameters
        members = hyperparameters.ensemble_size
        batch = Batch.of(rows, members)
        next_inputs = self.encode(batch.next_observations)
        next_values = self.target_network(next_inputs, training=False)
        chooser = self.network(next_inputs, training=False) if hyperparameters.double_q else None
        target = targets(batch.rewards, batch.discounts, next_values, chooser)
        variables = self.network.trainable_variables
        with tf.GradientTape() as tape:
            present = self.network(self.encode(batch.observations), training=True)
            errors = target - chosen(present, batch.actions)
            loss = mean_loss(hyperparameters.loss, errors, batch.masks)
        gradients = tape.gradient(loss, variables)
        gradients = clipped(gradients, hyperparameters.max_grad_norm, members)
        self.optimizer.apply(gradients)
        return loss

    # In a program of several steps, what the variables hold before does not matter, and what they
    # hold after is compiled away but for the last step's.
    def pure_values(self, state: list[Any], rows: Any) -> Any:
        """Return the values as a function of the state."""
        self.state = state
        return self._values(rows)

    def pure_learn(
        self, state: list[Any], batches: Any, seen: Any, tau: Any
    ) -> tuple[list[Any], Any, Any]:
        """Return the next state, the values of `seen` and the loss."""
        self.state = state
        values, loss = self._learn(batches, seen, tau)
        return self.state, values, loss

    @property
    def state(self) -> list[Any]:
        """All that learning changes."""
        return [tf.convert_to_tensor(variable.value) for variable in self._variables]

    @state.setter
    def state(self, state: list[Any]) -> None:
        for variable, value in zip(self._variables, state, strict=True):
            variable.assign(value)

    def values(self, rows: Float32Array) -> Float32Array:
        """Return the action values, (N, A) or (N, K, A), of observations, (N, D)."""
        result: Float32Array = self._compiled_values(tf.constant(rows)).numpy()
        return result

    def learn(self, batches: Float32Array, rows: Float32Array, tau: float) -> Float32Array:
        """Learn from batches, and return the new values of observations."""
        function = self._compiled_learn(batches.shape, rows.shape)
        values, self.last_loss = function(
            tf.constant(batches), tf.constant(rows), tf.constant(tau, tf.float32)
        )
        result: Float32Array = values.numpy()
        return result
