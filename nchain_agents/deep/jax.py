"""What is JAX's own in KerasDQN: gradients, compilation, and state outside of variables."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nchain_agents.deep.encoding import Encoding, Float32Array
from nchain_agents.deep.hyperparameters import Hyperparameters
from nchain_agents.deep.learner import BaseLearner
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


# a few numbers that are handed over again and again
_on_device = lru_cache(maxsize=16)(jnp.float32)


class State(NamedTuple):
    """All that learning changes: lists of arrays, in the order of the Keras variables."""

    trainable: list[Any]
    fixed: list[Any]  # statistics, seeds: what the optimizer does not touch
    target_trainable: list[Any]
    target_fixed: list[Any]
    optimizer: list[Any]


class Packing:
    """A tree of arrays as one array for each type of number, and back.

    To call a compiled function takes time for each array that goes in or comes out.
    """

    def __init__(self, tree: Any) -> None:
        leaves, self._structure = jax.tree.flatten(tree)
        self._leaves = [(leaf.dtype.name, leaf.shape) for leaf in leaves]

    def pack(self, tree: Any) -> dict[str, Any]:
        """Return the arrays, by the type of their numbers."""
        parts: dict[str, list[Any]] = {kind: [] for kind, _ in self._leaves}
        for leaf in jax.tree.leaves(tree):
            parts[leaf.dtype.name].append(jnp.ravel(leaf))
        return {kind: jnp.concatenate(arrays) for kind, arrays in parts.items()}

    def unpack(self, packed: dict[str, Any]) -> Any:
        """Return the tree."""
        leaves, ends = [], dict.fromkeys(packed, 0)
        for kind, shape in self._leaves:
            begin = ends[kind]
            ends[kind] += math.prod(shape)
            leaves.append(jnp.reshape(packed[kind][begin : ends[kind]], shape))
        return jax.tree.unflatten(self._structure, leaves)


class Learner(BaseLearner):
    """While it is stepped, the state is packed; `release` puts it into the Keras variables."""

    def __init__(
        self, network: Any, optimizer: Any, encoding: Encoding, hyperparameters: Hyperparameters
    ) -> None:
        super().__init__(network, optimizer, encoding, hyperparameters)
        self._variables = State(
            network.trainable_variables,
            network.non_trainable_variables,
            self.target_network.trainable_variables,
            self.target_network.non_trainable_variables,
            optimizer.variables,
        )
        self._packed: dict[str, Any] | None = None
        packing = Packing(self.state)
        self._pack, self._unpack = jit(packing.pack), jit(packing.unpack)

        def values(packed: Any, rows: Any) -> Any:
            return self.pure_values(packing.unpack(packed), rows)

        def learn(packed: Any, batches: Any, seen: Any, tau: Any) -> tuple[Any, Any, Any]:
            state, values, loss = self.pure_learn(packing.unpack(packed), batches, seen, tau)
            return packing.pack(state), values, loss

        self._values, self._learn = jit(values), jit(learn)

    def _call(self, trainable: list[Any], fixed: list[Any], rows: Any, training: bool) -> Any:
        return self.network.stateless_call(trainable, fixed, self.encode(rows), training=training)

    def pure_values(self, state: State, rows: Any) -> Any:
        """Return the values as a function of the state."""
        return self._call(state.trainable, state.fixed, rows, training=False)[0]

    def pure_learn(self, state: State, batches: Any, seen: Any, tau: Any) -> tuple[State, Any, Any]:
        """Return the next state, the values of `seen` and the loss."""
        trained = zip(state.target_trainable, state.trainable, strict=True)
        fixed = zip(state.target_fixed, state.fixed, strict=True)
        state = state._replace(
            target_trainable=[polyak(target, source, tau) for target, source in trained],
            # statistics are copied whole, as in stable-baselines3
            target_fixed=[jnp.where(tau > 0, source, target) for target, source in fixed],
        )
        if len(batches) == 1:
            state, loss = self._update(state, batches[0])
        else:
            state, losses = jax.lax.scan(self._update, state, batches)
            loss = losses[-1]
        return state, self.pure_values(state, seen), loss

    def _update(self, state: State, rows: Any) -> tuple[State, Any]:
        hyperparameters = self.hyperparameters
        members = hyperparameters.ensemble_size
        batch = Batch.of(rows, members)
        next_rows = batch.next_observations
        next_values = self._call(
            state.target_trainable, state.target_fixed, next_rows, training=False
        )[0]
        chooser = self.pure_values(state, next_rows) if hyperparameters.double_q else None
        target = targets(batch.rewards, batch.discounts, next_values, chooser)

        def loss_of(trainable: list[Any]) -> tuple[Any, list[Any]]:
            present, fixed = self._call(trainable, state.fixed, batch.observations, training=True)
            errors = target - chosen(present, batch.actions)
            return mean_loss(hyperparameters.loss, errors, batch.masks), fixed

        (loss, fixed), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.trainable)
        gradients = clipped(gradients, hyperparameters.max_grad_norm, members)
        trainable, moments = self.optimizer.stateless_apply(
            state.optimizer, gradients, state.trainable
        )
        return state._replace(trainable=trainable, fixed=fixed, optimizer=moments), loss

    @property
    def state(self) -> State:
        """All that learning changes."""
        self.release()
        return State(*([v.value for v in part] for part in self._variables))

    @state.setter
    def state(self, state: State) -> None:
        for part, arrays in zip(self._variables, state, strict=True):
            for variable, array in zip(part, arrays, strict=True):
                variable.assign(array)
        self._packed = None

    def values(self, rows: Float32Array) -> Float32Array:
        """Return the action values, (N, A) or (N, K, A), of observations, (N, D)."""
        self._packed = self._packed or self._pack(self.state)
        return np.asarray(self._values(self._packed, rows))

    def learn(self, batches: Float32Array, rows: Float32Array, tau: float) -> Float32Array:
        """Learn from batches, and return the new values of observations."""
        self._packed = self._packed or self._pack(self.state)
        self._packed, values, self.last_loss = self._learn(
            self._packed, batches, rows, _on_device(tau)
        )
        return np.asarray(values)

    def release(self) -> None:
        """Put what was learned into the Keras variables, which are read again when needed."""
        if self._packed is not None:
            self.state = self._unpack(self._packed)
