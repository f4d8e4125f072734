"""What people look at: the table in the terminal and the picture of the learning curves."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from nchain_agents.evaluation import Yardstick
from nchain_agents.files import whole_file
from nchain_agents.study.run import Study
from nchain_agents.study.summary import AgentSummary

# Okabe and Ito's colours, which people with any colour vision tell apart, and three more of Tol's
_COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#E69F00",
    "#000000",
    "#882255",
    "#999933",
    "#332288",
)


def table(study: Study, yardstick: Yardstick, agents: list[AgentSummary]) -> Table:
    """Return the comparison as a rich table: medians over the seeds, the range of the scores."""
    table = Table(
        title=f"NChain-v0, {study.steps:,} steps, {_seeds(study)}",
        caption=(
            "return: expected return of one episode of the learned greedy policy, computed exactly;"
            " score: 100 = optimal policy, 0 = uniformly random; reward: a step, while"
            " learning; medians over the seeds"
        ),
        caption_justify="left",
    )
    table.add_column("agent", no_wrap=True)
    for name in ("return", "score", "worst", "best", "reward\n/step", "steps/s"):
        table.add_column(name, justify="right", no_wrap=True)
    for summary in agents:
        scores = summary.scores
        table.add_row(
            summary.agent,
            f"{median(summary.returns):,.1f}",
            *(f"{score:.2f}" for score in (median(scores), min(scores), max(scores))),
            f"{median(summary.rewards_per_step):.3f}",
            f"{median(summary.steps_per_second):,.0f}",
        )
    table.add_section()
    table.add_row("optimal policy", f"{yardstick.optimal:,.1f}", "100.00")
    table.add_row("uniformly random", f"{yardstick.random:,.1f}", "0.00")
    return table


def write_learning_curves(
    path: Path, study: Study, yardstick: Yardstick, agents: list[AgentSummary]
) -> None:
    """Draw the exact return of each agent's greedy policy over the steps, against the optimum."""
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.subplots()
    axes.axhline(yardstick.optimal, color="#444444", linestyle="--", linewidth=1)
    axes.axhline(yardstick.random, color="#444444", linestyle=":", linewidth=1)
    for level, text in ((yardstick.optimal, "optimal"), (yardstick.random, "random")):
        axes.annotate(
            text,
            (1, level),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 6),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color="#444444",
        )
    for i, summary in enumerate(agents):
        steps = [point.step for point in summary.runs[0].checkpoints]
        returns = np.array(
            [[point.expected_return for point in run.checkpoints] for run in summary.runs]
        )
        colour = _COLOURS[i % len(_COLOURS)]
        style = ("-", "--", "-.")[i // len(_COLOURS) % 3]
        axes.plot(
            steps,
            np.median(returns, axis=0),
            style,
            color=colour,
            label=summary.agent,
            marker="os^Dv<>"[i % 7],
            markersize=3.5,
            linewidth=1.6,
        )
        axes.fill_between(
            steps, returns.min(axis=0), returns.max(axis=0), color=colour, alpha=0.08, linewidth=0
        )
    axes.set(
        title=f"Return of the greedy policy while learning NChain-v0 ({_seeds(study)})",
        xlabel="training steps",
        ylabel="expected return of one episode",
        xlim=(0, study.steps),
    )
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        loc="outside lower center",
        ncols=5,
        frameon=False,
        title="lines: median of the seeds, bands: worst to best",
        title_fontsize=8,
    )
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=150, metadata={"Software": None})


def _seeds(study: Study) -> str:
    return "1 seed" if study.seeds == 1 else f"{study.seeds} seeds"
