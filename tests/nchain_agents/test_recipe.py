import shlex
import sys
from math import inf
from pathlib import Path
from typing import Any

import pytest

from nchain_agents import QLearning, cli
from nchain_agents.presets import Preset, problem
from nchain_agents.study.plan import Study, plan
from nchain_agents.study.recipe import AGENTS_FILE, recipe


class Taken(Exception):  # noqa: N818  (not an error)
    """Carries the arguments of a call that is not made."""


def planned(agents: list[Any], env: str = "NChain-v0", **given: Any) -> Study:
    chosen: dict[str, Any] = {"parameters": {}, "sweep": {}, "seeds": 2, "steps": 300}
    return plan(agents, env, **{**chosen, "episodes": 100, **given})


def again(study: Study, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Follow a recipe in another folder, up to the training, and return the study it leads to."""

    def taken(*arguments: Any, **named: Any) -> None:
        raise Taken(arguments, named)

    monkeypatch.chdir(folder)
    monkeypatch.setattr("nchain_agents.comparing.compare", taken)
    followed = recipe(study)
    if followed.agents is not None:
        Path(AGENTS_FILE).write_text(followed.agents)
    monkeypatch.setattr(sys, "argv", shlex.split(followed.command))
    in_a_shell = followed.command.startswith("nchain ")
    with pytest.raises(Taken) as call:
        cli.app(standalone_mode=False) if in_a_shell else exec(followed.command, {})
    (agents, env), named = call.value.args
    parts = ("parameters", "sweep", "seeds", "steps", "episodes")
    given = {part: named[part] for part in parts if part in named}
    return planned(agents, env, **given)


CUSTOM = Preset("mine", "nchain_agents:QLearning", {"gamma": 0.9, "learning_rate": 0.25})
NESTED = Preset(
    'a "b" [c]',
    "nchain_agents:KerasDQN",
    {"net_arch": [8, 8], "exploration": {"kind": "greedy", "on": True}},
)


@pytest.mark.parametrize(
    ("agents", "given", "command"),
    [
        (
            ["q-learning", "reward-sum"],
            {"parameters": {"n": 8, "slip": 0.1}},
            "nchain compare --agents q-learning,reward-sum --env 'NChain-v0 n=8 slip=0.1' "
            "--seeds 2 --steps 300",
        ),
        (
            ["sarsa"],
            {"sweep": {"n": [5, 10], "slip": [0.0, 0.2]}, "episodes": 7},
            "nchain compare --agents sarsa --env NChain-v0 --sweep 'n=5,10 slip=0.0,0.2' "
            "--seeds 2 --steps 300 --episodes 7",
        ),
        # the label has the parameters in this order, and small as an integer
        (
            [QLearning],
            {"parameters": {"slip": 0.1, "n": 3, "small": 1}},
            "nchain compare --agents nchain_agents.tabular.q_learning:QLearning "
            "--env 'NChain-v0 slip=0.1 n=3 small=1' --seeds 2 --steps 300",
        ),
        (
            ["q-learning"],
            {"env": "FrozenLake-v1", "parameters": {"map_name": "8x8", "is_slippery": False}},
            "nchain compare --agents q-learning "
            "--env 'FrozenLake-v1 map_name=8x8 is_slippery=false' --seeds 2 --steps 300",
        ),
        (
            ["reward-sum", CUSTOM, "q-learning"],
            {},
            "nchain compare --agents agents.toml --env NChain-v0 --seeds 2 --steps 300",
        ),
        (
            ["q-learning"],
            {"parameters": {"slip": 0.0}, "sweep": {"n": [3, 4], "small": [1]}},
            "nchain compare --agents q-learning --env 'NChain-v0 slip=0.0' "
            "--sweep 'n=3,4 small=1' --seeds 2 --steps 300",
        ),
        # no command line can say a list
        (["q-learning"], {"env": "FrozenLake-v1", "parameters": {"desc": ["SF", "FG"]}}, None),
    ],
)
def test_a_recipe_leads_to_the_same_study(
    agents: list[Any],
    given: dict[str, Any],
    command: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = planned(agents, **given)
    if command is not None:
        assert recipe(study).command == command
    found = again(study, tmp_path, monkeypatch)
    assert found.as_data() == study.as_data()
    assert [task.key for task in found.tasks] == [task.key for task in study.tasks]


def test_agents_of_any_name_and_with_any_parameters_can_be_written_down() -> None:
    import tomllib

    study = planned(["q-learning"])
    study = Study((*study.agents, NESTED), study.envs, 1, 100)
    text = recipe(study).agents
    assert text is not None
    assert tomllib.loads(text) == {
        "q-learning": {"preset": "q-learning"},
        'a "b" [c]': {"agent": NESTED.agent, "parameters": NESTED.parameters},
    }


ODD = Preset("odd", "nchain_agents:QLearning", {"gamma": None, "epsilon": [None, 0.5]})
ENDLESS = {"learning_rate": float("inf"), "lows": [-float("inf"), 1e-7], "text": "\x00 ü"}


def test_infinity_is_written_as_toml_has_it() -> None:
    import tomllib

    study = planned(["q-learning"])
    study = Study((Preset("endless", "a:B", ENDLESS),), study.envs, 1, 100)
    text = recipe(study).agents
    assert text is not None
    assert tomllib.loads(text) == {"endless": {"agent": "a:B", "parameters": ENDLESS}}


def test_what_toml_cannot_say_is_said_in_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agents = ["q-learning", ODD, Preset("endless", "nchain_agents:QLearning", {"gamma": inf})]
    study = planned(agents)
    assert recipe(study).agents is None
    assert recipe(study).own == []
    assert again(study, tmp_path, monkeypatch).as_data() == study.as_data()


def test_a_parameter_that_cannot_be_written_down_makes_an_agent_the_programs_own() -> None:
    study = planned([Preset("bound", "nchain_agents:QLearning", {"gamma": object()})])
    assert recipe(study).own == ["bound"]


def test_it_says_which_agents_only_the_program_knows() -> None:
    class Own(QLearning):
        pass

    assert recipe(planned(["q-learning", Own])).own == ["Own"]


def test_the_versions_are_of_what_took_part() -> None:
    import gymnasium

    study = planned(["q-learning"])
    versions = recipe(study).versions
    assert versions["gymnasium"] == gymnasium.__version__
    assert {"Python", "nchain-env", "numpy"} <= set(versions)
    assert "torch" not in versions
    deep = Study((problem("nchain").preset("sb3-dqn"),), study.envs, 1, 100)
    assert {"stable_baselines3", "torch"} <= set(recipe(deep).versions)
