"""Thousands of mutated files: each is refused by a ValueError that names it, or learns on."""

import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import nchain_agents
from nchain_agents import load

# what was mutated may overflow, and what is not written well says so when it is garbage
pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning"),
]

MUTANTS = 2000

KINDS: dict[str, dict[str, Any]] = {
    "QLearning": {"epsilon": {"initial": 0.9, "final": 0.1, "fraction": 0.5}, "visit_power": 0.6},
    "Sarsa": {"epsilon": {"initial": 0.5, "decay": 0.9}, "temperature": 1.0},
    "ExpectedSarsa": {"initial_q": (0.0, 1.0), "compiled": False},
    "DoubleQLearning": {"visit_power": 1.0},
    "RewardSum": {},
    "PosteriorSampling": {"gamma": 0.8},
    "UCRL2": {"variant": "osband2013", "max_reward": 10.0},
    "MBIEEB": {"gamma": 0.8, "max_reward": 10.0},
    "RMax": {"gamma": 0.8, "max_reward": 10.0},
    "OptimisticQLearning": {"gamma": 0.8, "max_reward": 10.0},
    "KerasDQN": {
        "net_arch": [3],
        "batch_size": 4,
        "learning_starts": 5,
        "train_freq": 2,
        "target_update_interval": 10,
        "buffer_size": 30,
        "n_steps": 2,
        "compiled": False,
    },
}

OWN = "KerasDQN with a model and an optimizer of its own"
KINDS[OWN] = KINDS["KerasDQN"]

ODD: list[Any] = [None, True, -1, 0, 0.5, 1e308, float("nan"), float("inf"), 2**31, 2**62, 10**30]
ODD += ["", "text", [], {}, [1, 2, 3], {"state": 1}, [[[]]]]

Members = dict[str, bytes]


def made(name: str) -> Any:
    env = gym.make("NChain-v0", n=3, max_episode_steps=15)
    parameters = dict(KINDS[name])
    if name == OWN:
        import keras

        parameters["model"] = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        parameters["optimizer"] = keras.optimizers.SGD(0.01, momentum=0.9)
    return getattr(nchain_agents, name.split()[0])(env, seed=0, **parameters).learn(50)


def members_of(content: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def archive_of(members: Members) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def flipped(content: bytes, choose: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(choose.randint(1, 6)):
        changed[choose.randrange(len(changed))] = choose.randrange(256)
    return bytes(changed)


def cut(content: bytes, choose: random.Random) -> bytes:
    begin, end = sorted(choose.randrange(len(content)) for _ in range(2))
    return choose.choice([content[:end], content[begin:], content[:begin] + content[end:]])


def exchanged(members: Members, choose: random.Random) -> Members:
    one, other = choose.sample(sorted(members), 2)
    return members | {one: members[other], other: members[one]}


def renamed(members: Members, choose: random.Random) -> Members:
    name = choose.choice(sorted(members))
    new = choose.choice([None, f"../{name}", "x.npy", name.upper(), name.removesuffix(".npy")])
    kept = {other: content for other, content in members.items() if other != name}
    return kept if new is None else kept | {new: members[name]}


def damaged_member(members: Members, choose: random.Random) -> Members:
    """A member whose check sum is right."""
    name = choose.choice(sorted(members))
    return members | {name: choose.choice([flipped, cut])(members[name], choose)}


def redeclared(members: Members, choose: random.Random) -> Members:
    """A member that declares another type, order or shape."""
    name, content = choose.choice(sorted(members.items()))
    old, new = choose.choice(
        [
            (b"<f8", b"<i8"),
            (b"<i8", b"<f8"),
            (b"<i8", b"<u8"),
            (b"<f8", b">f8"),
            (b"<f4", b"<i4"),
            (b"<f", b"|O"),
            (b"False", b"True "),
            (b"shape': (", b"shape': (0,"),
            (b"shape': (", b"shape': (9999999999,"),
            (b"shape': (", b"shape': (-"),
            (b"'shape'", b"'shapes"),
            (b"{", b"("),
        ]
    )
    return members | {name: content.replace(old, new, 1)}


def other_array(members: Members, choose: random.Random) -> Members:
    name = choose.choice([name for name in sorted(members) if name != "header.npy"])
    array = np.load(io.BytesIO(members[name]))
    how = choose.randrange(5)
    if how == 0:
        array = array.astype(choose.choice(["f8", "f4", "f2", "i8", "i4", "i1", "u8", "u1", "?"]))
    elif how == 1:
        array = array.ravel() if array.ndim != 1 else array[:, None]
    elif how == 2:
        array = np.concatenate([array, array]) if array.ndim else np.zeros(0, array.dtype)
    elif array.size:
        flat = array.ravel().copy()
        integers = [-1, -(2**62), 2**62, 2**63 - 1, 2**31, 1, 2, 3, 7]
        floats = [np.nan, np.inf, -np.inf, 1e308, -1e308, 1e38, 5e-324, -1.0, 0.0, 0.5, 3.0]
        values: list[Any] = integers if array.dtype.kind in "iu" else floats
        places = [choose.randrange(flat.size)] if how == 3 else range(flat.size)
        for place in places:
            with np.errstate(all="ignore"):
                flat[place] = np.array(choose.choice(values)).astype(flat.dtype)
        array = flat.reshape(array.shape)
    return members | {name: npy(array)}


def other_header(members: Members, choose: random.Random) -> Members:
    header = json.loads(str(np.load(io.BytesIO(members["header.npy"]))))
    value, inside = header, True
    while inside:  # down to somewhere
        container = value
        key = choose.choice(
            sorted(container) if isinstance(container, dict) else range(len(container))
        )
        value = container[key]
        inside = isinstance(value, dict | list) and len(value) > 0 and choose.random() < 0.7
    how = choose.random()
    if how < 0.7:
        container[key] = choose.choice(ODD)
    elif how < 0.85:
        del container[key]
    elif isinstance(container, dict):
        container[choose.choice(["x", "", "n"])] = value
    else:
        container.append(value)
    return members | {"header.npy": npy(np.array(json.dumps(header)))}


def mutant(content: bytes, choose: random.Random) -> bytes:
    if choose.random() < 0.15:
        return choose.choice([flipped, cut])(content, choose)
    changes: list[Callable[[Members, random.Random], Members]] = [
        exchanged,
        renamed,
        damaged_member,
        redeclared,
        other_array,
        other_array,
        other_array,
        other_header,
        other_header,
        other_header,
    ]
    return archive_of(choose.choice(changes)(members_of(content), choose))


def survivors(name: str, number: int, learners: int, folder: Path) -> int:
    """Load so many mutants of an agent's file; return how many could be."""
    path = folder / "agent"
    made(name).save(path)
    good, choose = path.read_bytes(), random.Random(name)
    loaded = unnamed = 0
    for i in range(number):
        path.write_bytes(mutant(good, choose))
        try:
            agent: Any = load(path)
        except ValueError as error:
            unnamed += str(path) not in str(error)
            continue
        loaded += 1
        if loaded > learners:
            continue
        try:
            agent.learn(40)
            agent.predict(np.arange(agent.env.observation_space.n))
        except ValueError as error:  # a table that overflows, say
            print(i, error)
    assert unnamed == 0
    return loaded


@pytest.mark.parametrize("name", [name for name in KINDS if "KerasDQN" not in name])
def test_a_mutated_file_of_a_table_learner_is_refused_or_learns_on(
    name: str, tmp_path: Path
) -> None:
    assert 5 < survivors(name, 100, 100, tmp_path) < 50


@pytest.mark.slow
def test_a_mutated_file_of_a_network_is_refused_or_learns_on(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs the keras or the jax extra")
    assert 2 < survivors("KerasDQN", 40, 1, tmp_path) < 20


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_two_thousand_mutated_files_are_refused_or_learn_on(name: str, tmp_path: Path) -> None:
    deep = name.startswith("KerasDQN")
    if deep:
        pytest.importorskip("keras", reason="needs the keras or the jax extra")
    # a network that learns on is compiled first, which takes its time
    learners = 8 if deep else MUTANTS
    number = MUTANTS if name != OWN else MUTANTS // 4
    assert number / 20 < survivors(name, number, learners, tmp_path) < number / 2
