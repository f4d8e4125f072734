"""The report of a check as one self-contained HTML page, with the learned values drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style

from nchain_agents.check.lesson import Lesson
from nchain_agents.check.problems import Problem
from nchain_agents.check.values import Explainer, Fit
from nchain_agents.check.verdict import Verdict
from nchain_agents.files import prepare_folder, write_text
from nchain_agents.report.pictures import COLOURS, INK, MUTED, STYLE, Drawing, Picture, rounded
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
_SIZE = (5.2, 3.1)


def write(out: Path, verdict: Verdict) -> None:
    """Write FILES to a folder."""
    prepare_folder(out)
    page, data = (out / name for name in FILES)
    write_text(data, json.dumps(verdict.as_data(), indent=2) + "\n")
    write_page(page, verdict)


def write_page(path: Path, verdict: Verdict) -> None:
    """Write the report of a check as one HTML page."""
    figures = [
        Figure(inline(picture, f"values-{i}", CSS_COLOURS), caption)
        for i, (picture, caption) in enumerate(pictures(verdict))
    ]
    write_text(path, rendered("check.html.j2", report=verdict, figures=figures))


def pictures(verdict: Verdict) -> Iterator[tuple[Picture, str]]:
    """Draw the values in each problem, with its caption; nothing where the agent has no values."""
    for problem, lessons, explainer, fits in _learned(verdict):
        distances = ", ".join(
            f"{fit.name} {explainer.measured(fit.explanations, fit.parameters).distance:.1%}"
            for fit in fits
        )
        caption = f"Problem {problem.name!r}. Distance of the learned values from the targets: "
        yield draw(problem, lessons, explainer, fits), f"{caption}{distances}."


def draw(
    problem: Problem, lessons: Sequence[Lesson], explainer: Explainer, fits: Sequence[Fit]
) -> Picture:
    """Draw the learned values of a problem beside the fixed points of explanations."""
    figure = Drawing(figsize=_SIZE, layout="constrained")
    text = _draw(figure, lessons, explainer, fits)
    return Picture(figure, f"Learned values in the problem {problem.name}", text)


def learned_values(verdict: Verdict) -> Drawing:
    """Draw the values in all problems beside each other.

    Raises:
        ValueError: The agent has no values.
    """
    learned = list(_learned(verdict))
    if not learned:
        raise ValueError(f"there is nothing to draw: no values of {verdict.agent} were judged")
    figure = Drawing(figsize=(_SIZE[0] * len(learned), _SIZE[1] + 0.2), layout="constrained")
    parts = figure.subfigures(1, len(learned), squeeze=False)[0]
    for part, (problem, lessons, explainer, fits) in zip(parts, learned, strict=True):
        _draw(part, lessons, explainer, fits)
        with style.context(STYLE):
            part.axes[0].set_title(f"problem {problem.name!r}")
    return figure


def _learned(
    verdict: Verdict,
) -> Iterator[tuple[Problem, list[Lesson], Explainer, Sequence[Fit]]]:
    """Yield each problem with its lessons and the explanations that are drawn."""
    judgement = verdict.judgement
    if judgement is None or verdict.gamma is None:
        return
    shown = [judgement.correct, *judgement.named, *judgement.others][:_DRAWN]
    for problem in dict.fromkeys(lesson.problem for lesson in verdict.lessons):
        here = [lesson for lesson in verdict.lessons if lesson.problem == problem]
        yield problem, here, Explainer(here, verdict.gamma, here[0].on_policy), shown


def _draw(figure: Any, lessons: Sequence[Lesson], explainer: Explainer, fits: Sequence[Fit]) -> str:
    """Draw learned values beside the fixed points of explanations; return a description."""
    learned = np.array([one.values.late for one in lessons if one.values is not None])
    seeds, states, actions = learned.shape
    position = np.arange(states)[:, None] + 0.38 * (np.arange(actions) - (actions - 1) / 2)
    text = [f"Learned, median of {seeds} seeds: {_listed(np.median(learned, axis=0))}."]
    with style.context(STYLE):
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
    return " ".join(text)


def _fixed_point(lessons: Sequence[Lesson], explainer: Explainer, fit: Fit) -> FloatArray:
    """Return the mean over the seeds of the values that an explanation leads to."""
    return np.asarray(np.mean([explainer.fixed_point(one, fit) for one in lessons], axis=0))


def _listed(values: FloatArray) -> str:
    return "; ".join(
        f"state {s}: {', '.join(map(rounded, row))}" for s, row in enumerate(values.tolist())
    )
