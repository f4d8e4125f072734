"""What a saved KerasDQN consists of: named arrays, the network among them as Keras saves it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import numpy.typing as npt

from nchain_agents.deep import adam  # noqa: F401  (so that Keras knows it)
from nchain_agents.deep.networks import arrays_of, checked_model, twin

if TYPE_CHECKING:
    from nchain_agents.deep.keras_dqn import KerasDQN

Arrays = dict[str, npt.NDArray[Any]]


def arrays_of_agent(agent: KerasDQN, replay_buffer: bool) -> Arrays:
    """Return all that an agent has learned, and its replay buffer if wanted."""
    replay = agent._replay
    arrays = {
        "network": as_bytes(agent.network),
        "optimizer": np.array(json.dumps(keras.optimizers.serialize(agent.optimizer))),
        "calls": np.array(agent._calls),
        "returns": agent._returns,
    }
    for name, variables in _variables(agent).items():
        arrays |= {f"{name}_{i}": array for i, array in enumerate(arrays_of(variables))}
    if replay_buffer:
        kept = min(int(replay.added.max()), len(replay.rows))
        arrays |= {"replay": replay.rows[:kept], "added": replay.added}
    return arrays


def restore(agent: KerasDQN, arrays: Arrays) -> None:
    """Give a new agent what `arrays_of_agent` gave of another.

    Raises:
        KeyError: Something is missing.
        ValueError: It does not fit the agent's environment, or is not what it should be.
    """
    network, optimizer = from_bytes(arrays["network"]), _optimizer(str(arrays["optimizer"]))
    try:
        checked_model(network, agent._encoding.inputs, agent._num_actions)
    except ValueError as error:
        raise ValueError(f"env must fit the saved network: {error}") from error
    _restore_replay(agent, arrays)
    agent._set_models(network, twin(network), optimizer)
    for name, variables in _variables(agent).items():
        for i, variable in enumerate(variables):
            if arrays[f"{name}_{i}"].shape != variable.shape:
                raise ValueError(f"the file's {name}_{i} does not fit its network")
            variable.assign(arrays[f"{name}_{i}"])
    agent._calls = int(arrays["calls"])


def _restore_replay(agent: KerasDQN, arrays: Arrays) -> None:
    if "replay" not in arrays:
        return
    rows, saved, added = agent._replay.rows, arrays["replay"], arrays["added"]
    returns = arrays["returns"]
    if (
        saved.shape[1:] != rows.shape[1:]
        or len(saved) > len(rows)
        or added.shape != agent._replay.added.shape
        or returns.shape != agent._returns.shape
    ):
        raise ValueError(
            "env must have as many environments, with observations like those of the saved "
            f"replay buffer of shape {saved.shape}, got {rows.shape}; or save with "
            "replay_buffer=False"
        )
    rows[: len(saved)] = saved
    agent._replay.added[:] = added
    agent._returns[:] = returns


def _variables(agent: KerasDQN) -> dict[str, list[Any]]:
    """Beside the network's own, which it brings with it."""
    return {"target": agent.target_network.variables, "moment": agent.optimizer.variables}


def as_bytes(model: Any) -> npt.NDArray[np.uint8]:
    """Return a model in Keras's own format."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        model.save(file)
        return np.frombuffer(file.read_bytes(), dtype=np.uint8)


def from_bytes(content: npt.NDArray[np.uint8]) -> Any:
    """Return the model that `as_bytes` gave; no code that came with it is run.

    Raises:
        ValueError: It is not a model, or one that has code of its own (a Lambda layer).
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        file.write_bytes(content.tobytes())
        try:
            return keras.saving.load_model(file, compile=False, safe_mode=True)
        except Exception as error:  # whatever a broken file sets off in Keras
            raise ValueError(f"the network in the file cannot be read: {error}") from error


def _optimizer(text: str) -> Any:
    try:
        optimizer = keras.optimizers.deserialize(json.loads(text))
    except Exception as error:  # whatever a broken configuration sets off in Keras
        raise ValueError(f"the optimizer in the file cannot be read: {error}") from error
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(f"the optimizer in the file is none, but {type(optimizer).__name__}")
    return optimizer
