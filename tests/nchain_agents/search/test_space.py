"""Search spaces: what a file may say, and that those of the presets contain the presets."""

from pathlib import Path

import pytest

from nchain_agents.presets import Preset, problem, problem_names
from nchain_agents.search.problem import Problem
from nchain_agents.search.space import Choices, Range, as_data, read, shipped, space_of
from nchain_agents.study.environments import EnvChoice
from nchain_agents.study.plan import Study

PRESETS = [
    pytest.param(preset, EnvChoice(one.env, one.parameters), id=f"{one.name}-{preset.name}")
    for one in map(problem, problem_names())
    for preset in one.presets.values()
    if preset.name in shipped() and not preset.requires
]


def test_a_file_has_a_table_for_each_agent(tmp_path: Path) -> None:
    file = tmp_path / "spaces.toml"
    file.write_text(
        """
        [mine]
        learning_rate = { low = 1e-4, high = 1, log = true }
        width = { low = 1, high = 64 }
        visit_power = { choices = [0.0, 0.6, 1.0] }
        net = { choices = [{ widths = [8] }, { widths = [8, 8] }] }
        """
    )
    space = read(file)["mine"]
    assert space["learning_rate"] == Range(1e-4, 1, log=True)
    assert space["width"] == Range(1, 64)
    assert isinstance(space["visit_power"], Choices)
    assert isinstance(space["net"], Choices)
    assert list(space["visit_power"].values.values()) == [0.0, 0.6, 1.0]
    assert list(space["net"].values.values()) == [{"widths": [8]}, {"widths": [8, 8]}]
    assert space_of(as_data(space), "mine") == space


def test_a_range_of_integers_has_integers_only() -> None:
    whole, real = Range(1, 64), Range(1.0, 64.0)
    assert 64 in whole
    assert 2.5 not in whole
    assert 65 not in whole
    assert 2.5 in real
    assert True not in real
    assert None not in real


def test_a_choice_is_found_by_its_value() -> None:
    choices = space_of({"x": {"choices": [0, 1, False, [8, 8], None]}}, "mine")["x"]
    assert isinstance(choices, Choices)
    for value in (0, False, [8, 8], None):
        found = choices.values[choices.name(value)]
        assert (found, type(found)) == (value, type(value))
    assert (8, 8) in choices  # a default may be a tuple
    assert True not in choices
    assert 2 not in choices


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"low": 2, "high": 1}, "low of x of mine must be below high, got 2 and 1"),
        ({"low": 0, "high": 1, "log": True}, "low of x of mine must be positive where log is true"),
        ({"low": "a", "high": 1}, "low and high of x of mine must be numbers, got 'a'"),
        ({"low": 0, "high": float("inf")}, "low and high of x of mine must be numbers, got inf"),
        ({"low": 0, "high": 1, "log": 1}, "log of x of mine must be true or false, got 1"),
        ({"low": 0, "high": 1, "step": 1}, "x of mine must be { low = ..., high = ... }"),
        ({"choices": [1]}, "choices of x of mine must be a list of two or more, got [1]"),
        ({"choices": [1, 1]}, "choices of x of mine must differ, got [1, 1]"),
        (0.5, "x of mine must be { low = ..., high = ... }, with log = true or without, or"),
    ],
)
def test_what_is_no_space_is_refused_by_name(entry: object, said: str) -> None:
    with pytest.raises(ValueError, match=r"^space: ") as error:
        space_of({"x": entry}, "mine")
    assert said in str(error.value)


def test_what_is_no_file_of_spaces_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "spaces.toml"
    for text, said in (
        ("[mine", "is not TOML"),
        ("mine = 3", "must have at least one hyperparameter"),
        ("[mine]\nseed = { low = 1, high = 2 }", "must not have seed, which tuning sets"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"spaces\.toml") as error:
            read(file)
        assert said in str(error.value)


@pytest.mark.parametrize(("preset", "env"), PRESETS)
def test_the_space_of_a_preset_contains_the_preset(preset: Preset, env: EnvChoice) -> None:
    space = shipped()[preset.name]
    before = Problem(Study((preset,), (env,), 1, 100), space, "score", 1).before
    assert before is not None, f"{preset.parameters} is not in {space}"
    assert {name: before[name] for name in preset.parameters if name in space} == {
        name: value for name, value in preset.parameters.items() if name in space
    }


@pytest.mark.slow
def test_the_spaces_of_networks_contain_their_presets() -> None:
    for one in map(problem, problem_names()):
        for preset in one.presets.values():
            if preset.name in shipped() and preset.requires and preset.installed:
                study = Study((preset,), (EnvChoice(one.env, one.parameters),), 1, 100)
                found = Problem(study, shipped()[preset.name], "score", 1).before
                assert found is not None, f"{preset.name} of {one.name}"
