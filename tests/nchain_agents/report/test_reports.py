"""What `compare` and `check_agent` return, as a notebook shows it."""

import io
import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the agents extra")

from matplotlib.figure import Figure

from nchain_agents import QLearning
from nchain_agents.check.finding import Finding
from nchain_agents.check.judge import judge
from nchain_agents.check.lesson import learn
from nchain_agents.check.problems import CONTINUING, ENDING
from nchain_agents.presets import Preset, problem
from nchain_agents.report.pictures import Drawing
from nchain_agents.report.reports import CheckReport, ComparisonReport
from nchain_agents.study.comparison import Comparison
from nchain_agents.study.environments import environments
from nchain_agents.study.plan import Study
from nchain_agents.study.run import train

ENVS = environments("NChain-v0 n=2", {}, {})


class Fails:
    def __init__(self, env: Any) -> None:
        self.env = env

    def learn(self, total_timesteps: int) -> None:
        raise RuntimeError("<no>")

    def predict(self, observation: Any, deterministic: bool = False) -> Any:
        return 0, None


def compared(agents: list[Preset], sweep: dict[str, Any]) -> ComparisonReport:
    study = Study(tuple(agents), environments("NChain-v0", {}, sweep), 2, 200, 3, 2)
    made = Comparison.of(study, {task.key: train(task) for task in study.tasks})
    return ComparisonReport.of_comparison(made)


@pytest.fixture(scope="module")
def agents() -> list[Preset]:
    presets = (problem().preset(name) for name in ("q-learning", "posterior-sampling"))
    return [replace(one, parameters={**one.parameters, "compiled": False}) for one in presets]


@pytest.fixture(scope="module")
def report(agents: list[Preset]) -> ComparisonReport:
    return compared([*agents, Preset("fails", Fails)], {})


@pytest.fixture(scope="module")
def shown(report: ComparisonReport) -> ET.Element:
    return cell(report)


@pytest.fixture(scope="module")
def shown_check(check: CheckReport) -> ET.Element:
    return cell(check)


@pytest.fixture(scope="module")
def check() -> CheckReport:
    def make(env: Any, seed: int) -> Any:
        return QLearning(env, epsilon=0.5, learning_rate=0.5, seed=seed, compiled=False)

    lessons = [learn(make, one, 0, 1000) for one in (ENDING, CONTINUING)]
    finding = Finding("no <exploration>", "It takes `0`.", "epsilon")
    return CheckReport(
        "mine", 1, 1000, 0.95, (finding,), judge(lessons, 0.95, False), lessons=tuple(lessons)
    )


def cell(shown: ComparisonReport | CheckReport) -> ET.Element:
    """The HTML of a cell, which is read as XML: nothing is left open."""
    html = shown._repr_html_()
    assert "<script" not in html
    assert "http" not in html.replace("http://www.w3.org/", "")
    return ET.fromstring(html)


def text(element: ET.Element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def test_a_comparison_shows_its_headline_table_curves_and_failures(
    report: ComparisonReport, shown: ET.Element
) -> None:
    best = report.summary["envs"][0]["best"]["agent"]
    assert re.match(rf"NChain-v0\s*: .*{best}", text(shown.findall("p")[0]))
    figures, failed = shown.findall(".//table")
    rows = {row.findtext("th"): [one.text for one in row] for row in figures.iter("tr")}
    header = rows["agent"]
    for name, about in report.summary["envs"][0]["agents"].items():
        assert rows[name][header.index("score")] == f"{about['score']['iqm']:.2f}"
    assert len(list(failed.iter("tr"))) == 3  # two seeds
    assert "<no>" in text(failed)
    titles = [title.text or "" for title in shown.iter("title")]
    assert [title.split(",")[0] for title in titles] == [
        "Return of the greedy policy while learning",
        "Expected regret while learning",
    ]


def test_a_sweep_shows_a_headline_for_each_environment_and_what_spans_them(
    agents: list[Preset],
) -> None:
    shown = cell(compared(agents, {"n": [2, 3]}))
    said = [text(one) for one in shown.findall("p")]
    assert [one.split(" :")[0] for one in said[:2]] == ["NChain-v0 n=2", "NChain-v0 n=3"]
    assert [row.findtext("th") for row in shown.findall(".//table")[0].iter("tr")][:3] == [
        "n",
        "2",
        "3",
    ]
    assert len(list(shown.iter("figure"))) >= 1


def test_the_cells_of_a_notebook_share_no_ids(shown: ET.Element, shown_check: ET.Element) -> None:
    ids = [one.get("id") for element in (shown, shown_check) for one in element.iter()]
    named = [name for name in ids if name is not None]
    assert len(set(named)) == len(named) > 0


def test_a_frame_has_the_results(report: ComparisonReport, check: CheckReport) -> None:
    pandas = pytest.importorskip("pandas", reason="needs the dev extra")
    frame = report.frame()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.groupby(["agent", "seed"]).step.max().tolist() == [200] * 4
    assert frame["return"].tolist() == [row["return"] for row in report.results]
    explained = check.frame()
    assert explained["name"].tolist()[0] == "correct"
    assert check.judgement is not None
    assert explained.distance[0] == check.judgement.correct.distance


def test_a_frame_without_pandas_says_how_to_install_it(
    report: ComparisonReport, check: CheckReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    for shown in (report, check):
        with pytest.raises(ModuleNotFoundError, match=r"needs pandas: pip install pandas"):
            shown.frame()


def test_the_plot_of_a_comparison_is_a_figure_with_its_returns(report: ComparisonReport) -> None:
    figure = report.plot()
    assert isinstance(figure, Figure)
    assert isinstance(figure, Drawing)
    (axes,) = figure.axes
    assert axes.get_title() == "NChain-v0"
    first = [run for run in report.runs if run.key.agent == "q-learning"]
    means = [
        sum(run.checkpoints[i].expected_return for run in first) / 2  # of two seeds: the mean
        for i in range(2)
    ]
    line = next(one for one in axes.get_lines() if one.get_label() == "q-learning")
    assert np.asarray(line.get_ydata()).tolist() == pytest.approx(means)
    assert figure._repr_png_().startswith(b"\x89PNG")
    file = io.BytesIO()
    figure.savefig(file, format="svg")  # a figure as any other


def test_a_check_shows_its_headline_findings_and_values(
    check: CheckReport, shown_check: ET.Element
) -> None:
    said = [text(one) for one in shown_check.findall("p")]
    assert said[0] == "mine: no <exploration>"
    assert said[2] == "no <exploration> : It takes 0 . In the code, look for epsilon."
    assert len(list(shown_check.iter("figure"))) == 2
    assert repr(check) == "<CheckReport of mine: no <exploration>>"
    titles = [axes.get_title() for axes in check.plot().axes]
    assert titles == ["problem 'ending'", "problem 'continuing'"]


def test_a_check_without_values_has_nothing_to_plot() -> None:
    report = CheckReport("mine", 1, 1000)
    with pytest.raises(ValueError, match="no values of mine were judged"):
        report.plot()
    assert "mine: no mistake found" in text(cell(report))


def test_a_report_is_written_to_one_file(check: CheckReport, tmp_path: Path) -> None:
    check.report(str(tmp_path / "check.html"))
    written = (tmp_path / "check.html").read_text()
    assert "<title>mine: no &lt;exploration&gt;</title>" in written
    unfinished = ComparisonReport(Study((Preset("fails", Fails),), ENVS, 1, 10, 3, 1), ())
    unfinished.report(tmp_path / "mine.html")
    assert "<title>1 agent on NChain-v0 n=2</title>" in (tmp_path / "mine.html").read_text()
