"""The Keras models of the learners: made, checked and copied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from nchain_agents.deep.adam import Adam
from nchain_agents.deep.hyperparameters import BootstrappedHyperparameters, Hyperparameters
from nchain_agents.quiet import tensorflow_quiet


def model_and_optimizer(
    hyperparameters: Hyperparameters,
    inputs: int,
    actions: int,
    seed: int,
    model: Any,
    optimizer: Any,
) -> tuple[Any, Any]:
    """Return the user's own, checked; in place of None those that the hyperparameters describe."""
    if model is None:
        activation, net_arch = hyperparameters.activation, hyperparameters.net_arch
        try:
            keras.activations.get(activation)
        except ValueError:
            raise ValueError(
                f"activation must be a name that Keras knows, got {activation!r}"
            ) from None
        if isinstance(hyperparameters, BootstrappedHyperparameters):
            model = ensemble(hyperparameters, inputs, actions, seed)
        else:
            model = multilayer_perceptron(inputs, net_arch, activation, actions, seed)
    else:
        model = checked_model(model, inputs, actions)
    if optimizer is None:
        optimizer = Adam(hyperparameters.learning_rate, epsilon=1e-8)  # torch's default
    elif not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(f"optimizer must be a Keras optimizer, got {optimizer!r}")
    return model, optimizer


def multilayer_perceptron(
    inputs: int, net_arch: Sequence[int], activation: str, actions: int, seed: int
) -> Any:
    """Return a network with the initial weights of torch's linear layers, from a seed.

    They are uniform within 1 / sqrt(inputs).

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html
    """
    seeds = iter(np.random.SeedSequence(seed).generate_state(2 * len(net_arch) + 2).tolist())
    model = keras.Sequential([keras.Input((inputs,))])
    for layer, units in enumerate([*net_arch, actions]):
        bound = 1 / math.sqrt(inputs)
        weights, bias = (
            keras.initializers.RandomUniform(-bound, bound, seed=next(seeds)) for _ in range(2)
        )
        model.add(
            keras.layers.Dense(
                units,
                activation=activation if layer < len(net_arch) else "linear",
                kernel_initializer=weights,
                bias_initializer=bias,
            )
        )
        inputs = units
    return model


def ensemble(
    hyperparameters: BootstrappedHyperparameters, inputs: int, actions: int, seed: int
) -> Any:
    """Return K members as one network with values (K, A): f + prior_scale p each.

    f and p are perceptrons with different initial weights, as `multilayer_perceptron` draws them;
    p, the prior, is not trainable. The members have all arrays in common, with a first axis K.

    Source: Osband, Aslanides & Cassirer 2018, Randomized Prior Functions for Deep Reinforcement
        Learning, algorithm 1.
    """
    members, widths = hyperparameters.ensemble_size, [*hyperparameters.net_arch, actions]
    seeds = iter(np.random.SeedSequence(seed).generate_state(4 * len(widths)).tolist())
    observations = keras.Input((inputs,))

    def perceptrons(trainable: bool) -> Any:
        outputs, width = observations, inputs
        for layer, units in enumerate(widths):
            bound = 1 / math.sqrt(width)
            weights, bias = (
                keras.initializers.RandomUniform(-bound, bound, seed=next(seeds)) for _ in range(2)
            )
            outputs = keras.layers.EinsumDense(
                "bi,kio->bko" if layer == 0 else "bki,kio->bko",
                (members, units),
                bias_axes="ko",
                activation=hyperparameters.activation if layer < len(widths) - 1 else "linear",
                kernel_initializer=weights,
                bias_initializer=bias,
                trainable=trainable,
            )(outputs)
            width = units
        return outputs

    trained = perceptrons(trainable=True)
    prior = keras.layers.Rescaling(hyperparameters.prior_scale)(perceptrons(trainable=False))
    return keras.Model(observations, keras.layers.Add()([trained, prior]))


def checked_model(model: Any, inputs: int, actions: int) -> Any:
    """Return a user's model, built."""
    if not isinstance(model, keras.Model):
        raise ValueError(f"model must be a Keras model, got {model!r}")
    if not model.built:
        model.build((None, inputs))
    if math.prod(model.input_shape[1:]) != inputs:
        raise ValueError(
            f"model must take {inputs} numbers an observation, got input shape {model.input_shape}"
        )
    if model.output_shape != (None, actions):
        raise ValueError(
            f"model must give {actions} values, one an action, "
            f"got output shape {model.output_shape}"
        )
    return model


def twin(model: Any) -> Any:
    """Return another model of the same shape with the same weights."""
    with tensorflow_quiet():  # Keras imports it to describe a layer, on JAX, too
        copy = keras.models.clone_model(model)
    if not copy.built:
        copy.build(model.input_shape)
    for ours, theirs in zip(copy.variables, model.variables, strict=True):
        ours.assign(theirs.value)
    return copy


def arrays_of(variables: list[Any]) -> list[npt.NDArray[Any]]:
    """Return the values of Keras variables."""
    # Keras's own conversion raises a warning of NumPy
    return [np.asarray(variable.value) for variable in variables]
