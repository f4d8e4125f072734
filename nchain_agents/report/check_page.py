"""The report of a check as one self-contained HTML page, with the learned values drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure as Drawing

from nchain_agents.check.lesson import Lesson
from nchain_agents.check.problems import Problem
from nchain_agents.check.values import Explainer, Fit
from nchain_agents.check.verdict import CheckReport
from nchain_agents.files import prepare_folder, write_text
from nchain_agents.report.pictures import COLOURS, INK, MUTED, STYLE, Picture, rounded
from nchain_agents.report.sections import Figure
from nchain_agents.report.svg import inline
from nchain_agents.report.templates import CSS_COLOURS, rendered
from nchain_env.mdp import FloatArray

# The files that `write` makes.
FILES = ("check.html", "check.json")
# Explanations that are drawn beside the learned values, the correct update among them.
_DRAWN = 3
# Values that are so much larger than the learned ones are not drawn.
_OFF_SCALE = 3.0


def write(out: Path, report: CheckReport) -> None:
    """Write FILES to a folder."""
    prepare_folder(out)
    page, data = (out / name for name in FILES)
    write_text(data, json.dumps(report.as_data(), indent=2) + "\n")
    write_text(page, rendered("check.html.j2", report=report, figures=list(_figures(report))))


def _figures(report: CheckReport) -> Iterator[Figure]:
    """Yield a picture of each problem, where the agent has values."""
    judgement = report.judgement
    if judgement is None or report.gamma is None:
        return
    shown = [judgement.correct, *judgement.named, *judgement.others][:_DRAWN]
    for i, problem in enumerate(dict.fromkeys(lesson.problem for lesson in report.lessons)):
        here = [lesson for lesson in report.lessons if lesson.problem == problem]
        explainer = Explainer(here, report.gamma, here[0].on_policy)
        picture = draw(problem, here, explainer, shown)
        distances = ", ".join(
            f"{fit.name} {explainer.measured(fit.explanations, fit.parameters).distance:.1%}"
            for fit in shown
        )
        caption = f"Problem {problem.name!r}. Distance of the learned values from the targets: "
        yield Figure(inline(picture, f"values-{i}", CSS_COLOURS), f"{caption}{distances}.")


def draw(
    problem: Problem, lessons: Sequence[Lesson], explainer: Explainer, fits: Sequence[Fit]
) -> Picture:
    """Draw the learned values of a problem beside the fixed points of explanations."""
    learned = np.array([one.values.late for one in lessons if one.values is not None])
    seeds, states, actions = learned.shape
    position = np.arange(states)[:, None] + 0.38 * (np.arange(actions) - (actions - 1) / 2)
    text = [f"Learned, median of {seeds} seeds: {_listed(np.median(learned, axis=0))}."]
    with style.context(STYLE):
        figure = Drawing(figsize=(5.2, 3.1), layout="constrained")
        axes = figure.subplots()
        largest = _OFF_SCALE * np.abs(learned).max()
        for i, fit in enumerate(fits):
            values = _fixed_point(lessons, explainer, fit)
            shown = np.where(np.abs(values) <= largest, values, np.nan)
            offset = 0.1 * (i - (len(fits) - 1) / 2)
            axes.hlines(
                shown.ravel(),
                position.ravel() + offset - 0.045,
                position.ravel() + offset + 0.045,
                color=COLOURS[i],
                linewidth=3.2,
                label=fit.name,
            )
            text.append(f"{fit.name}: {_listed(values)}.")
        axes.plot(
            np.tile(position, (seeds, 1, 1)).ravel(),
            learned.ravel(),
            "o",
            color=INK,
            markerfacecolor="none",
            markersize=5,
            label="learned, each seed",
        )
        axes.set_xticks(
            position.ravel(),
            [f"{a}" for _ in range(states) for a in range(actions)],
        )
        for s in range(states):
            axes.annotate(
                f"state {s}",
                (s, 0),
                xycoords=("data", "axes fraction"),
                xytext=(0, -27),
                textcoords="offset points",
                ha="center",
                color=INK,
            )
            if s:
                axes.axvline(s - 0.5, color=MUTED, alpha=0.2, linewidth=0.8)
        axes.set(ylabel="Q", xlim=(-0.5, states - 0.5))
        axes.set_xlabel("action", labelpad=16)
        axes.grid(visible=False, axis="x")
        figure.legend(loc="outside upper left", ncols=2, frameon=False)
    return Picture(figure, f"Learned values in the problem {problem.name}", " ".join(text))


def _fixed_point(lessons: Sequence[Lesson], explainer: Explainer, fit: Fit) -> FloatArray:
    """Return the mean over the seeds of the values that an explanation leads to."""
    return np.asarray(np.mean([explainer.fixed_point(one, fit) for one in lessons], axis=0))


def _listed(values: FloatArray) -> str:
    return "; ".join(
        f"state {s}: {', '.join(map(rounded, row))}" for s, row in enumerate(values.tolist())
    )
