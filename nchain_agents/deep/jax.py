"""What is JAX's own in KerasDQN: gradients, compilation, and state outside of variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nchain_agents.deep.encoding import Float32Array
from nchain_agents.deep.hyperparameters import Hyperparameters
from nchain_agents.deep.replay import Batch
from nchain_agents.deep.rule import chosen, clipped, mean_loss, polyak, targets


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a pure function of arrays, compiled."""
    # By default parts of a program run at the same time, in threads; to hand them over takes longer
    # than what a small network computes.
    one_thread = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
    options = one_thread if jax.default_backend() == "cpu" else None
    compiled: Callable[..., Any] = jax.jit(function, compiler_options=options)
    return compiled


class State(NamedTuple):
    """All that learning changes: lists of arrays, in the order of the Keras variables."""

    trainable: list[Any]
    fixed: list[Any]  # statistics, seeds: what the optimizer does not touch
    target_trainable: list[Any]
    target_fixed: list[Any]
    optimizer: list[Any]


class Learner:
    """One compiled call for the values of observations, and one for learning and then these.

    While it learns, the state is kept here; `release` puts it into the Keras variables.

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
        optimizer.build(network.trainable_variables)
        self._variables = State(
            network.trainable_variables,
            network.non_trainable_variables,
            target_network.trainable_variables,
            target_network.non_trainable_variables,
            optimizer.variables,
        )
        self._state: State | None = None
        self.network, self.target_network = network, target_network
        self.optimizer = optimizer
        self.last_loss: Any = np.nan

        def forward(trainable: list[Any], fixed: list[Any], rows: Any) -> Any:
            return network.stateless_call(trainable, fixed, encode(rows), training=False)[0]

        def values(state: State, rows: Any) -> Any:
            return forward(state.trainable, state.fixed, rows)

        def update(state: State, rows: Any) -> tuple[State, Any]:
            batch = Batch.of(rows)
            next_values = forward(
                state.target_trainable, state.target_fixed, batch.next_observations
            )
            chooser = values(state, batch.next_observations) if hyperparameters.double_q else None
            target = targets(batch.rewards, batch.discounts, next_values, chooser)

            def loss_of(trainable: list[Any]) -> tuple[Any, list[Any]]:
                present, fixed = network.stateless_call(
                    trainable, state.fixed, encode(batch.observations), training=True
                )
                return mean_loss(
                    hyperparameters.loss, target - chosen(present, batch.actions)
                ), fixed

            (loss, fixed), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.trainable)
            trainable, moments = optimizer.stateless_apply(
                state.optimizer, clipped(gradients, hyperparameters.max_grad_norm), state.trainable
            )
            return state._replace(trainable=trainable, fixed=fixed, optimizer=moments), loss

        def move(state: State, tau: Any) -> State:
            pairs = zip(state.target_trainable, state.trainable, strict=True)
            return state._replace(
                target_trainable=[polyak(target, source, tau) for target, source in pairs],
                # statistics are copied whole, as in stable-baselines3
                target_fixed=[
                    jnp.where(tau > 0, source, target)
                    for target, source in zip(state.target_fixed, state.fixed, strict=True)
                ],
            )

        def learn(state: State, batches: Any, seen: Any, tau: Any) -> Any:
            state = move(state, tau)
            if len(batches) == 1:
                state, loss = update(state, batches[0])
            else:
                state, losses = jax.lax.scan(update, state, batches)
                loss = losses[-1]
            return state, values(state, seen), loss

        # the pure functions, for those who compile more than one step
        self.pure_values, self.pure_learn = values, learn
        self._values = jit(values)
        self._learn = jit(learn)

    @property
    def state(self) -> State:
        """All that learning changes."""
        if self._state is None:
            self._state = State(*([v.value for v in part] for part in self._variables))
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._state = state

    def values(self, rows: Float32Array) -> Float32Array:
        """Return the action values, (N, A), of observations, (N, D)."""
        return np.asarray(self._values(self.state, rows))

    def learn(self, batches: Float32Array, rows: Float32Array, tau: float) -> Float32Array:
        """Move the target network, take one optimizer step a batch, and return the new values.

        Args:
            batches: (G, B, W) the transitions of G batches.
            rows: (N, D) observations.
            tau: The share of the network that goes into the target network before; 0: none.

        Returns:
            (N, A) the values of the observations, by the network that has learned.
        """
        self._state, values, self.last_loss = self._learn(
            self.state, batches, rows, np.float32(tau)
        )
        return np.asarray(values)

    @property
    def loss(self) -> float:
        """The loss of the last batch, before its optimizer step; NaN before the first."""
        return float(self.last_loss)

    def release(self) -> None:
        """Put what was learned into the Keras variables, which are read again when needed."""
        if self._state is not None:
            for part, arrays in zip(self._variables, self._state, strict=True):
                for variable, array in zip(part, arrays, strict=True):
                    variable.assign(array)
        self._state = None
