"""Saving and loading KerasDQN."""

import copy
import json
import marshal
import os
import pickle
import resource
from base64 import b64encode
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("keras", reason="needs the keras or the jax extra")

import keras

from nchain_agents import EveryNTimesteps, KerasDQN, load
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
    assert len(loaded.training_state.replay) == 0
    assert len(loaded.learn(10).training_state.replay) == 10


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
    rows = loaded.training_state.replay.rows[:, 0]
    assert rows[99 % 64, -1] == 1.0
    assert rows[98 % 64, -1] == 0.0
    for wrong in (gym.make("NChain-v0", n=3), gym.make("CartPole-v1")):
        with pytest.raises(ValueError, match="env must fit the saved network: its arrays"):
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


def saved_and_loaded(agent: KerasDQN) -> KerasDQN:
    with TemporaryDirectory() as folder:
        agent.save(Path(folder) / "agent")
        loaded = load(Path(folder) / "agent")
    assert isinstance(loaded, KerasDQN)
    return loaded


def pickled(agent: KerasDQN) -> Any:
    return pickle.loads(pickle.dumps(agent))


def behaviour(agent: KerasDQN) -> list[Any]:
    """What an agent on the chain shows of itself, its random choices included."""
    states = np.arange(5)
    return [
        agent.predict(states, deterministic=True)[0].tolist(),
        [agent.predict(states)[0].tolist() for _ in range(10)],
        agent.q_values(states).tolist(),
        agent.knowledge().tolist(),
        agent.epsilon,
        str(agent.last_loss),  # NaN in the beginning
        list(agent.episode_returns),
        agent.total_reward,
        agent.num_timesteps,
        agent.np_random.bit_generator.state,
    ]


def test_a_loaded_agent_explores_as_it_did() -> None:
    agent = KerasDQN("NChain-v0", **SMALL | {"learning_starts": 0, "train_freq": 10**6})
    agent.learn(1000, EveryNTimesteps(150, lambda _: False))
    assert agent.epsilon == 0.05
    loaded = saved_and_loaded(agent)
    assert loaded.epsilon == 0.05
    greedy = loaded.predict(0, deterministic=True)[0]
    others = loaded.predict(np.zeros(4000, dtype=np.int64))[0] != greedy
    # half of the random actions are the greedy one
    assert 0.015 < others.mean() < 0.035


own_network: dict[str, Any] = {
    "model": lambda: keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)]),
    "optimizer": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
}


@pytest.mark.parametrize(
    ("own", "duplicate"), [(True, pickled), (False, copy.deepcopy)], ids=["pickle", "deepcopy"]
)
def test_a_copy_learns_on_as_the_original(own: bool, duplicate: Any) -> None:
    models = {name: make() for name, make in own_network.items()} if own else {}
    env = gym.make("NChain-v0", max_episode_steps=40)
    agent = KerasDQN(env, **SMALL, **models).learn(131)
    twin = duplicate(agent)
    assert twin.env is not agent.env
    assert behaviour(twin) == behaviour(agent)
    before = agent.knowledge()
    twin.learn(60)
    assert (agent.knowledge() == before).all()
    agent.learn(60)
    assert behaviour(twin) == behaviour(agent)
    assert same(twin, agent)


@pytest.mark.slow
@settings(max_examples=12)
@given(
    parameters=st.fixed_dictionaries(
        {},
        optional={
            "gamma": st.floats(0, 1),
            "learning_rate": st.floats(1e-4, 0.1),
            "buffer_size": st.integers(1, 80),
            "batch_size": st.integers(1, 9),
            "train_freq": st.integers(1, 5),
            "gradient_steps": st.sampled_from([-1, 1, 2]),
            "tau": st.floats(0.01, 1),
            "target_update_interval": st.integers(1, 40),
            "exploration_fraction": st.floats(0, 1),
            "exploration_final_eps": st.floats(0, 1),
            "exploration_decay": st.floats(0.5, 1),
            "n_steps": st.integers(1, 4),
            "double_q": st.booleans(),
            "loss": st.sampled_from(["huber", "mse"]),
            "net_arch": st.lists(st.integers(1, 7), max_size=2),
            "activation": st.sampled_from(["relu", "tanh"]),
            "compiled": st.sampled_from([False, "auto"]),
        },
    ),
    steps=st.integers(0, 120),
    stop=st.integers(1, 130),
)
def test_what_was_saved_and_loaded_equals_what_never_was(
    parameters: dict[str, Any], steps: int, stop: int
) -> None:
    agent = KerasDQN(gym.make("NChain-v0", max_episode_steps=25), **SMALL | parameters)
    if steps:
        agent.learn(steps, EveryNTimesteps(stop, lambda _: False))
    loaded = saved_and_loaded(agent)
    assert behaviour(loaded) == behaviour(agent)
    assert behaviour(loaded.learn(30)) == behaviour(agent.learn(30))
    assert same(loaded, agent)


def test_an_agent_goes_on_in_another_environment_and_keeps_what_it_learned(tmp_path: Path) -> None:
    agent = KerasDQN("NChain-v0", **SMALL).learn(100)
    other = gym.make("NChain-v0", slip=0.0, max_episode_steps=10)
    agent.env = other
    agent.save(tmp_path / "new" / "agent")
    agent.learn(50)
    assert len(agent.episode_returns) == 5
    assert same(agent, KerasDQN.load(tmp_path / "new" / "agent").learn(50))
    wrong: Any
    for wrong in (gym.make("NChain-v0", n=3), "CartPole-v1", NChainVectorEnv(2)):
        with pytest.raises(ValueError, match=r"env must have the (observation_space|num_envs)"):
            agent.env = wrong
    assert agent.env is other
    assert agent.learn(10).num_timesteps == 160


# ---------------------------------------------------------------------------- files not ours


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return saved(tmp_path_factory.mktemp("plain"), {})


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return saved(
        tmp_path_factory.mktemp("own"), {name: make() for name, make in own_network.items()}
    )


def saved(folder: Path, models: dict[str, Any]) -> dict[str, Any]:
    """The header of a file, as what JSON says, and its arrays."""
    agent = KerasDQN("NChain-v0", **SMALL | {"train_freq": 10**6}, **models).learn(40)
    agent.save(folder / "good")
    with np.load(folder / "good") as content:
        arrays = dict(content)
    return arrays | {"header": json.loads(str(arrays["header"]))}


def refused(path: Path, content: dict[str, Any], message: str = "", **changes: Any) -> None:
    content = copy.deepcopy(content)
    content["header"] |= changes
    content["header"] = np.array(json.dumps(content["header"]))
    with path.open("wb") as file:
        np.savez(file, **content)
    with pytest.raises(ValueError, match=f"{path}.*{message}"):
        load(path)


def test_a_network_that_net_arch_describes_is_numbers_alone(plain: dict[str, Any]) -> None:
    assert plain["header"]["network"] is plain["header"]["optimizer"] is None
    assert [plain[f"network_{i}"].shape for i in range(4)] == [(5, 6), (6,), (6, 2), (2,)]
    assert "keras" not in json.dumps(plain["header"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_0": np.zeros((3, 3))}, "env must fit the saved network: its arrays have"),
        ({"network_0": np.zeros((5, 7))}, "env must fit the saved network: its arrays have"),
        ({"network_1": None}, "env must fit the saved network: its arrays have"),
        ({"network_4": np.zeros(3)}, "env must fit the saved network: its arrays have"),
        ({"network_0": np.zeros((5, 6), np.int64)}, "network_0 must hold float32 numbers"),
        ({"optimizer_0": np.array(-1)}, "optimizer_0 must hold numbers in .0, inf."),
        ({"optimizer_3": None}, "env must fit the saved network: its arrays have"),
        ({"calls": None}, "calls is missing"),
        (
            {"calls": np.array(-1)},
            "calls must be an integer of at least|calls must be an integer in",
        ),
        ({"epsilon": np.array(1.5)}, r"epsilon must hold numbers in \[0, 1\]"),
        ({"epsilon": np.array(np.nan)}, r"epsilon must hold numbers in \[0, 1\]"),
        ({"added": np.array([-1])}, "env must have as many environments"),
        ({"added": np.array([2**62 + 2**61])}, "env must have as many environments"),
        ({"added": np.array([39])}, "replay must hold 39 transitions, got 40"),
        ({"replay": np.zeros((9, 1, 77), np.float32)}, "env must have as many environments"),
        ({"replay": np.full((40, 1, 6), np.nan, np.float32)}, "replay must hold finite numbers"),
        ({"replay": np.full((40, 1, 6), 9, np.float32)}, "replay must hold actions"),
        ({"surprise": np.zeros(3)}, "unknown names: surprise"),
    ],
    ids=str,
)
def test_arrays_that_are_none_of_the_agents_are_refused(
    plain: dict[str, Any], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    content = {name: array for name, array in (plain | changes).items() if array is not None}
    refused(tmp_path / "bad", content, message)


@pytest.mark.parametrize(
    "parameters",
    [
        {"net_arch": [10**9]},
        {"net_arch": [6] * 100_000},
        {"net_arch": [6, 10**6]},
        {"net_arch": "relu"},
        {"net_arch": 6},
        {"buffer_size": 10**12},
        {"buffer_size": 10**30},
        {"buffer_size": 1},
        {"activation": {"module": "os", "class_name": "function", "config": "system"}},
        {"activation": "__import__('os')"},
        {"gamma": None},
        {"surprise": 1},
    ],
    ids=lambda parameters: str(parameters)[:60],
)
def test_a_small_file_cannot_ask_for_much(
    plain: dict[str, Any], tmp_path: Path, parameters: dict[str, Any]
) -> None:
    parameters = plain["header"]["parameters"] | parameters
    refused(tmp_path / "bad", plain, parameters=parameters)


def dense(units: int = 2, **config: Any) -> dict[str, Any]:
    return layer("Dense", {"units": units} | config)


def layer(name: str, config: dict[str, Any], module: str = "keras.layers") -> dict[str, Any]:
    config = {"name": f"one_{name.lower()}"} | config
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


def function(module: str, name: str) -> dict[str, Any]:
    return {
        "module": module,
        "class_name": "function",
        "config": name,
        "registered_name": "function",
    }


def hostile_layers(ran: str) -> dict[str, dict[str, Any]]:
    """Layers by what they try, each of which would make a folder or a file at `ran`."""

    def folder(*_: Any) -> None:
        __import__("os").mkdir(ran)

    code = b64encode(marshal.dumps(folder.__code__)).decode()
    closure = {
        "class_name": "__lambda__",
        "config": {"code": code, "defaults": None, "closure": [ran]},
    }
    command = f"mkdir {ran}"
    vocabulary = {"max_tokens": 9, "vocabulary": "/etc/passwd"}
    return {
        "os.system as a class": layer("system", {"command": command}, "os"),
        "os.mkdir as a class": layer("mkdir", {"path": ran}, "os"),
        "os.mkdir as a function": function("os", "mkdir"),
        "subprocess.Popen as a class": layer("Popen", {"args": ["mkdir", ran]}, "subprocess"),
        "a class of this test": layer("Path", {}, "pathlib"),
        "a module that is imported": layer("Any", {}, "antigravity"),
        "Lambda with code": layer("Lambda", {"function": closure}),
        "Lambda with os.mkdir": layer(
            "Lambda", {"function": function("os", "mkdir"), "arguments": {"path": ran}}
        ),
        "Lambda that allows Lambda": layer(
            "Lambda", {"function": function("keras.config", "enable_unsafe_deserialization")}
        ),
        "Lambda that loads": layer(
            "Lambda",
            {"function": function("keras.models", "load_model"), "arguments": {"filepath": ran}},
        ),
        "Lambda that downloads": layer(
            "Lambda",
            {
                "function": function("keras.utils", "get_file"),
                "arguments": {"origin": "file:///etc/passwd", "cache_dir": ran},
            },
        ),
        "TFSMLayer": layer("TFSMLayer", {"filepath": ran}),
        "TorchModuleWrapper": layer(
            "TorchModuleWrapper", {"module": b64encode(code.encode()).decode()}
        ),
        "JaxLayer": layer("JaxLayer", {"call_fn": function("os", "mkdir"), "params": {}}),
        "TextVectorization with a path": layer("TextVectorization", vocabulary),
        "StringLookup with a path": layer("StringLookup", vocabulary),
        "a function as activation": dense(activation=function("os", "mkdir")),
        "code as activation": dense(activation=closure),
        "a class as activation": dense(activation=layer("system", {"command": command}, "os")),
        "a function as initializer": dense(kernel_initializer=function("os", "getcwd")),
        "a class as initializer": dense(
            kernel_initializer=layer("system", {"command": command}, "os")
        ),
        "a class as regularizer": dense(kernel_regularizer=layer("mkdir", {"path": ran}, "os")),
        "a class as constraint": dense(bias_constraint=layer("mkdir", {"path": ran}, "os")),
        "a class as dtype": dense(dtype=layer("mkdir", {"path": ran}, "os")),
        "eval as activation": dense(activation=function("builtins", "eval")),
    }


@pytest.mark.parametrize("attack", hostile_layers("ran"))
def test_a_hostile_network_runs_nothing(
    own: dict[str, Any], tmp_path: Path, attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = str(tmp_path / "ran")
    bad = hostile_layers(ran)[attack]
    sequential = copy.deepcopy(own["header"]["network"])
    layers = sequential["config"]["layers"]
    # as layers of a functional model are called with what the file says (CVE-2025-1550)
    called = bad | {"name": "called", "inbound_nodes": [{"args": [ran], "kwargs": {}}]}
    entry = layers[0] | {"name": layers[0]["config"]["name"], "inbound_nodes": []}
    functional = {
        "name": "functional",
        "layers": [entry, called],
        "input_layers": [[entry["name"], 0, 0]],
        "output_layers": [["called", 0, 0]],
    }
    for network in (
        bad,
        layer("Functional", functional, "keras.src.models.functional"),
        sequential | {"config": sequential["config"] | {"layers": [layers[0], bad, layers[1]]}},
        sequential | {"config": bad},
    ):
        refused(tmp_path / "bad", own, network=network)
    optimizer = own["header"]["optimizer"]
    for hostile in (
        bad,
        optimizer | {"config": optimizer["config"] | {"learning_rate": bad}},
    ):
        refused(tmp_path / "bad", own, optimizer=hostile)
    assert sorted(os.listdir(tmp_path)) == ["bad"]


def test_a_described_network_takes_no_more_than_the_file_holds(
    own: dict[str, Any], tmp_path: Path
) -> None:
    def network(*layers: Any) -> dict[str, Any]:
        config = copy.deepcopy(own["header"]["network"])
        config["config"]["layers"][1:] = layers
        return dict(config)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for wide in (
        network(dense(10**9, name="a"), dense(name="b")),
        network(dense(10**5, name="a"), dense(10**5, name="b"), dense(name="c")),
        network(*(dense(1, name=f"d{i}") for i in range(10_000))),
    ):
        refused(tmp_path / "bad", own, network=wide)
    # kilobytes; the second network alone would take 40 GB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000
    deep: Any = dense()
    for _ in range(200):
        deep = layer("Sequential", {"layers": [deep]}, "keras")
    refused(tmp_path / "bad", own, "damaged.*nested more than", network=deep)


def test_a_described_network_is_not_read_with_an_older_keras(
    own: dict[str, Any], plain: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras, "__version__", "3.13.1")
    message = "only safe to read with Keras 3.13.2 or newer, got 3.13.1"
    refused(tmp_path / "bad", own, f"a network of its own, .*{message}")
    optimizer = own["header"]["optimizer"]
    refused(tmp_path / "bad", plain, f"an optimizer of its own, .*{message}", optimizer=optimizer)
    plain = plain | {"header": np.array(json.dumps(plain["header"]))}
    with (tmp_path / "good").open("wb") as file:
        np.savez(file, **plain)
    load(tmp_path / "good")


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"class_name": "Dense", "config": {"units": 1}, "module": "keras.layers"},
        {"class_name": "Mystery", "config": {}, "module": "keras.optimizers"},
        "SGD",
        [1],
    ],
    ids=str,
)
def test_a_description_of_something_else_is_refused(
    own: dict[str, Any], tmp_path: Path, config: Any
) -> None:
    refused(tmp_path / "bad", own, "optimizer", optimizer=config)
    refused(tmp_path / "bad", own, "network", network=config)
