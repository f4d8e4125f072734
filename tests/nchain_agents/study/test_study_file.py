"""study.toml: what every study leaves in its folder, and what makes it again."""

import datetime
import json
import re
import tomllib
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nchain_agents import QLearning, cli, compare, compare_file
from nchain_agents.presets import Preset, problem
from nchain_agents.study.environments import EnvChoice, environments
from nchain_agents.study.plan import Study, plan
from nchain_agents.study.study_file import only_in_program, read, text_of
from nchain_agents.study.versions import versions

SMALL: dict[str, Any] = {"seeds": 1, "steps": 100, "jobs": 1}


def planned(agents: list[Any], env: str = "NChain-v0", **given: Any) -> Study:
    chosen: dict[str, Any] = {"parameters": {}, "sweep": {}, "seeds": 2, "steps": 300}
    return plan(agents, env, **{**chosen, "episodes": 100, **given})


def again(study: Study, folder: Path) -> Study:
    """Return a study as its file describes it."""
    (folder / "study.toml").write_text(text_of(study), encoding="utf-8")
    return read(folder / "study.toml")


CUSTOM = Preset("mine", "nchain_agents:QLearning", {"gamma": 0.9, "learning_rate": 0.25})
NESTED = Preset(
    'a "b" [c].d',
    "nchain_agents:QLearning",
    {"gamma": None, "epsilon": {"a b": [8, 8], "on": True, "inner": {"lows": [None, 1e-7]}}},
)
ENDLESS = Preset("endless", "nchain_agents:QLearning", {"gamma": inf, "epsilon": [None, -inf]})


@pytest.mark.parametrize(
    ("agents", "given"),
    [
        (["q-learning", "reward-sum"], {"parameters": {"n": 8, "slip": 0.1}}),
        (["sarsa"], {"sweep": {"n": [5, 10], "slip": [0.0, 0.2]}, "episodes": 7}),
        # the label has the parameters in this order, and small as an integer
        ([QLearning], {"parameters": {"slip": 0.1, "n": 3, "small": 1}}),
        (["q-learning"], {"env": "FrozenLake-v1 map_name=8x8 is_slippery=false"}),
        # None before a number, and a list: the label keeps their order
        (
            ["q-learning"],
            {"env": "FrozenLake-v1", "parameters": {"map_name": None, "desc": ["SF", "FG"]}},
        ),
        # the presets give this environment a time limit
        (["q-learning"], {"env": "CliffWalking-v1"}),
        (["reward-sum", CUSTOM, "q-learning", NESTED, ENDLESS], {}),
    ],
)
def test_a_file_says_the_same_study(
    agents: list[Any], given: dict[str, Any], tmp_path: Path
) -> None:
    study = planned(agents, **given)
    found = again(study, tmp_path)
    assert found.as_data() == study.as_data()
    assert [task.key for task in found.tasks] == [task.key for task in study.tasks]
    assert text_of(found) == text_of(study)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(), one, max_size=3),
    max_leaves=8,
)
PARAMETERS = st.dictionaries(st.text(), VALUES, max_size=4)
PLAIN = planned(["q-learning"])


@given(name=st.text(), parameters=PARAMETERS)
def test_any_parameters_survive(name: str, parameters: dict[str, Any]) -> None:
    def none(value: dict[str, Any]) -> dict[str, Any] | None:
        return None if value == {"null": True} else value

    study = Study((Preset(name, "a:B", parameters),), (EnvChoice("NChain-v0", parameters),), 1, 9)
    data = json.loads(json.dumps(tomllib.loads(text_of(study))), object_hook=none)
    assert data["agents"][name].get("parameters", {}) == parameters
    assert data["envs"][0].get("parameters", {}) == parameters
    assert list(data["envs"][0].get("parameters", {})) == list(parameters)


@pytest.mark.parametrize(
    "value",
    [object(), nan, datetime.date(2021, 5, 6), {1: 2}, [{"a": {3}}], {"null": True}, b"bytes"],
    ids=["object", "nan", "date", "keys", "set", "null", "bytes"],
)
def test_what_a_file_cannot_say_is_refused_by_name(value: Any, tmp_path: Path) -> None:
    agents = [Preset("bound", "nchain_agents:QLearning", {"gamma": value})]
    with pytest.raises(ValueError, match=r"gamma of bound must (be made of numbers|not be)"):
        compare(agents, **SMALL, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_every_study_leaves_the_file_that_makes_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compare(["q-learning", CUSTOM], "NChain-v0 n=3", **SMALL, out=tmp_path / "first")
    monkeypatch.chdir(tmp_path)
    command = ["compare", "first/study.toml", "--jobs", "1", "--out", "second", "--json"]
    cli.app(command, standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["steps"] == 100
    for name in ("study.toml", "results.csv", "summary.json", "report.html"):
        assert (tmp_path / "second" / name).read_bytes() == (tmp_path / "first" / name).read_bytes()
    in_python = compare_file("first/study.toml", jobs=1)
    assert in_python.results == compare_file(Path("second/study.toml"), jobs=1).results


def test_a_study_that_goes_on_keeps_its_file_until_runs_are_added(tmp_path: Path) -> None:
    out, file = tmp_path / "out", tmp_path / "out" / "study.toml"
    compare(["q-learning"], **SMALL, out=out)
    older = file.read_text().replace(f'Python = "{versions(PLAIN)["Python"]}"', 'Python = "3.0"')
    file.write_text(older)
    compare_file(file, jobs=1, out=out)  # its runs were all made with that version
    with pytest.raises(ValueError, match="another study"):
        compare(["q-learning"], **{**SMALL, "seeds": 2}, out=out)
    assert file.read_text() == older
    compare(["q-learning"], **{**SMALL, "seeds": 2}, out=out, resume=True)
    assert read(file).seeds == 2
    assert 'Python = "3.0"' not in file.read_text()


def test_other_versions_are_remarked(tmp_path: Path) -> None:
    text = text_of(PLAIN)
    numpy = versions(PLAIN)["numpy"]
    file = tmp_path / "study.toml"
    file.write_text(text.replace(f'numpy = "{numpy}"', 'numpy = "1.0"\ngone = "2.0"'))
    assert read(file).remarks == (
        f"made with numpy 1.0, now {numpy}: the figures may differ",
        "made with gone 2.0, now none: the figures may differ",
    )
    assert again(PLAIN, tmp_path).remarks == ()


HAND = """
seeds = 2
steps = 300

[agents.slow]
preset = "q-learning"
parameters = { gamma = 0.5 }

[[envs]]
id = "NChain-v0"

[[envs]]
id = "FrozenLake-v1"
parameters = { is_slippery = false }
"""


def test_a_file_written_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(HAND)
    study = read(file)
    assert (study.seeds, study.steps, study.episodes) == (2, 300, 100)
    assert [env.label for env in study.envs] == ["NChain-v0", "FrozenLake-v1 is_slippery=false"]
    (agent,) = study.agents
    tuned = problem("nchain").preset("q-learning").parameters
    assert agent.parameters == {**tuned, "gamma": 0.5}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds = 2", "seeds = ", "TOML: .*line 2"),
        ("seeds = 2", "seed = 2", "unknown key 'seed'; known: seeds, steps, "),
        ("seeds = 2", "", "it must have seeds, got steps, agents, envs"),
        ("seeds = 2", "seeds = true", "seeds must be an integer of at least 1, got True"),
        ("seeds = 2", "seeds = 0", "seeds must be an integer of at least 1, got 0"),
        ("steps = 300", "steps = 1e3", "steps must be an integer, got 1000.0"),
        ("preset =", "present =", "line 5: unknown key 'present'"),
        ('"q-learning"', '"q-lerning"', "line 5: unknown agent 'q-lerning'; did you mean q-l"),
        ("[agents.slow]", "[agents]", "line 6: preset must be a table, got 'q-learning'"),
        ("NChain-v0", "NChain-v9", "env must be an environment of Gymnasium's"),
        ("is_slippery", "slippery", "FrozenLake-v1 has no parameter 'slippery'"),
        ("id = ", "name = ", "unknown key 'name'; known: id, parameters"),
        ("seeds = 2", "seeds = 2\nkeras_backend = 3", "keras_backend must be a string, got 3"),
        # the first table is then nothing but [[envs]], twice
        ('id = "FrozenLake-v1"\nparameters', "parameters", "must have id, got parameters"),
    ],
)
def test_a_file_that_is_none_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    assert old in HAND
    file.write_text(HAND.replace(old, new))
    with pytest.raises(ValueError, match=rf"study: {re.escape(str(file))}( is not|, ).*{message}"):
        compare_file(file, jobs=1, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        compare_file(tmp_path / "study.toml")


def test_it_says_which_agents_and_environments_only_the_program_has() -> None:
    class Own(QLearning):
        pass

    study = planned(["q-learning", Own])
    assert only_in_program(study) == ["Own"]
    assert "# The program that made this study defines Own: start it instead.\n" in text_of(study)
    assert only_in_program(PLAIN) == []


def test_the_versions_are_of_what_took_part() -> None:
    import gymnasium

    found = versions(PLAIN)
    assert found["gymnasium"] == gymnasium.__version__
    assert {"Python", "nchain-env", "numpy"} <= set(found)
    assert "torch" not in found
    deep = Study((problem("nchain").preset("sb3-dqn"),), environments("NChain-v0", {}, {}), 1, 100)
    assert {"stable_baselines3", "torch"} <= set(versions(deep))
