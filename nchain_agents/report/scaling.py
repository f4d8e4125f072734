"""The pictures of a sweep: how much longer agents take where the problem is larger."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from nchain_agents.files import whole_file
from nchain_agents.report.pictures import (
    COLOURS,
    DASHES,
    EXPECTED_REGRET,
    MARKERS,
    MUTED,
    STYLE,
    Picture,
    add_legend,
    legend_label,
    rounded,
)
from nchain_agents.study.comparison import Comparison
from nchain_agents.study.environments import Apart, apart


class Point(NamedTuple):
    """An agent's figure in one environment, with its interval; None is "never"."""

    x: float
    y: float | None
    low: float | None
    high: float | None


class Scaling(NamedTuple):
    """A figure of each agent over the swept number."""

    title: str
    label: str  # of the vertical axis
    caption: str
    lines: dict[str, list[Point]]  # by agent, in the order of the study


def scalings(comparison: Comparison) -> list[Scaling]:
    """Return what can be shown over the swept number, the steps to the optimal policy first.

    Return nothing for a study that does not sweep over one number.
    """
    swept = apart(comparison.study.envs)
    if swept.numbers is None:
        return []
    steps = comparison.study.steps
    found = [
        Scaling(
            "Steps to the optimal policy",
            "training steps",
            "Markers: the step from which on the policy is optimal for the agent's discount "
            "factor, median of the seeds. Bars: 95 % bootstrap intervals. Hollow markers at the "
            f"top: not in {steps:,} steps.",
            _lines(comparison, swept, "optimal_from", "median"),
        ),
        Scaling(
            f"{EXPECTED_REGRET.title.partition(' while')[0]} at the end",
            EXPECTED_REGRET.label,
            f"Markers: after {steps:,} steps, interquartile mean of the seeds. Bars: 95 % "
            "bootstrap intervals.",
            _lines(comparison, swept, EXPECTED_REGRET.name, "iqm"),
        ),
    ]
    return [one for one in found if one.lines]


def pictures(comparison: Comparison) -> Iterator[tuple[Picture, str]]:
    """Draw each of the scalings, with its caption."""
    for scaling in scalings(comparison):
        with style.context(STYLE):
            figure = Figure(layout="constrained")
            axes = figure.subplots()
            text = _draw(axes, scaling, comparison)
            rows = add_legend(figure, [axes], width=60)
            figure.set_size_inches(4.4, 3.0 + 0.19 * rows)
        yield Picture(figure, f"{scaling.title}, {_where(comparison)}", text), scaling.caption


def write_scaling(path: Path, comparison: Comparison) -> None:
    """Draw the first of the scalings to a file, if there is one."""
    number = len(comparison.study.every_seed)
    seeds = "1 seed" if number == 1 else f"{number} seeds, 95 % intervals"
    for scaling in scalings(comparison)[:1]:
        with style.context(STYLE):
            figure = Figure(figsize=(8, 5.4), layout="constrained")
            axes = figure.subplots()
            _draw(axes, scaling, comparison)
            figure.suptitle(f"{scaling.title}, {_where(comparison)}: {seeds}", fontsize=11)
            add_legend(figure, [axes], width=110)
            with whole_file(path) as partial:
                figure.savefig(partial, dpi=150, metadata={"Software": None})


def _where(comparison: Comparison) -> str:
    return apart(comparison.study.envs).common


def _lines(
    comparison: Comparison, swept: Apart, measure: str, average: str
) -> dict[str, list[Point]]:
    """Return the points of each agent that has the measure, by the swept number."""
    assert swept.numbers is not None
    never_is_known = measure == "optimal_from"
    lines: dict[str, list[Point]] = {}
    for x, env in sorted(zip(swept.numbers, comparison.summary["envs"], strict=True), key=_first):
        for agent, about in env["agents"].items():
            found = about[measure]
            if found is None or (found[average] is None and not never_is_known):
                continue
            low, high = found["interval"] or 2 * [found[average]]
            lines.setdefault(agent, []).append(Point(x, found[average], low, high))
    ordered = (agent.name for agent in comparison.study.agents)
    return {name: lines[name] for name in ordered if name in lines}


def _first(pair: tuple[float, object]) -> float:
    return pair[0]


def _draw(axes: Axes, scaling: Scaling, comparison: Comparison) -> str:
    """Draw the lines and return a description of them."""
    steps = comparison.study.steps
    names = [agent.name for agent in comparison.study.agents]
    ends = [end for line in scaling.lines.values() for point in line for end in point[1:]]
    known = [end for end in ends if end is not None]
    logarithmic = all(y > 0 for y in known)
    never, top = None in ends, math.nan  # the height of "never"
    if never:
        top = steps * (1.6 if logarithmic else 1.15)
        axes.axhline(steps, color=MUTED, linestyle=":", linewidth=1)
        axes.annotate(
            f"hollow: not in {steps:,} steps",
            (1, 1),
            xycoords="axes fraction",
            xytext=(0, 7),
            textcoords="offset points",
            ha="right",
            fontsize=8.5,
        )
    apart_by = min(5.0, 30 / len(scaling.lines))  # in points, so that equal figures are all seen
    for k, (agent, line) in enumerate(scaling.lines.items()):
        to_the_right = (k - (len(scaling.lines) - 1) / 2) * apart_by
        _draw_line(axes, names.index(agent), legend_label(agent), line, top, to_the_right)
    _set_x(axes, apart(comparison.study.envs))
    _set_y(axes, scaling.label, known or [steps], top, steps, logarithmic)
    return " ".join(_described(agent, line) for agent, line in scaling.lines.items())


def _draw_line(
    axes: Axes, i: int, label: str, line: Sequence[Point], top: float, to_the_right: float
) -> None:
    """Draw agent i's line; `top` is the height of "never", `to_the_right` a distance in points."""
    inch = axes.figure.dpi_scale_trans
    where = axes.transData + ScaledTranslation(to_the_right / 72, 0, inch)
    colour = COLOURS[i % len(COLOURS)]
    look: dict[str, Any] = {"color": colour, "transform": where}
    marker: dict[str, Any] = {
        "marker": MARKERS[i % len(MARKERS)],
        "markersize": 6,
        "markeredgewidth": 1.3,
    }
    line_style: dict[str, Any] = {"linestyle": DASHES[i % len(DASHES)], "linewidth": 1.5}
    for point in line:
        low, high = (top if end is None else end for end in (point.low, point.high))
        if low != high:
            axes.plot(2 * [point.x], [low, high], alpha=0.45, linewidth=2.4, **look)
    for a, b in pairwise(line):  # faint to where it never gets there, and no line between two such
        if (a.y is None) != (b.y is None):
            ys = [top if y is None else y for y in (a.y, b.y)]
            axes.plot([a.x, b.x], ys, alpha=0.5, linewidth=0.9, linestyle=":", **look)
    reached = [math.nan if point.y is None else point.y for point in line]
    axes.plot([point.x for point in line], reached, **marker, **line_style, **look)
    never = [point.x for point in line if point.y is None]
    if never:
        hollow: dict[str, Any] = {"linestyle": "none", "markerfacecolor": "none", "clip_on": False}
        axes.plot(never, len(never) * [top], **marker, **hollow, **look)
    axes.plot([], [], color=colour, label=label, **marker, **line_style)


def _set_x(axes: Axes, swept: Apart) -> None:
    assert swept.numbers is not None
    names = dict(zip(swept.numbers, swept.names, strict=True))
    numbers = sorted(names)
    logarithmic = numbers[0] > 0
    places = np.log(numbers) if logarithmic else np.array(numbers)
    margin = 0.08 * (places[-1] - places[0])
    ends = np.array([places[0] - margin, places[-1] + margin])
    axes.set(
        xlabel=swept.what,
        xscale="log" if logarithmic else "linear",
        xlim=np.exp(ends) if logarithmic else ends,
    )
    axes.xaxis.set_major_locator(FixedLocator([numbers[i] for i in _spaced(places)]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: names.get(x, f"{x:g}"))


def _set_y(
    axes: Axes,
    label: str,
    known: Sequence[float],
    top: float,
    steps: int,
    logarithmic: bool,
) -> None:
    never = not math.isnan(top)
    low, high = min(known), steps if never else max(known)
    axes.set_ylabel(label)
    if logarithmic:
        axes.set_yscale("log")
        low, most = low / 1.35, top if never else high * 1.25
        ticks = LogLocator(subs=(1, 2, 5)).tick_values(low, most)
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        margin = 0.05 * (high - low) or 1.0
        low, most = low - margin, top if never else high + margin
        ticks = MaxNLocator(6).tick_values(low, most)
    within = [tick for tick in ticks if low <= tick <= (high if never else most)]
    axes.yaxis.set_major_locator(FixedLocator(within))
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.set_ylim(low, most)


def _spaced(places: Sequence[float] | np.ndarray) -> list[int]:
    """Return which of the ascending places are far enough apart to be named, the last included."""
    least = 0.06 * (places[-1] - places[0])
    shown = [len(places) - 1]
    for i in range(len(places) - 2, -1, -1):
        if places[shown[-1]] - places[i] >= least:
            shown.append(i)
    return shown[::-1]


def _described(agent: str, line: Sequence[Point]) -> str:
    texts = []
    for point in line:
        text = "never" if point.y is None else rounded(point.y)
        if point.low != point.high:
            low, high = ("never" if y is None else rounded(y) for y in (point.low, point.high))
            text += f" ({low} to {high})"
        texts.append(f"{text} at {point.x:g}")
    return f"{agent}: {', '.join(texts)}."
