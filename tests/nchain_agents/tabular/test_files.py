"""Saved table learners: the round trip, and files that are refused."""

import json
import os
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from table_learners import AGENTS

from nchain_agents import (
    QLearning,
    RewardSum,
    load,
)
from nchain_agents.tabular.table_agent import TableAgent


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

    refused(with_header(format=99), "has format 99; this version reads format 3")
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
