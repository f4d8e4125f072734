"""The compiled TensorFlow functions of KerasDQN."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from nchain_agents.deep.replay import Batch, Float32Array


class Learner:
    """One compiled call for the values of observations, and one for an update.

    Args:
        network: The Keras model that learns.
        target_network: The Keras model that the targets are computed with.
        optimizer: A Keras optimizer.
        gamma: The discount factor.
        max_grad_norm: The global norm to which gradients are clipped.
    """

    def __init__(
        self, network: Any, target_network: Any, optimizer: Any, gamma: float, max_grad_norm: float
    ) -> None:
        variables = network.trainable_variables
        optimizer.build(variables)

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def values(observations: Any) -> Any:
            return network(observations)

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def update(
            observations: Any, actions: Any, rewards: Any, reached: Any, terminated: Any
        ) -> Any:
            following = tf.reduce_max(target_network(reached), axis=1)
            targets = rewards + gamma * tf.where(terminated, 0.0, following)
            with tf.GradientTape() as tape:
                chosen = tf.gather(network(observations), actions, batch_dims=1)
                error = tf.abs(targets - chosen)
                # Huber: a square near 0, a line beyond 1
                loss = tf.reduce_mean(tf.where(error < 1.0, 0.5 * error**2, error - 0.5))
            gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), max_grad_norm)
            optimizer.apply_gradients(zip(gradients, variables, strict=True))
            return loss

        self._values, self._update = values, update

    def values(self, observations: Float32Array) -> Float32Array:
        """Return the action values, (N, A), of observations, (N, D)."""
        result: Float32Array = self._values(tf.constant(observations)).numpy()
        return result

    def update(self, batch: Batch) -> float:
        """Take one optimizer step on a batch and return the loss before it."""
        return float(self._update(*(tf.constant(column) for column in batch)))
