"""Saved table learners: the round trip, and files that are refused."""

import contextlib
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_learners import AGENTS

from nchain_agents import (
    QLearning,
    RewardSum,
    load,
)
from nchain_agents.tabular.table_agent import TableAgent


def test_an_agent_that_has_learned_nothing_is_saved_too(tmp_path: Path) -> None:
    for kind in AGENTS:
        agent = kind("NChain-v0", seed=0)
        agent.save(tmp_path / "agent")
        loaded = load(tmp_path / "agent")
        assert loaded.num_timesteps == 0
        assert loaded.q_values(np.arange(5)).tolist() == agent.q.tolist()


@pytest.mark.parametrize("kind", AGENTS)
def test_a_saved_agent_comes_back_the_same(kind: type[TableAgent], tmp_path: Path) -> None:
    agent = kind(gym.make("NChain-v0", n=7), seed=0).learn(2500)
    agent.save(tmp_path / "agent.npz")
    for loaded in (kind.load(tmp_path / "agent.npz"), load(tmp_path / "agent.npz")):
        assert type(loaded) is kind
        assert loaded.num_timesteps == 2500
        assert loaded.episode_returns == agent.episode_returns
        assert loaded.np_random.bit_generator.state == agent.np_random.bit_generator.state
        assert isinstance(loaded, TableAgent)
        for name, array in agent.tables._asdict().items():
            assert getattr(loaded.tables, name).tobytes() == array.tobytes()


@pytest.mark.parametrize("env", ["NChain-v0", "FrozenLake-v1"])
@pytest.mark.parametrize("kind", AGENTS)
def test_a_loaded_agent_learns_on_as_if_never_stopped(
    kind: type[TableAgent], env: str, tmp_path: Path
) -> None:
    unbroken, stopped = (kind(env, seed=5) for _ in range(2))
    unbroken.learn(1234).learn(2345)
    stopped.learn(1234).save(tmp_path / "agent")
    resumed = kind.load(tmp_path / "agent").learn(2345)
    for name, array in unbroken.tables._asdict().items():
        assert getattr(resumed.tables, name).tobytes() == array.tobytes()
    assert resumed.episode_returns == unbroken.episode_returns
    for one, other in (
        (resumed.np_random, unbroken.np_random),
        (resumed.env.unwrapped.np_random, unbroken.env.unwrapped.np_random),
    ):
        assert one.bit_generator.state == other.bit_generator.state


def test_an_agent_loaded_into_a_given_environment_begins_an_episode_there(tmp_path: Path) -> None:
    QLearning("NChain-v0", seed=0).learn(1500).save(tmp_path / "agent")
    env = gym.make("NChain-v0", max_episode_steps=7)
    agent = QLearning.load(tmp_path / "agent", env).learn(7)
    assert len(agent.episode_returns) == 2


def test_a_failed_save_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "agent.npz"
    path.write_text("before")
    agent = QLearning("NChain-v0")

    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        agent.save(path)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["agent.npz"]


def test_files_that_are_no_saved_agents_are_refused(tmp_path: Path) -> None:
    agent = QLearning("NChain-v0", seed=0)
    path = tmp_path / "agent.npz"
    agent.save(path)
    whole = path.read_bytes()

    def refused(content: bytes, message: str) -> None:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            load(path)

    refused(b"", "is not a saved agent")
    refused(b"nonsense", "is not a saved agent")
    refused(whole[: len(whole) // 2], "is not a saved agent")

    def with_header(**changes: Any) -> bytes:
        path.write_bytes(whole)
        with np.load(path) as file:
            arrays = dict(file)
        header = json.loads(str(arrays.pop("header"))) | changes
        with path.open("wb") as target:
            np.savez(target, header=np.array(json.dumps(header)), **arrays)
        return path.read_bytes()

    refused(with_header(format=99), "has format 99; this version reads format 2")
    refused(with_header(**{"class": "os.system"}), "no agent of this version")
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="holds a QLearning, not a RewardSum"):
        RewardSum.load(path)
    with pytest.raises(ValueError, match=r"q has shape \(3, 2\) here and \(5, 2\) there"):
        QLearning.load(path, gym.make("NChain-v0", n=3))


def test_a_file_names_no_code_to_run(tmp_path: Path) -> None:
    path, ran = tmp_path / "agent.npz", tmp_path / "ran"
    QLearning("NChain-v0", seed=0).learn(10).save(path)
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(str(arrays.pop("header")))

    def refused(message: str, **changes: Any) -> None:
        with path.open("wb") as target:
            np.savez(target, header=np.array(json.dumps(header | changes)), **arrays)
        with pytest.raises(ValueError, match=message):
            load(path)
        assert not ran.exists()

    good = header["env"]
    refused("names 'os:mkdir-v0', which is not registered", env=good | {"id": "os:mkdir-v0"})
    refused("n must be an integer", env=good | {"kwargs": {"n": -3}})
    refused("NChain-v0 cannot be made with .'path'", env=good | {"kwargs": {"path": str(ran)}})
    refused("env must be given", env=None)
    refused("state must be an integer in", place=header["place"] | {"position": [99, 0]})
    refused("place must say position, generator and", place={"position": [0, 0]})
    refused("must have the parameters gamma, .* got mystery$", parameters={"mystery": 1})


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_file_is_refused_or_read_but_never_worse(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "agent"
        QLearning("NChain-v0", seed=0).learn(10).save(path)
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(content) - 1))
            content[place] = data.draw(st.integers(0, 255))
        path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
        # any other exception than a ValueError fails the test
        with contextlib.suppress(ValueError):
            load(path).learn(5)


def test_a_pickle_inside_a_file_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "agent.npz"
    ran = tmp_path / "ran"

    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(ran),)

    with path.open("wb") as file:
        np.savez(file, header=np.array([Attack()], dtype=object))
    with pytest.raises(ValueError, match="is not a saved agent"):
        load(path)
    assert not ran.exists()
