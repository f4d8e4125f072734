"""The pictures of a sweep, from runs whose checkpoints are written by hand."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nchain_agents.presets import problem
from nchain_agents.report import outputs
from nchain_agents.report.profiles import profiles
from nchain_agents.report.scaling import pictures, scalings
from nchain_agents.report.svg import inline
from nchain_agents.report.templates import CSS_COLOURS
from nchain_agents.study.comparison import Comparison
from nchain_agents.study.environments import environments
from nchain_agents.study.plan import Study
from nchain_agents.study.run import Run, train

NCHAIN = problem("nchain")
AGENTS = tuple(
    replace(NCHAIN.preset(name), parameters={"compiled": False}) for name in ("q-learning", "sarsa")
)


@pytest.fixture(scope="module")
def base() -> Run:
    return train(Study(AGENTS, environments("NChain-v0", {}, {}), 1, 40).tasks[0])


def compared(base: Run, sweep: dict[str, Any], reached: Sequence[int | None]) -> Comparison:
    """Return a comparison with one seed; `reached` has the step of each run, None for never."""
    study = Study(AGENTS, environments("NChain-v0", {}, sweep), 1, 40)
    runs = {}
    for task, since in zip(study.tasks, reached, strict=True):
        points = [
            replace(base.final, step=step, optimal=since is not None and step >= since, score=step)
            for step in (10, 20, 40)
        ]
        runs[task.key] = replace(base, key=task.key, checkpoints=tuple(points), policy=None, q=None)
    return Comparison.of(study, runs)


def drawn(comparison: Comparison) -> tuple[ET.Element, str]:
    """Return the first picture as an SVG, and its caption."""
    picture, caption = next(iter(pictures(comparison)))
    return ET.fromstring(inline(picture, "test", CSS_COLOURS)), caption


def test_each_agent_has_a_marker_at_each_value_hollow_at_the_top_where_it_never_gets_there(
    base: Run,
) -> None:
    # the environments in the order of the sweep, the agents in each: the picture is in order of n
    comparison = compared(base, {"n": [9, 3, 5]}, [None, 40, 10, 10, 20, 20])
    svg, caption = drawn(comparison)
    lines = scalings(comparison)[0].lines
    assert [(point.x, point.y) for point in lines["q-learning"]] == [(3, 10), (5, 20), (9, None)]
    assert [(point.x, point.y) for point in lines["sarsa"]] == [(3, 10), (5, 20), (9, 40)]
    text = " ".join(svg.itertext())
    assert "q-learning: 10 at 3, 20 at 5, never at 9." in text
    assert "sarsa: 10 at 3, 20 at 5, 40 at 9." in text
    assert "hollow: not in 40 steps" in text
    assert "Hollow markers at the top: not in 40 steps." in caption
    (axes,) = next(iter(pictures(comparison)))[0].figure.axes
    hollow = [line for line in axes.get_lines() if line.get_markerfacecolor() == "none"]
    assert [np.asarray(line.get_xydata()).tolist() for line in hollow] == [
        [[9.0, axes.get_ylim()[1]]]
    ]


def test_the_axes_are_logarithmic_unless_zero_is_among_the_values(base: Run) -> None:
    def axes(sweep: dict[str, Any]) -> Any:
        picture, _ = next(iter(pictures(compared(base, sweep, [10, 20, 20, 20, 40, 40]))))
        (found,) = picture.figure.axes
        return found

    powers, shares = axes({"n": [3, 9, 27]}), axes({"slip": [0, 0.1, 0.2]})
    assert (powers.get_xscale(), powers.get_yscale()) == ("log", "log")
    assert (shares.get_xscale(), shares.get_yscale()) == ("linear", "log")
    assert (powers.get_xlabel(), shares.get_xlabel()) == ("n", "slip")
    assert list(powers.get_xticks()) == [3, 9, 27]


def test_without_steps_to_the_optimal_policy_the_regret_is_first(base: Run) -> None:
    def unknown(run: Run) -> Run:
        points = tuple(replace(point, optimal=None) for point in run.checkpoints)
        return replace(run, checkpoints=points)

    found = compared(base, {"n": [3, 4]}, [10, 10, 10, 10])
    without = Comparison(found.study, tuple(map(unknown, found.runs)))
    assert next(one.title for one in scalings(found)) == "Steps to the optimal policy"
    titles = [one.title for one in scalings(without)]
    assert len(titles) == 1
    assert titles[0].lower().endswith("regret at the end")


@pytest.mark.parametrize("sweep", [{}, {"n": [3, 4], "slip": [0, 0.5]}])
def test_only_a_sweep_over_one_number_has_such_a_picture(base: Run, sweep: dict[str, Any]) -> None:
    comparison = compared(base, sweep, 2 * (4 if sweep else 1) * [10])
    assert scalings(comparison) == []
    assert outputs.SCALING not in outputs.files(comparison)


def test_a_sweep_has_a_file_with_the_picture(base: Run, tmp_path: Path) -> None:
    comparison = compared(base, {"n": [3, 4]}, [10, None, None, None])
    outputs.write(tmp_path, comparison)
    assert {file.name for file in tmp_path.iterdir()} == set(outputs.files(comparison))
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")


def test_several_environments_make_one_table_of_scores_and_one_of_steps(base: Run) -> None:
    scores, steps = outputs.tables(compared(base, {"n": [3, 4]}, [10, None, 40, 20]))
    assert scores.columns == steps.columns == ("n", "q-learning", "sarsa")
    assert scores.rows == [("3", "40.00", "40.00"), ("4", "40.00", "40.00")]
    assert steps.rows == [("3", "10", "never"), ("4", "40", "20")]
    assert scores.note == ""
    assert "too few seeds" in steps.note


def test_a_profile_tells_its_shares(base: Run) -> None:
    picture = profiles(compared(base, {"n": [3, 4]}, [10, 10, 10, 10]))
    assert picture is not None
    assert re.search(r"sarsa: 0% of the runs above 50, 0% above 95\.", picture.text)
