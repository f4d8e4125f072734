"""How the training state of a network is saved.

A network that `net_arch` describes is saved as its weights alone, and Adam as its moments. A user's
own model or optimizer is described by Keras, and built anew from that description.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import keras
import numpy as np

from nchain_agents.deep.backend import backend
from nchain_agents.deep.env_adapter import EnvAdapter, adapted
from nchain_agents.deep.hyperparameters import Hyperparameters
from nchain_agents.deep.networks import arrays_of, model_and_optimizer
from nchain_agents.deep.training_state import TrainingState
from nchain_agents.storage import LARGEST, Arrays, Saved, typed
from nchain_env.checks import integer

# Older versions of Keras run code that a description names, in spite of `safe_mode`: CVE-2025-1550
# (mended in 3.9), CVE-2025-8747, CVE-2025-9905 and CVE-2025-9906 (3.11), CVE-2025-12058 (3.12) and
# CVE-2026-1462 (3.13.2), by https://github.com/advisories?query=keras.
SAFE_KERAS = (3, 13, 2)
# A longer description must come with as many bytes of weights.
_DESCRIPTION = 2**16


def configurations(state: TrainingState, own_model: bool, own_optimizer: bool) -> dict[str, Any]:
    """Return Keras's descriptions of the user's own model and optimizer, None for the default."""
    state.learner.release()
    network, optimizer = state.learner.network, state.learner.optimizer
    return {
        "network": keras.saving.serialize_keras_object(network) if own_model else None,
        "optimizer": keras.optimizers.serialize(optimizer) if own_optimizer else None,
    }


def variables_of(state: TrainingState) -> dict[str, list[Any]]:
    """Return all Keras variables, by the names of their arrays, as they are after learning."""
    state.learner.release()
    return {
        "network": state.learner.network.variables,
        "target": state.learner.target_network.variables,
        "optimizer": state.learner.optimizer.variables,
    }


def arrays_of_training(state: TrainingState, replay_buffer: bool) -> Arrays:
    """Return all that was learned, and the replay buffer if wanted."""
    replay = state.replay
    arrays: Arrays = {
        "calls": np.array(state.calls),
        "epsilon": np.array(state.epsilon),
        "loss": np.array(state.learner.loss),
        "returns": state.returns,
        "lengths": state.lengths,
    }
    if replay.members:
        arrays["members"] = state.members
    for name, variables in variables_of(state).items():
        for i, array in enumerate(arrays_of(variables)):
            plain = array.dtype.kind in "biuf"  # bfloat16, say, is nothing that NumPy knows
            arrays[f"{name}_{i}"] = array if plain else array.astype(np.float32)
    if replay_buffer:
        kept = min(int(replay.added.max()), len(replay.rows))
        arrays |= {"replay": replay.rows[:kept], "added": replay.added}
    return arrays


def saved_models(saved: Saved, env: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the model and the optimizer to make an agent with, where ours will not do."""
    network = saved.field("network", dict, type(None))
    optimizer = saved.field("optimizer", dict, type(None))
    adapter = adapted(env)
    inputs, actions = adapter.encoding.inputs, adapter.num_actions
    shapes, model = saved.shapes("network"), None
    if network is None:
        _fit(shapes, _shapes(parameters, inputs, actions))
    else:
        model = _described_model(saved, network, inputs, shapes)
    found = {"model": model, "optimizer": _optimizer(optimizer)}
    return {name: value for name, value in found.items() if value is not None}


def _shapes(parameters: dict[str, Any], inputs: int, actions: int) -> list[tuple[int, ...]]:
    """Return the shapes of the arrays of a network that the parameters describe."""
    net_arch = typed("net_arch", parameters["net_arch"], list)
    widths = [integer("net_arch", width, 1) for width in net_arch]
    layers = list(pairwise([inputs, *widths, actions]))
    if "ensemble_size" not in parameters:
        return [shape for here, there in layers for shape in ((here, there), (there,))]
    k = integer("ensemble_size", parameters["ensemble_size"], 1)
    # each layer of the priors, and then that of the networks that learn
    return [shape for here, there in layers for shape in ((k, here, there), (k, there)) * 2]


def restore(state: TrainingState, saved: Saved, num_actions: int) -> None:
    """Restore a training state from what `arrays_of_training` returned."""
    state.calls = saved.number("calls", 0)
    state.epsilon = float(saved.array("epsilon", np.float64, (), 0, 1))
    returns = saved.array("returns", np.float64, (None,))
    lengths = saved.array("lengths", np.int64, returns.shape, 0, LARGEST)
    if len(returns) == len(state.returns):
        state.returns[:], state.lengths[:] = returns, lengths
    if state.replay.members:
        members = saved.array("members", np.int64, (None,), 0, state.replay.members - 1)
        if len(members) == len(state.members):
            state.members[:] = members
    if "replay" in saved:
        _restore_replay(state, saved, num_actions)
    loss = float(saved.array("loss", np.float64, ()))
    for name, variables in variables_of(state).items():
        _fit(saved.shapes(name), [tuple(variable.shape) for variable in variables])
        for i, variable in enumerate(variables):
            kind = np.asarray(variable.value).dtype
            dtype = kind if kind.kind in "biuf" else np.float32
            # optimizers begin with the number of their steps
            low = (0,) if name == "optimizer" and i == 0 else ()
            variable.assign(saved.array(f"{name}_{i}", dtype, variable.shape, *low))
    state.learner.last_loss = np.float32(loss)


def _restore_replay(state: TrainingState, saved: Saved, num_actions: int) -> None:
    replay = state.replay
    length, envs, width = replay.rows.shape
    try:
        added = saved.array("added", np.int64, (envs,), 0, LARGEST)
        rows = saved.array("replay", np.float32, (None, envs, width))
    except ValueError as error:
        raise ValueError(
            "env must have as many environments, with observations like those of the saved "
            f"replay buffer ({error}); or save with replay_buffer=False"
        ) from error
    if len(rows) != min(int(added.max()), length):
        raise ValueError(
            f"replay must hold {min(int(added.max()), length)} transitions, got {len(rows)}"
        )
    if not np.isfinite(rows).all():
        raise ValueError("replay must hold finite numbers, got others")
    masks, actions = rows[..., : replay.members], rows[..., -4]
    discounts, ended = rows[..., -2], rows[..., -1]
    if not (
        np.isin(actions, np.arange(num_actions)).all()
        and ((discounts >= 0) & (discounts <= 1)).all()
        and np.isin(ended, (0, 1)).all()
        and np.isin(masks, (0, 1)).all()
    ):
        raise ValueError("replay must hold actions, discounts and ends of episodes, got others")
    replay.rows[: len(rows)] = rows
    replay.added[:] = added


def described(state: TrainingState, own_model: bool, own_optimizer: bool) -> dict[str, Any]:
    """Return all Keras objects of a training state as plain data, for `rebuild`."""
    arrays = {name: arrays_of(variables) for name, variables in variables_of(state).items()}
    models = configurations(state, own_model, own_optimizer)
    return {**models, "arrays": arrays, "loss": state.learner.loss}


def rebuild(
    state: TrainingState, models: dict[str, Any], env: EnvAdapter, hyperparameters: Hyperparameters
) -> None:
    """Restore the learner of a training state from what `described` returned."""
    network, optimizer = models["network"], models["optimizer"]
    if network is not None:
        # what is copied or unpickled is trusted
        network = keras.saving.deserialize_keras_object(network, safe_mode=False)
    if optimizer is not None:
        optimizer = keras.optimizers.deserialize(optimizer)
    network, optimizer = model_and_optimizer(
        hyperparameters, env.encoding.inputs, env.num_actions, 0, network, optimizer
    )
    state.learner = backend().Learner(network, optimizer, env.encoding, hyperparameters)
    for name, variables in variables_of(state).items():
        for variable, array in zip(variables, models["arrays"][name], strict=True):
            variable.assign(array)
    state.learner.last_loss = np.float32(models["loss"])


def _fit(there: list[tuple[int, ...]], here: list[tuple[int, ...]]) -> None:
    if there != here:
        raise ValueError(
            f"env must fit the saved network: its arrays have the shapes {str(there)[:200]} in the "
            f"file and must have {str(here)[:200]}"
        )


def _described_model(
    saved: Saved, config: dict[str, Any], inputs: int, shapes: list[tuple[int, ...]]
) -> Any:
    text = json.dumps(config)
    if len(text) > max(_DESCRIPTION, saved.size):
        raise ValueError("the description of the network is longer than its weights")

    def build() -> Any:
        # parsed again, because Keras changes a description
        model = keras.saving.deserialize_keras_object(json.loads(text), safe_mode=True)
        if not isinstance(model, keras.Model):
            raise ValueError(f"it is none, but a {type(model).__name__}")
        if not model.built:
            model.build((None, inputs))
        return model

    def found() -> list[tuple[int, ...]]:
        # variables get a shape here, and no memory
        with keras.StatelessScope(initialize_variables=False):
            return [tuple(variable.shape) for variable in build().variables]

    # Keras keeps a list of variables without memory for each thread, and gives it to them later.
    with ThreadPoolExecutor(1) as thread:
        there = _trusting("a network of its own", lambda: thread.submit(found).result())
    _fit(shapes, there)
    return _trusting("a network of its own", build)


def _optimizer(config: dict[str, Any] | None) -> Any:
    if config is None:
        return None
    if len(json.dumps(config)) > _DESCRIPTION:
        raise ValueError("the description of the optimizer is too long")
    optimizer = _trusting("an optimizer of its own", lambda: keras.optimizers.deserialize(config))
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(f"the optimizer in the file is none, but {type(optimizer).__name__}")
    return optimizer


def _trusting(what: str, build: Callable[[], Any]) -> Any:
    """Let Keras build what a file describes, if this version of it runs no code from the file."""
    version = tuple(int(number) for number in keras.__version__.split(".")[:3] if number.isdigit())
    if version < SAFE_KERAS:
        needed = ".".join(str(number) for number in SAFE_KERAS)
        raise ValueError(
            f"the file describes {what}, which is only safe to read with Keras "
            f"{needed} or newer, got {keras.__version__}"
        )
    try:
        return build()
    except Exception as error:  # whatever a broken description sets off in Keras
        raise ValueError(f"the file describes {what}, which cannot be read: {error}") from error
