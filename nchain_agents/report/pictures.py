"""The pictures of a comparison, drawn by matplotlib, each with a description in words."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from nchain_agents.evaluation import ExactEvaluator
from nchain_agents.files import whole_file
from nchain_agents.study.comparison import Comparison, Results
from nchain_agents.study.environments import EnvChoice
from nchain_agents.study.looks import logarithmic
from nchain_agents.study.uncertainty import interquartile_mean
from nchain_env.mdp import FloatArray

# Okabe and Ito's colours, which people with any colour vision can distinguish, and three of Tol's.
# None is pure black, which matplotlib omits from an SVG.
COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
    "#111111",
    "#882255",
    "#999933",
    "#332288",
)
INK = "#222222"  # text
MUTED = "#5a5a5b"  # axes, ticks and reference lines
MARKERS = "os^Dv<>"
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)))
# With more seeds, the picture of values shows quantiles over the seeds.
SHOWN_SEEDS = 50
_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)

# Independent of the user's settings, in colours that the page replaces, with no formulas in names.
STYLE: list[Any] = [
    "default",
    {
        "font.size": 9.5,
        "text.color": INK,
        "text.parse_math": False,
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": MUTED,
        "grid.alpha": 0.2,
        "xtick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.color": MUTED,
        "ytick.labelcolor": INK,
    },
]


class Drawing(Figure):
    """A figure that a notebook shows, whether `matplotlib.pyplot` is imported or not."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", metadata={"Software": None})
        return file.getvalue()


class Picture(NamedTuple):
    """A picture with its title and its description in words."""

    figure: Figure
    title: str
    text: str


class Measure(NamedTuple):
    """The measure of each checkpoint that a curve shows."""

    name: str  # a field of `Checkpoint`
    title: str
    label: str  # of the axis
    logarithmic: bool = False


RETURN = Measure(
    "expected_return", "Return of the greedy policy while learning", "return of one episode"
)
EXPECTED_REGRET = Measure("expected_regret", "Expected regret while learning", "expected regret")
GAIN_REGRET = Measure(
    "gain_regret", "Regret against the optimal gain", "optimal gain x steps - rewards"
)
REALISED_REGRET = Measure(
    "realised_regret", "Realised regret while learning", "regret over finished episodes"
)
Q_ERROR = Measure("q_error", "Distance from Q* while learning", "largest |Q - Q*|", True)


def learning_curves(comparison: Comparison) -> Drawing:
    """Draw the return of each agent's greedy policy over the steps, a panel per environment."""
    study = comparison.study
    with style.context(STYLE):
        figure = Drawing(figsize=(8, 4.4 * len(study.envs) + 0.6), layout="constrained")
        panels = list(figure.subplots(len(study.envs), squeeze=False)[:, 0])
        for axes, env in zip(panels, study.envs, strict=True):
            _draw_curves(axes, comparison, env, RETURN)
            axes.set_title(env.label)
        number = len(study.every_seed)
        seeds = f"interquartile mean of {number} seeds, from the worst to the best"
        figure.suptitle(f"{RETURN.title}: {'1 seed' if number == 1 else seeds}", fontsize=11)
        add_legend(figure, panels, width=110)
    return figure


def write_learning_curves(path: Path, comparison: Comparison) -> None:
    """Write the learning curves to a PNG file."""
    with style.context(STYLE), whole_file(path) as partial:
        learning_curves(comparison).savefig(partial, dpi=150, metadata={"Software": None})


def curves(comparison: Comparison, env: EnvChoice, measure: Measure) -> Picture | None:
    """Draw a measure of each agent over the steps. Return None if no agent has it."""
    with style.context(STYLE):
        figure = Figure(layout="constrained")
        axes = figure.subplots()
        descriptions = _draw_curves(axes, comparison, env, measure)
        if not descriptions:
            return None
        rows = add_legend(figure, [axes], width=60)
        figure.set_size_inches(4.4, 2.7 + 0.19 * rows)
    return Picture(figure, f"{measure.title}, {env.label}", " ".join(descriptions))


def values(results: Results, optimal: FloatArray, actions: Sequence[str]) -> Picture:
    """Draw an agent's final Q in each state beside Q*.

    Args:
        results: The agent's runs, at least one, all with action values.
        optimal: Q*, of shape (S, A).
        actions: The names of the actions.
    """
    learned = np.array([run.q for run in results.runs])  # (seeds, S, A)
    seeds, num_states, num_actions = learned.shape
    shown = learned if seeds <= SHOWN_SEEDS else np.quantile(learned, _QUANTILES, axis=0)
    states = np.arange(num_states)
    descriptions = [
        f"Q* of state 0 to {num_states - 1}, then the agent's Q, interquartile mean of the seeds."
    ]
    with style.context(STYLE):
        size = (4.4, 2.3) if crowded(optimal) else (3.1, 2.15)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        width = 0.8 / num_actions
        if crowded(optimal):
            for between in states[1:] - 0.5:
                axes.axvline(between, color=MUTED, alpha=0.2, linewidth=0.8)
        for a, name in enumerate(actions):
            position = states + (a - (num_actions - 1) / 2) * width
            axes.hlines(
                optimal[:, a],
                position - 0.46 * width,
                position + 0.46 * width,
                color=COLOURS[a],
                linewidth=2.4,
                alpha=0.7,
            )
            axes.plot(
                np.tile(position, (len(shown), 1)).ravel(),
                shown[:, :, a].ravel(),
                MARKERS[a % len(MARKERS)],
                color=COLOURS[a],
                markersize=3.6,
                markerfacecolor="none",
                markeredgewidth=0.9,
            )
            middle = interquartile_mean(learned[:, :, a], axis=0)
            descriptions.append(f"{name}: {_listed(optimal[:, a])}; learned {_listed(middle)}.")
        axes.set(xlabel="state", ylabel="Q", xlim=(-0.6, num_states - 0.4))
        axes.grid(visible=False, axis="x")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return Picture(figure, f"Q of {results.agent} against Q*", " ".join(descriptions))


def crowded(optimal: FloatArray) -> bool:
    """Return whether the picture of values of shape (S, A) must be wide."""
    return optimal.size > 24


def _draw_curves(axes: Axes, comparison: Comparison, env: EnvChoice, measure: Measure) -> list[str]:
    """Draw the curves and return a description of each. Return [] if no agent has the measure."""
    evaluator = comparison.evaluators[env.label]
    descriptions = []
    if measure is RETURN:
        best = "optimal" if isinstance(evaluator, ExactEvaluator) else "solved"
        for name, level, line in (
            (best, evaluator.optimal, "--"),
            ("random", evaluator.random, ":"),
        ):
            if not np.isnan(level):
                _draw_level(axes, name, level, line)
                descriptions.append(f"{name.capitalize()}: {rounded(level)}.")
    entries = comparison.of_env(env)
    drawn: list[FloatArray] = []
    for i, results in enumerate(entries):
        if not results.runs:
            continue
        steps = [point.step for point in results.runs[0].checkpoints]
        found = np.array(
            [[getattr(point, measure.name) for point in run.checkpoints] for run in results.runs]
        )
        if np.isnan(found).any():
            continue
        drawn.append(found)
        middle = interquartile_mean(found, axis=0)
        low, high = found.min(axis=0), found.max(axis=0)
        # Curves may coincide. Their markers are at different steps, and later curves are thinner.
        every = max(1, min(len(entries), len(steps) // 3))
        axes.plot(
            steps,
            middle,
            linestyle=DASHES[i % len(DASHES)],
            color=COLOURS[i % len(COLOURS)],
            label=legend_label(results.agent),
            marker=MARKERS[i % len(MARKERS)],
            markevery=(i % every, every),
            markersize=5,
            linewidth=2.6 - 1.4 * i / max(1, len(entries) - 1),
        )
        axes.fill_between(steps, low, high, color=COLOURS[i % len(COLOURS)], alpha=0.1, linewidth=0)
        descriptions.append(_described(results.agent, middle, low, high, steps[-1]))
    axes.set(ylabel=measure.label, xlabel="training steps", xlim=(0, comparison.study.steps))
    if logarithmic(comparison.study.looks):
        axes.set_xscale("log")
        axes.set_xlim(1, max(2, comparison.study.steps))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    if measure.logarithmic and all((found > 0).all() for found in drawn):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:,g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif max((float(abs(found).max()) for found in drawn), default=0.0) >= 1000:
        axes.yaxis.set_major_formatter("{x:,.0f}")
    return descriptions if drawn else []


def _draw_level(axes: Axes, name: str, level: float, line: str) -> None:
    axes.axhline(level, color=MUTED, linestyle=line, linewidth=1)
    axes.annotate(
        name,
        (1, level),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 4),
        textcoords="offset points",
        ha="right",
        fontsize=8,
    )


def add_legend(figure: Figure, panels: Sequence[Axes], width: int) -> int:
    """Add one legend for all panels below them, and return its number of rows.

    Args:
        figure: The figure.
        panels: Its panels.
        width: The number of letters that fit into a row.
    """
    found: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    columns = max(1, min(len(found), width // (max(map(len, found), default=0) + 8)))
    figure.legend(
        list(found.values()),
        list(found),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        handlelength=3.2,
        columnspacing=1.2,
    )
    return math.ceil(len(found) / columns)


def legend_label(name: str) -> str:
    """Return a name for a legend. matplotlib omits names that begin with an underscore."""
    short = name if len(name) <= 40 else name[:39] + "…"
    return f" {short}" if short.startswith("_") else short


def _described(agent: str, middle: FloatArray, low: FloatArray, high: FloatArray, step: int) -> str:
    text = f"{agent} reaches {rounded(middle[-1])} after {step:,} steps"
    if low[-1] == high[-1]:
        return f"{text}."
    return f"{text} (from {rounded(low[-1])} to {rounded(high[-1])} over the seeds)."


def _listed(numbers: FloatArray) -> str:
    return ", ".join(map(rounded, numbers))


def rounded(value: float) -> str:
    """Return a number as text, rounded."""
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"
