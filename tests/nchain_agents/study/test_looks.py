"""The steps at which an agent is evaluated."""

from pathlib import Path
from typing import Any

import pytest

from nchain_agents import QLearning, cli
from nchain_agents.callbacks import AtTimesteps
from nchain_agents.study.looks import checked_looks, looks_at
from nchain_agents.study.plan import plan
from nchain_agents.study.run import train
from nchain_agents.study.study_file import read, text_of

SETTINGS: dict[str, Any] = {"parameters": None, "sweep": None, "seeds": 1, "episodes": 2}


@pytest.mark.parametrize(
    ("looks", "steps", "expected"),
    [
        (4, 1000, (250, 500, 750, 1000)),
        ("4", 1000, (250, 500, 750, 1000)),
        (4, 1002, (250, 501, 751, 1002)),
        (20, 3, (1, 2, 3)),
        (1, 3, (3,)),
        ("log:4", 1000, (1, 10, 100, 1000)),
        ("log:3", 50, (1, 7, 50)),
        ("log:9", 3, (1, 2, 3)),
        ("log:1", 7, (7,)),
        ("log:5", 1, (1,)),
        ([3, 30], 100, (3, 30, 100)),
        ((3, 1e2), 100, (3, 100)),
    ],
)
def test_looks_are_at_these_steps(looks: Any, steps: int, expected: tuple[int, ...]) -> None:
    assert looks_at(checked_looks(looks, steps), steps) == expected


@pytest.mark.parametrize(
    "looks",
    [0, -1, 2.5, None, True, "", "log:", "log:0", "lin:5", "1.5", [], [2, 2], [3, 1], ["a"], [0]],
)
def test_other_looks_are_refused_by_name(looks: Any) -> None:
    with pytest.raises(ValueError, match=r"looks (\(a step\) )?must be"):
        checked_looks(looks, 100)


def test_a_look_after_the_end_is_refused() -> None:
    with pytest.raises(ValueError, match="looks must be steps of the run, which has 50, got 60"):
        checked_looks([10, 60], 50)


@pytest.mark.parametrize("looks", [7, "log:5", (10, 40, 41)])
def test_a_study_keeps_its_looks_and_makes_them(looks: Any, tmp_path: Path) -> None:
    study = plan(["q-learning"], "NChain-v0", **SETTINGS, steps=100, looks=looks)
    (tmp_path / "study.toml").write_text(text_of(study), encoding="utf-8")
    again = read(tmp_path / "study.toml")
    assert again.looks == study.looks == looks
    run = train(again.tasks[0])
    assert tuple(point.step for point in run.checkpoints) == looks_at(looks, 100)


def test_the_same_training_is_seen_at_any_looks() -> None:
    few, many = (
        train(plan(["q-learning"], "NChain-v0", **SETTINGS, steps=3000, looks=looks).tasks[0])
        for looks in (3, "log:30")
    )
    assert few.q == many.q
    assert few.final.realised_regret == many.final.realised_regret


def test_the_command_takes_looks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    command = ["compare", "--agents", "q-learning", "--seeds", "1", "--steps", "1000"]
    arguments = [*command, "--jobs", "1", "--looks", "log:4", "--out", str(out)]
    cli.app(arguments, standalone_mode=False)
    rows = (out / "results.csv").read_text().splitlines()
    assert [row.split(",")[3] for row in rows] == ["step", "1", "10", "100", "1000"]
    names = rows[0].split(",")
    assert {"realised_regret", "expected_regret", "gain_regret"} < set(names)
    # the runs there are those of other looks
    with pytest.raises(ValueError, match="with other looks"):
        cli.app([*command, "--looks", "3", "--out", str(out)], standalone_mode=False)
    capsys.readouterr()


@pytest.mark.parametrize("compiled", [True, False])
def test_a_callback_is_called_at_its_steps_and_at_the_end(compiled: bool) -> None:
    seen: list[int] = []
    agent = QLearning("NChain-v0", seed=0, compiled=compiled)
    agent.learn(1500, AtTimesteps([1, 20, 1000], lambda one: seen.append(one.num_timesteps)))
    assert seen == [1, 20, 1000, 1500]
    agent.learn(10, AtTimesteps([1, 20, 1000], lambda one: seen.append(one.num_timesteps)))
    assert seen[4:] == [1510]


@pytest.mark.parametrize("steps", [[0], [3, 3], [2, 1], [1.5], ["a"]])
def test_other_steps_of_a_callback_are_refused(steps: Any) -> None:
    with pytest.raises(ValueError, match="timesteps must be"):
        AtTimesteps(steps, lambda agent: None)
