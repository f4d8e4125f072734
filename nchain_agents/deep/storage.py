"""What a saved KerasDQN consists of beside what every agent has: its networks, plain or described.

A network that `net_arch` describes is saved as its weights alone, and Adam as its moments. A model
or an optimizer of the user's own is described by Keras, and built anew from that description.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from nchain_agents.deep.adam import Adam
from nchain_agents.deep.networks import arrays_of, multilayer_perceptron, twin
from nchain_agents.deep.worlds import world_of
from nchain_agents.storage import LARGEST, Arrays, Saved, typed
from nchain_env.checks import integer

if TYPE_CHECKING:
    from nchain_agents.deep.keras_dqn import KerasDQN

# Older versions of Keras run code that a description names, in spite of `safe_mode`: CVE-2025-1550
# (mended in 3.9), CVE-2025-8747, CVE-2025-9905 and CVE-2025-9906 (3.11), CVE-2025-12058 (3.12) and
# CVE-2026-1462 (3.13.2), by https://github.com/advisories?query=keras.
SAFE_KERAS = (3, 13, 2)
# Descriptions longer than this must come with as many bytes of weights.
_DESCRIPTION = 2**16


def configurations(agent: KerasDQN) -> dict[str, Any]:
    """Return Keras's descriptions of the user's own model and optimizer; None stands for ours."""
    network = keras.saving.serialize_keras_object(agent.network) if agent._own_model else None
    optimizer = keras.optimizers.serialize(agent.optimizer) if agent._own_optimizer else None
    return {"network": network, "optimizer": optimizer}


def variables_of(agent: KerasDQN) -> dict[str, list[Any]]:
    """Return all Keras variables of an agent, by the names of their arrays."""
    return {
        "network": agent.network.variables,
        "target": agent.target_network.variables,
        "optimizer": agent.optimizer.variables,
    }


def arrays_of_agent(agent: KerasDQN, replay_buffer: bool) -> Arrays:
    """Return all that an agent has learned, and its replay buffer if wanted."""
    replay = agent._replay
    arrays: Arrays = {
        "calls": np.array(agent._calls),
        "epsilon": np.array(agent._epsilon),
        "loss": np.array(agent.last_loss),
        "returns": agent._returns,
    }
    for name, variables in variables_of(agent).items():
        for i, array in enumerate(arrays_of(variables)):
            plain = array.dtype.kind in "biuf"  # bfloat16, say, is nothing that NumPy knows
            arrays[f"{name}_{i}"] = array if plain else array.astype(np.float32)
    if replay_buffer:
        kept = min(int(replay.added.max()), len(replay.rows))
        arrays |= {"replay": replay.rows[:kept], "added": replay.added}
    return arrays


def saved_models(saved: Saved, env: Any, net_arch: Any) -> dict[str, Any]:
    """Return the model and the optimizer to make an agent with, None where ours will do.

    Raises:
        ValueError: The networks in the file are not those that it describes, or do not fit the
            environment; nothing was made yet.
    """
    network = saved.field("network", dict, type(None))
    optimizer = saved.field("optimizer", dict, type(None))
    world = world_of(env)
    inputs, actions = world.encoding.inputs, int(getattr(world.action_space, "n", 0))
    shapes = saved.shapes("network")
    if network is None:
        widths = [integer("net_arch", width, 1) for width in typed("net_arch", net_arch, list)]
        _fit(shapes, list(_dense_shapes([inputs, *widths, actions])))
        return {"optimizer": _optimizer(optimizer)}
    model = _described_model(saved, network, inputs, shapes)
    return {"model": model, "optimizer": _optimizer(optimizer)}


def restore(agent: KerasDQN, saved: Saved) -> None:
    """Give a new agent what `arrays_of_agent` gave of another.

    Raises:
        ValueError: Something is missing, does not fit, or is not what it should be.
    """
    agent._calls = saved.number("calls", 0)
    agent._epsilon = float(saved.array("epsilon", np.float64, (), 0, 1))
    returns = saved.array("returns", np.float64, (None,))
    if len(returns) == len(agent._returns):
        agent._returns[:] = returns
    if "replay" in saved:
        _restore_replay(agent, saved)
    loss = float(saved.array("loss", np.float64, ()))
    for name, variables in variables_of(agent).items():
        _fit(saved.shapes(name), [tuple(variable.shape) for variable in variables])
        for i, variable in enumerate(variables):
            kind = np.asarray(variable.value).dtype
            dtype = kind if kind.kind in "biuf" else np.float32
            # optimizers begin with the number of their steps
            low = (0,) if name == "optimizer" and i == 0 else ()
            variable.assign(saved.array(f"{name}_{i}", dtype, variable.shape, *low))
    agent._learner.last_loss = np.float32(loss)


def _restore_replay(agent: KerasDQN, saved: Saved) -> None:
    replay = agent._replay
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
    actions, discounts, ended = rows[..., -4], rows[..., -2], rows[..., -1]
    if not (
        np.isin(actions, np.arange(agent._num_actions)).all()
        and ((discounts >= 0) & (discounts <= 1)).all()
        and np.isin(ended, (0, 1)).all()
    ):
        raise ValueError("replay must hold actions, discounts and ends of episodes, got others")
    replay.rows[: len(rows)] = rows
    replay.added[:] = added


def described(agent: KerasDQN) -> dict[str, Any]:
    """Return all that is Keras's in an agent, for `rebuild`."""
    arrays = {name: arrays_of(variables) for name, variables in variables_of(agent).items()}
    return {**configurations(agent), "arrays": arrays, "loss": agent.last_loss}


def rebuild(agent: KerasDQN, models: dict[str, Any]) -> None:
    """Make anew what `described` said of another agent."""
    network, optimizer = models["network"], models["optimizer"]
    if network is None:
        network = multilayer_perceptron(
            agent._encoding.inputs, agent.net_arch, agent.activation, agent._num_actions, 0
        )
    else:
        # what is copied or unpickled is trusted
        network = keras.saving.deserialize_keras_object(network, safe_mode=False)
    if optimizer is None:
        optimizer = Adam(agent.learning_rate, epsilon=1e-8)
    else:
        optimizer = keras.optimizers.deserialize(optimizer)
    agent._set_models(network, twin(network), optimizer)
    for name, variables in variables_of(agent).items():
        for variable, array in zip(variables, models["arrays"][name], strict=True):
            variable.assign(array)
    agent._learner.last_loss = np.float32(models["loss"])


def _dense_shapes(widths: list[int]) -> list[tuple[int, ...]]:
    """Return the shapes of the kernels and biases between layers of these widths."""
    shapes: list[tuple[int, ...]] = []
    for inputs, outputs in pairwise(widths):
        shapes += [(inputs, outputs), (outputs,)]
    return shapes


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
        # anew from the text, because Keras takes a description apart
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
    """Let Keras build what a file describes.

    Raises:
        ValueError: It cannot, or this version of Keras would run code that the file names.
    """
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
