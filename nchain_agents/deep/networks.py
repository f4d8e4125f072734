"""The Keras models of KerasDQN: made, checked and copied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from nchain_agents.deep.adam import Adam
from nchain_agents.deep.hyperparameters import Hyperparameters


def default_model(hyperparameters: Hyperparameters, inputs: int, actions: int, seed: int) -> Any:
    """Return the network that net_arch and activation describe."""
    activation = hyperparameters.activation
    try:
        keras.activations.get(activation)
    except ValueError:
        raise ValueError(
            f"activation must be a name that Keras knows, got {activation!r}"
        ) from None
    return multilayer_perceptron(inputs, hyperparameters.net_arch, activation, actions, seed)


def default_optimizer(hyperparameters: Hyperparameters) -> Any:
    """Return the optimizer that learning_rate describes; its epsilon is torch's default."""
    return Adam(hyperparameters.learning_rate, epsilon=1e-8)


def multilayer_perceptron(
    inputs: int, net_arch: Sequence[int], activation: str, actions: int, seed: int
) -> Any:
    """Return a network whose initial weights depend on nothing but the seed.

    They are drawn as torch draws those of its linear layers, uniformly within 1 / sqrt(inputs).

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
    copy = keras.models.clone_model(model)
    if not copy.built:
        copy.build(model.input_shape)
    for ours, theirs in zip(copy.variables, model.variables, strict=True):
        ours.assign(theirs.value)
    return copy


def arrays_of(variables: list[Any]) -> list[npt.NDArray[Any]]:
    """Return the values of Keras variables."""
    # not by Keras, whose way NumPy warns of
    return [np.asarray(variable.value) for variable in variables]
