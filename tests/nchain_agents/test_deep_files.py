"""Saving and loading KerasDQN."""

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the keras or the jax extra")

import keras

from nchain_agents import KerasDQN, load
from nchain_env import NChainVectorEnv

# Keras reads JAX's arrays in a way that NumPy warns about
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't:DeprecationWarning"
)

SMALL: dict[str, Any] = {
    "learning_starts": 20,
    "batch_size": 8,
    "train_freq": 2,
    "target_update_interval": 25,
    "buffer_size": 64,
    "net_arch": [6],
    "compiled": False,
    "seed": 0,
}


def same(ours: KerasDQN, theirs: KerasDQN) -> bool:
    """Whether everything learned is the same, to the bit."""
    networks = (ours.network, theirs.network), (ours.target_network, theirs.target_network)
    pairs = [
        pair
        for one, other in networks
        for pair in zip(one.get_weights(), other.get_weights(), strict=True)
    ]
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"n_steps": 3, "double_q": True, "loss": "mse", "tau": 0.5}, {"exploration_decay": 0.9}],
    ids=str,
)
def test_a_loaded_agent_learns_on_as_if_never_stopped(
    parameters: dict[str, Any], tmp_path: Path
) -> None:
    env = gym.make("NChain-v0", max_episode_steps=40)
    agent = KerasDQN(env, **SMALL | parameters).learn(131)
    agent.save(tmp_path / "agent")
    loaded = load(tmp_path / "agent")
    assert isinstance(loaded, KerasDQN)
    assert loaded.net_arch == [6]
    assert same(agent, loaded)
    assert not same(agent, KerasDQN("NChain-v0", **SMALL))
    agent.learn(100)
    loaded.learn(100)
    assert same(agent, loaded)
    assert loaded.num_timesteps == 231
    assert loaded.episode_returns == agent.episode_returns
    assert len(agent.episode_returns) == 5


def test_without_the_replay_buffer_files_are_small_and_learning_begins_anew(
    tmp_path: Path,
) -> None:
    agent = KerasDQN("CartPole-v1", **SMALL | {"buffer_size": 5000}).learn(3000)
    agent.save(tmp_path / "whole")
    agent.save(tmp_path / "lean", replay_buffer=False)
    rows = 3000 * (2 * 4 + 4) * 4
    sizes = [(tmp_path / name).stat().st_size for name in ("whole", "lean")]
    assert sizes[0] - sizes[1] > rows
    loaded = KerasDQN.load(tmp_path / "lean")
    assert same(agent, loaded)
    assert len(loaded._replay) == 0
    assert len(loaded.learn(10)._replay) == 10


def test_models_and_optimizers_of_the_users_come_back(tmp_path: Path) -> None:
    shared = keras.Input((5,))
    hidden = keras.layers.Dense(4, activation="tanh")(shared)
    values = keras.layers.Dense(2)(keras.layers.concatenate([hidden, shared]))
    model = keras.Model(shared, values)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    agent = KerasDQN("NChain-v0", model=model, optimizer=optimizer, **SMALL).learn(100)
    agent.save(tmp_path / "agent")
    loaded = KerasDQN.load(tmp_path / "agent")
    assert same(agent, loaded)
    assert same(agent.learn(50), loaded.learn(50))
    assert isinstance(loaded.optimizer, keras.optimizers.SGD)
    assert loaded.optimizer.momentum == 0.9


def test_it_goes_on_in_another_environment_of_the_same_spaces(tmp_path: Path) -> None:
    agent = KerasDQN("NChain-v0", **SMALL).learn(100)
    agent.save(tmp_path / "agent")
    other = gym.make("NChain-v0", slip=0.0)
    loaded = KerasDQN.load(tmp_path / "agent", other).learn(50)
    assert loaded.env is other
    # no transition spans from the old environment to the new
    rows = loaded._replay.rows[:, 0]
    assert rows[99 % 64, -1] == 1.0
    assert rows[98 % 64, -1] == 0.0
    for wrong in (gym.make("NChain-v0", n=3), gym.make("CartPole-v1")):
        with pytest.raises(ValueError, match="env must fit the saved network: model must take"):
            KerasDQN.load(tmp_path / "agent", wrong)


def test_vector_environments_are_given_again(tmp_path: Path) -> None:
    agent = KerasDQN(NChainVectorEnv(3), **SMALL).learn(100)
    agent.save(tmp_path / "agent")
    with pytest.raises(ValueError, match="env must be given"):
        KerasDQN.load(tmp_path / "agent")
    three: Any = NChainVectorEnv(3)
    loaded = KerasDQN.load(tmp_path / "agent", three)
    assert same(agent, loaded)
    loaded.learn(30)
    two: Any = NChainVectorEnv(2)
    with pytest.raises(ValueError, match="env must have as many environments"):
        KerasDQN.load(tmp_path / "agent", two)
    agent.save(tmp_path / "agent", replay_buffer=False)
    assert same(agent, KerasDQN.load(tmp_path / "agent", gym.make("NChain-v0")))


def test_hostile_and_broken_files_are_refused(tmp_path: Path) -> None:
    agent = KerasDQN("NChain-v0", **SMALL)
    agent.save(tmp_path / "good")
    with np.load(tmp_path / "good") as content:
        good = {name: content[name] for name in content.files}

    from nchain_agents.deep.storage import as_bytes

    runs_code = keras.Sequential(
        [keras.Input((5,)), keras.layers.Lambda(lambda x: x), keras.layers.Dense(2)]
    )
    no_optimizer = json.dumps({"class_name": "Dense", "config": {"units": 1}, "module": "keras"})
    for changed, message in (
        ({"network": np.zeros(100, np.uint8)}, "the network in the file cannot be read"),
        ({"network": as_bytes(runs_code)}, "the network in the file cannot be read.*[Ll]ambda"),
        ({"optimizer": np.array("{")}, "the optimizer in the file cannot be read"),
        ({"optimizer": np.array(no_optimizer)}, "the optimizer in the file"),
        ({"target_0": np.zeros((3, 3))}, "target_0 does not fit its network"),
        ({"replay": np.zeros((9, 1, 77))}, "env must have as many environments"),
        ({"calls": None}, "is not a saved KerasDQN"),
        ({"moment_1": None}, "is not a saved KerasDQN"),
    ):
        bad = {name: array for name, array in (good | changed).items() if array is not None}
        with (tmp_path / "bad").open("wb") as file:
            np.savez(file, **bad)
        with pytest.raises(ValueError, match=message):
            KerasDQN.load(tmp_path / "bad")
