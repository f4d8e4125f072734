"""Saving, loading, copying: what comes back is what was there."""

import contextlib
import copy
import io
import json
import pickle
import zipfile
from collections.abc import Callable
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
    MBIEEB,
    UCRL2,
    EveryNTimesteps,
    OptimisticQLearning,
    PosteriorSampling,
    QLearning,
    RewardSum,
    RMax,
    Sarsa,
    load,
)
from nchain_agents.tabular.table_agent import TableAgent

unit = st.floats(0, 1, allow_subnormal=False)
epsilons = st.one_of(
    unit,
    st.fixed_dictionaries({"initial": unit, "decay": unit}),
    st.fixed_dictionaries({"initial": unit, "final": unit, "fraction": unit}),
)
temporal_difference = st.fixed_dictionaries(
    {},
    optional={
        "gamma": unit,
        "learning_rate": st.floats(0.01, 1),
        "visit_power": st.sampled_from([0.0, 0.6, 1.0]),
        "epsilon": epsilons,
        "temperature": st.sampled_from([0.0, 0.5, 3.0]),
        "initial_q": st.sampled_from([0.0, 50.0, (-1.0, 1.0)]),
    },
)
posterior = st.fixed_dictionaries(
    {},
    optional={
        "gamma": st.floats(0, 0.99),
        "prior": st.floats(0.1, 5),
        "reward_mean": st.one_of(st.none(), st.floats(-5, 5)),
        "reward_scale": st.one_of(st.none(), st.floats(0.1, 5)),
        "reward_strength": st.floats(0.1, 5),
        "rewards": st.sampled_from(["learned", "known"]),
    },
)


gammas, largest = st.floats(0.01, 0.99), st.floats(0.1, 20)
OTHERS: dict[Any, Any] = {
    RewardSum: st.just({}),
    UCRL2: st.fixed_dictionaries({}, optional={"delta": gammas, "max_reward": largest}),
    MBIEEB: st.fixed_dictionaries({}, optional={"gamma": gammas, "max_reward": largest}),
    RMax: st.fixed_dictionaries({}, optional={"gamma": gammas, "known_after": st.integers(1, 9)}),
    OptimisticQLearning: st.fixed_dictionaries({}, optional={"gamma": gammas, "bonus": gammas}),
}


def saved_and_loaded(agent: Any) -> Any:
    with TemporaryDirectory() as folder:
        agent.save(Path(folder) / "agent")
        return load(Path(folder) / "agent")


def pickled(agent: Any) -> Any:
    return pickle.loads(pickle.dumps(agent))


def behaviour(agent: Any) -> list[Any]:
    """Everything that an agent shows of itself, its random choices and generators too."""
    states = np.arange(agent.env.observation_space.n)
    return [
        agent.predict(states, deterministic=True)[0].tolist(),
        [agent.predict(states)[0].tolist() for _ in range(10)],
        agent.q_values(states).tolist(),
        {name: array.tolist() for name, array in agent.tables._asdict().items()},
        list(agent.episode_returns),
        agent.num_timesteps,
        agent.total_reward,
        agent.np_random.bit_generator.state,
        agent.env.unwrapped.np_random.bit_generator.state if agent.num_timesteps else None,
    ]


@settings(max_examples=40)
@given(data=st.data(), kind=st.sampled_from(AGENTS))
def test_what_was_saved_and_loaded_equals_what_never_was(
    data: st.DataObject, kind: type[TableAgent]
) -> None:
    strategies: dict[Any, Any] = {PosteriorSampling: posterior, **OTHERS}
    parameters: dict[str, Any] = data.draw(strategies.get(kind, temporal_difference))
    limit = data.draw(st.integers(3, 60))
    compiled: Any = data.draw(st.sampled_from([False, "auto"]))
    agents = [
        kind(
            gym.make("NChain-v0", n=4, max_episode_steps=limit),
            seed=3,
            compiled=compiled,
            **parameters,
        )
        for _ in range(2)
    ]
    steps, stop = data.draw(st.integers(0, 200)), data.draw(st.integers(1, 250))
    for agent in agents:
        if steps:  # in the middle of a schedule, and of an episode, where it stops early
            agent.learn(steps, EveryNTimesteps(stop, lambda _: False))
    kept, again = agents[0], saved_and_loaded(agents[1])
    assert behaviour(again) == behaviour(kept)
    more = data.draw(st.integers(1, 150))
    assert behaviour(again.learn(more)) == behaviour(kept.learn(more))


@pytest.mark.parametrize("kind", AGENTS)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled, saved_and_loaded])
def test_a_copy_learns_on_as_the_original_and_leaves_it_alone(
    kind: type[TableAgent], duplicate: Callable[[Any], Any]
) -> None:
    compiled: Any
    for compiled in (False, "auto"):
        env = gym.make("FrozenLake-v1")
        agent = kind(env, seed=0, compiled=compiled).learn(333)
        twin = duplicate(agent)
        before = behaviour(copy.deepcopy(agent))
        twin.learn(200)
        assert behaviour(copy.deepcopy(agent)) == before
        assert behaviour(twin) == behaviour(agent.learn(200))


def test_the_end_of_a_schedule_over_the_steps_is_not_forgotten() -> None:
    schedule = {"initial": 1.0, "final": 0.0, "fraction": 1.0}
    agent = QLearning("NChain-v0", epsilon=schedule, seed=0)
    agent.q[:] = [1.0, 0.0]
    agent.learn(1000, EveryNTimesteps(900, lambda _: False))
    # epsilon 0.1 is left: about 0.05 explore to the worse action
    agent.q[:] = [1.0, 0.0]
    actions = saved_and_loaded(agent).predict(np.zeros(4000, dtype=np.int64))[0]
    assert 0.03 < actions.mean() < 0.07


def test_before_its_first_step_an_agent_is_saved_with_its_seed() -> None:
    for kind in AGENTS:
        agent = kind("NChain-v0", seed=11)
        again = saved_and_loaded(agent)
        assert behaviour(agent.learn(50)) == behaviour(again.learn(50))


def test_folders_are_made_for_a_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "x"
    QLearning("NChain-v0", seed=0).learn(10).save(path)
    assert load(path).num_timesteps == 10


def test_numpy_numbers_and_mappings_as_parameters_are_saved(tmp_path: Path) -> None:
    from types import MappingProxyType

    parameters: dict[str, Any]
    for parameters in (
        {"epsilon": np.float32(0.5)},
        {"epsilon": MappingProxyType({"initial": 0.5, "decay": np.float64(0.5)})},
        {"initial_q": (np.float32(0.0), np.int64(1))},
        {"initial_q": np.int64(3)},
    ):
        agent = QLearning("NChain-v0", seed=0, **parameters).learn(10)
        assert behaviour(saved_and_loaded(agent)) == behaviour(agent)


@pytest.mark.parametrize("kind", AGENTS)
def test_an_agent_goes_on_in_another_environment(kind: type[TableAgent]) -> None:
    agent = kind("NChain-v0", seed=0).learn(150)
    total = agent.num_timesteps
    other = gym.make("NChain-v0", slip=0.5, max_episode_steps=20)
    agent.env = other
    again = saved_and_loaded(agent)
    assert agent.env is other
    agent.learn(100)
    assert len(agent.episode_returns) == 5
    assert agent.num_timesteps == total + 100
    # and it goes on there in the same way each time
    assert behaviour(again.learn(100)) == behaviour(agent)
    wrong: Any
    for wrong in (gym.make("NChain-v0", n=9), gym.make("CartPole-v1"), "FrozenLake-v1"):
        with pytest.raises(ValueError, match=r"env must have the observation_space Discrete\(5\)"):
            agent.env = wrong
    assert agent.env is other
    assert agent.learn(10).num_timesteps == total + 110


def test_a_new_environment_does_not_repeat_the_first_episodes() -> None:
    agent = QLearning(gym.make("NChain-v0"), seed=0, compiled=False).learn(1)
    first = agent.env.unwrapped.np_random.bit_generator.state
    agent.env = gym.make("NChain-v0")
    agent.learn(1)
    assert agent.env.unwrapped.np_random.bit_generator.state != first


# ---------------------------------------------------------------------------- files not ours


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good"
    QLearning("NChain-v0", seed=0).learn(1500).save(path)
    return path


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def archive_of(path: Path, members: list[tuple[str, bytes]], compression: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def npy(declared: str, data: bytes = b"") -> bytes:
    return (
        b"\x93NUMPY\x01\x00"
        + (len(declared) + 1).to_bytes(2, "little")
        + declared.encode()
        + b"\n"
        + data
    )


def with_header(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    with np.load(path) as content:
        arrays = dict(content)
    header = json.loads(str(arrays.pop("header")))
    header = change(header) or header
    bad = path.with_name("bad")
    with bad.open("wb") as file:
        np.savez(file, header=np.array(json.dumps(header)), **arrays)
    return bad


def refused(path: Path, message: str = "cannot be loaded") -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "declared",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 8), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 99999999999999999999999999), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '|V8', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': [('x', '<f8')], 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1.0,), }",
        "{'descr': '<f7', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<U1', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': __import__('os').system('touch ran'), 'fortran_order': False, 'shape': (1,), }",
        "(" * 5000,
        "{",
        "",
    ],
    ids=lambda declared: declared[:70],
)
def test_an_array_that_declares_what_it_does_not_hold_is_refused(good: Path, declared: str) -> None:
    members = members_of(good) | {"q.npy": npy(declared, bytes(8))}
    refused(archive_of(good, list(members.items())), "is not a saved agent, or is damaged")


def test_bombs_and_strange_members_are_refused(good: Path) -> None:
    members = members_of(good)
    bomb = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (12500000,), }", bytes(10**8))
    path = good.with_name("bad")
    damaged = "is not a saved agent, or is damaged"
    packed = [*members.items(), ("episode_returns2.npy", bomb)]
    archive_of(path, packed, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10**6
    refused(path, damaged)
    for name in ("../q.npy", "/tmp/q.npy", "a/b.npy", "q.exe", ".npy", "q"):
        refused(archive_of(path, [*members.items(), (name, members["q.npy"])]), damaged)
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive_of(path, [*members.items(), ("q.npy", members["q.npy"])])
    refused(path, damaged)
    refused(archive_of(path, [*members.items(), ("r.npy", members["q.npy"])]), "unknown names: r")
    # members that share their bytes: a small file that says it holds a thousand large arrays
    content = bytearray(good.read_bytes())
    start = content.index(b"PK\x01\x02")
    entry_end = content.index(b"PK\x01\x02", start + 4)
    entry, end = content[start:entry_end], content.index(b"PK\x05\x06")
    many = content[:start] + entry * 1000
    tail = bytearray(content[end:])
    tail[8:12] = (1000).to_bytes(2, "little") * 2
    tail[12:16] = (len(entry) * 1000).to_bytes(4, "little")
    path.write_bytes(many + tail)
    refused(path, damaged)


def test_a_deep_or_odd_header_is_refused(good: Path) -> None:
    members = members_of(good)
    path = good.with_name("bad")
    for text in (
        "[" * 300_000,
        '{"a":' * 300_000,
        '{"format": ' + "[" * 300_000 + "]" * 300_000 + "}",
        '"' + '\\"' * 100_000 + "\\",
        "[]",
        "7",
        '{"format": "2"}',
        '{"format": 2.5}',
        '{"format": ' + "9" * 10_000 + "}",
        "",
        "{}",
    ):
        file = io.BytesIO()
        np.save(file, np.array(text))
        archive_of(path, [("header.npy", file.getvalue()), ("q.npy", members["q.npy"])])
        refused(path, "is not a saved agent, or is damaged")
    for form in (0, 1, 2, 4, 99):
        refused(
            with_header(good, lambda header, form=form: header | {"format": form}),  # type: ignore[misc]
            f"has format {form}; this version reads format 3",
        )


ODD = [None, True, -1, 0.5, float("nan"), 10**30, 2**62, "text", [], {}, [1, 2, 3], {"state": 1}]


def test_no_odd_value_of_a_header_gets_through(good: Path) -> None:
    """Each field and each part of one in turn: refused by a ValueError, or of no consequence."""
    with np.load(good) as content:
        header = json.loads(str(content["header"]))
    # what may be any of a type, so that some of the odd values are right
    loose = {
        ("num_timesteps",), ("end",), ("place",), ("env", "max_episode_steps"), ("env_seed",),
        ("parameters", "epsilon"), ("parameters", "temperature"), ("parameters", "initial_q"),
        ("parameters", "compiled"), ("parameters", "gamma"), ("parameters", "learning_rate"),
        ("place", "episode_return"), ("generator", "has_uint32"), ("generator", "uinteger"),
        ("place", "generator", "has_uint32"), ("place", "generator", "uinteger"),
        ("generator", "state", "state"), ("generator", "state", "inc"),
        ("place", "generator", "state", "state"), ("place", "generator", "state", "inc"),
        ("env", "kwargs"), ("parameters", "visit_power"),
    }  # fmt: skip
    paths = list(places_of(header))
    assert len(paths) > 30
    for place in paths:
        for odd in ODD:
            bad = with_header(good, lambda h, place=place, odd=odd: put(h, place, odd))  # type: ignore[misc]
            if place in loose:
                with contextlib.suppress(ValueError):
                    load(bad).learn(5).predict(0)
            else:
                with pytest.raises(ValueError, match=str(bad)):
                    load(bad)


def places_of(value: Any, above: tuple[Any, ...] = ()) -> Any:
    inside = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, part in inside:
        yield (*above, key)
        yield from places_of(part, (*above, key))


def put(header: Any, place: tuple[Any, ...], value: Any) -> Any:
    inner = header
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return header


def test_an_environment_larger_than_the_file_is_not_made(good: Path) -> None:
    def states(header: dict[str, Any]) -> None:
        header["env"]["kwargs"] = {"n": 10**9}

    refused(with_header(good, states), "env must be given: .* n=1000000000, more than it holds")

    def drawn(header: dict[str, Any]) -> None:
        header["env"]["kwargs"] = {"render_mode": "human"}

    # nothing opens a window
    assert load(with_header(good, drawn)).env.render_mode is None


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("q", np.zeros((5, 2), np.int64)),
        ("q", np.zeros((2, 5))),
        ("q", np.zeros((5, 2), np.bool_)),
        ("visits", np.full((5, 2), -1)),
        ("visits", np.full((5, 2), 2**63, np.uint64)),
        ("visits", np.full((5, 2), 2**62 + 2**61)),
        ("visits", np.zeros((5, 2))),
        ("episode_returns", np.zeros((1, 1))),
        ("episode_returns", np.array(["a"])),
    ],
)
def test_an_array_that_is_none_of_the_agents_is_refused(
    good: Path, name: str, array: np.ndarray[Any, Any]
) -> None:
    with np.load(good) as content:
        arrays = dict(content) | {name: array}
    with good.open("wb") as file:
        np.savez(file, **arrays)
    with pytest.raises(ValueError, match=str(good)):
        load(good)


@pytest.mark.parametrize("action", [[77], [2], [-2], [0.0], 0, [0, 0]])
def test_an_action_that_does_not_exist_is_refused(tmp_path: Path, action: Any) -> None:
    path = tmp_path / "sarsa"
    Sarsa("NChain-v0", seed=0).learn(5).save(path)
    with np.load(path) as content:
        arrays = dict(content)
    assert arrays["next_action"].tolist() in ([0], [1])
    with path.open("wb") as file:
        np.savez(file, **arrays | {"next_action": np.array(action)})
    with pytest.raises(ValueError, match="next_action"):
        load(path)


def test_what_cannot_be_written_without_pickle_is_named(tmp_path: Path) -> None:
    agent = QLearning("NChain-v0", seed=0)
    agent.parameters = ("np_random",)  # type: ignore[misc]
    with pytest.raises(TypeError, match="cannot be saved without pickle"):
        agent.save(tmp_path / "agent")
    assert not (tmp_path / "agent").exists()
