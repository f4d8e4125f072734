"""The figures of a comparison, from runs whose checkpoints are written by hand."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nchain_agents.presets import problem
from nchain_agents.study import results
from nchain_agents.study.comparison import THRESHOLDS, Comparison, area_under_curve
from nchain_agents.study.environments import EnvChoice, apart, environments
from nchain_agents.study.plan import Study
from nchain_agents.study.run import Run, train

STEPS = (10, 20, 40)
AGENT = replace(problem("nchain").preset("q-learning"), parameters={"compiled": False})


def study(envs: Sequence[EnvChoice], seeds: int) -> Study:
    return Study((AGENT,), tuple(envs), seeds, 40)


def written(base: Run, scores: Sequence[float], optimal: Sequence[bool]) -> Run:
    points = [
        replace(base.final, step=step, score=score, optimal=known)
        for step, score, known in zip(STEPS, scores, optimal, strict=True)
    ]
    return replace(base, checkpoints=tuple(points))


@pytest.fixture(scope="module")
def base() -> Run:
    return train(study(environments("NChain-v0", {}, {}), 1).tasks[0])


def compared(base: Run, envs: Sequence[EnvChoice], scores: Any, optimal: Any = None) -> Comparison:
    """Return a comparison of one agent; `scores` has a row for each run, in order."""
    made = study(envs, len(scores) // len(envs))
    steady = [[False] * 3] * len(scores) if optimal is None else optimal
    runs = {
        task.key: replace(written(base, *of_run), key=task.key)
        for task, *of_run in zip(made.tasks, scores, steady, strict=True)
    }
    return Comparison.of(made, runs)


def test_the_area_under_the_curve_is_the_mean_over_the_steps(base: Run) -> None:
    run = written(base, [0.0, 100.0, 50.0], [False] * 3)
    # ten steps at 50 on average, twenty at 75
    assert area_under_curve(run) == pytest.approx((10 * 50 + 20 * 75) / 30)
    assert area_under_curve(replace(run, checkpoints=run.checkpoints[-1:])) == 50


def test_the_summary_has_profile_and_area_of_each_environment_and_of_all(base: Run) -> None:
    envs = environments("NChain-v0", {}, {"n": [3, 4]})
    scores = [[0.0, 0.0, 50.0], [0.0, 0.0, 98.0], [100.0, 100.0, 99.5], [100.0, 100.0, 100.0]]
    summary = compared(base, envs, scores).summary
    first, second, overall = (
        about["agents"]["q-learning"] for about in (*summary["envs"], summary)
    )
    share = [
        dict(zip(one["profile"]["thresholds"], one["profile"]["fractions"], strict=True))
        for one in (first, second, overall)
    ]
    assert list(share[0]) == list(THRESHOLDS)
    assert [one[45] for one in share] == [1, 1, 1]
    assert [one[50] for one in share] == [0.5, 1, 0.75]  # a score of 50 is not above 50
    assert [one[99] for one in share] == [0, 1, 0.5]
    # twenty of thirty steps at 25 and at 49; of the other two at 99.75 and 100
    assert first["area_under_curve"]["by_seed"] == pytest.approx([50 / 3, 98 / 3])
    assert second["area_under_curve"]["mean"] == pytest.approx((100 + 2 * 99.75 + 300) / 6)
    assert overall["area_under_curve"]["by_seed"] == pytest.approx(
        [*first["area_under_curve"]["by_seed"], *second["area_under_curve"]["by_seed"]]
    )


def test_where_there_is_no_score_there_is_no_profile_and_no_area(base: Run) -> None:
    envs = environments("NChain-v0", {}, {})
    summary = compared(base, envs, [[float("nan")] * 3] * 2).summary
    about = summary["envs"][0]["agents"]["q-learning"]
    assert about["profile"] is None
    assert about["area_under_curve"]["iqm"] is None
    assert summary["agents"] == {}


NEVER, LATE, EARLY, LOST = (
    [False, False, False],
    [False, False, True],
    [False, True, True],
    [True, True, False],
)


@pytest.mark.parametrize(
    ("optimal", "median", "by_seed"),
    [
        ([EARLY], 20, [20]),
        ([EARLY, LATE, NEVER], 40, [20, 40, None]),
        ([LATE, EARLY], 40, [40, 20]),  # the larger one of the two in the middle
        ([EARLY, LOST], None, [20, None]),
        ([NEVER, LOST, EARLY], None, [None, None, 20]),
    ],
)
def test_a_seed_that_is_never_optimal_is_later_than_any(
    base: Run, optimal: list[list[bool]], median: int | None, by_seed: list[int | None]
) -> None:
    envs = environments("NChain-v0", {}, {})
    comparison = compared(base, envs, [[0.0, 0.0, 0.0]] * len(optimal), optimal)
    found = comparison.summary["envs"][0]["agents"]["q-learning"]["optimal_from"]
    assert found["median"] == median
    assert found["by_seed"] == by_seed
    if len(optimal) == 1:
        assert found["interval"] is None
    elif len(optimal) == 2:  # two draws of the smaller one are 1 of 4 resamples, more than 2.5 %
        assert found["interval"] == [20, by_seed[0] if median == 40 else None]


# --- parameters of environments


def test_results_have_a_column_for_each_parameter(base: Run, tmp_path: Path) -> None:
    envs = [
        *environments("NChain-v0", {"slip": 0.5}, {"n": [3, 4]}),
        *environments("FrozenLake-v1", {"map_name": None, "desc": ["SF", "HG"]}, {}),
    ]
    comparison = compared(base, envs, [[0.0, 1.0, 2.0]] * 3)
    rows = comparison.results
    assert [row["n"] for row in rows] == 3 * [3] + 3 * [4] + 3 * [None]
    assert [row["slip"] for row in rows] == 6 * [0.5] + 3 * [None]
    results.write(tmp_path, comparison)
    with (tmp_path / "results.csv").open() as file:
        kept = list(csv.DictReader(file))
    assert list(kept[0])[-4:] == ["slip", "n", "map_name", "desc"]
    assert [row["n"] for row in kept] == 3 * ["3"] + 3 * ["4"] + 3 * [""]
    assert kept[-1]["desc"] == '["SF", "HG"]'


def test_a_parameter_named_as_a_measure_does_not_hide_it(base: Run) -> None:
    env = EnvChoice("NChain-v0", {"seed": 7})
    made = study([env], 1)
    task = made.tasks[0]
    (row, *_) = Comparison.of(made, {task.key: replace(base, key=task.key)}).results
    assert (row["seed"], row["env_seed"]) == (0, 7)


@pytest.mark.parametrize(
    ("envs", "common", "what", "names", "numbers"),
    [
        (["NChain-v0 n=3 slip=0.1", "NChain-v0 n=8 slip=0.1"], "NChain-v0 slip=0.1", "n",
         ("3", "8"), (3.0, 8.0)),
        (["NChain-v0 slip=0", "NChain-v0 slip=0.5"], "NChain-v0", "slip", ("0", "0.5"), (0, 0.5)),
        (["NChain-v0 n=3 slip=0", "NChain-v0 n=4 slip=0.5"], "NChain-v0", "environment",
         ("n=3 slip=0", "n=4 slip=0.5"), None),
        (["NChain-v0", "NChain-v0 n=4"], "NChain-v0", "environment", ("default", "n=4"), None),
        (["NChain-v0 n=3", "RiverSwim-v0"], "", "environment",
         ("NChain-v0 n=3", "RiverSwim-v0"), None),
        (["FrozenLake-v1 is_slippery=true", "FrozenLake-v1 is_slippery=false"], "FrozenLake-v1",
         "is_slippery", ("true", "false"), None),
        (["NChain-v0"], "", "environment", ("NChain-v0",), None),
    ],
)  # fmt: skip
def test_environments_are_told_apart_by_what_differs(
    envs: list[str], common: str, what: str, names: tuple[str, ...], numbers: Any
) -> None:
    made = [environments(env, {}, {})[0] for env in envs]
    assert apart(made) == (common, what, names, numbers)
