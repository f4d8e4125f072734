"""Pictures of a comparison, by matplotlib."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nchain_agents.files import whole_file
from nchain_agents.study.comparison import Comparison
from nchain_agents.study.plan import EnvChoice

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


def write_learning_curves(path: Path, comparison: Comparison) -> None:
    """Draw the return of each agent's greedy policy over the steps, one panel an environment."""
    study = comparison.study
    figure = Figure(figsize=(8, 4.4 * len(study.envs) + 0.6), layout="constrained")
    panels = figure.subplots(len(study.envs), squeeze=False)[:, 0]
    for axes, env in zip(panels, study.envs, strict=True):
        _draw_curves(axes, comparison, env)
    seeds = "1 seed" if study.seeds == 1 else f"{study.seeds} seeds"
    panels[-1].set_xlabel("training steps")
    figure.suptitle(f"Return of the greedy policy while learning ({seeds})")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=5,
        frameon=False,
        title="lines: median of the seeds, bands: worst to best",
        title_fontsize=8,
    )
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=150, metadata={"Software": None})


def _draw_curves(axes: Axes, comparison: Comparison, env: EnvChoice) -> None:
    measure = comparison.yardsticks[env.label]
    for level, text, style in ((measure.optimal, "optimal", "--"), (measure.random, "random", ":")):
        if np.isnan(level):
            continue
        axes.axhline(level, color="#444444", linestyle=style, linewidth=1)
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
    for i, results in enumerate(comparison.of_env(env)):
        if not results.runs:
            continue
        steps = [point.step for point in results.runs[0].checkpoints]
        returns = np.array(
            [[point.expected_return for point in run.checkpoints] for run in results.runs]
        )
        colour = _COLOURS[i % len(_COLOURS)]
        style = ("-", "--", "-.")[i // len(_COLOURS) % 3]
        axes.plot(
            steps,
            np.median(returns, axis=0),
            style,
            color=colour,
            label=results.agent,
            marker="os^Dv<>"[i % 7],
            markersize=3.5,
            linewidth=1.6,
        )
        axes.fill_between(
            steps, returns.min(axis=0), returns.max(axis=0), color=colour, alpha=0.08, linewidth=0
        )
    axes.set(title=env.label, ylabel="return of one episode", xlim=(0, comparison.study.steps))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
