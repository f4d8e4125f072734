"""What a comparison says in words: tables for the terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from matplotlib.ticker import EngFormatter
from rich.box import SIMPLE_HEAD
from rich.table import Table

from nchain_agents.study import files, pictures
from nchain_agents.study.comparison import Comparison

HEADER = (
    "agent",
    "return",
    "score",
    "95\u00a0% interval",
    "optimal from",
    "steps/s",
    "separated from best",
)


class Overview(NamedTuple):
    """The table of one environment, as text."""

    title: str
    rows: Sequence[Sequence[str]]  # one an agent, as HEADER
    references: Sequence[Sequence[str]]  # the optimal and the random policy
    note: str


def overviews(comparison: Comparison) -> list[Overview]:
    """Return one table for each environment."""
    summary, study = comparison.summary, comparison.study
    return [
        _overview(comparison, section, env.label)
        for section, env in zip(summary.get("envs", [summary]), study.envs, strict=True)
    ]


def _overview(comparison: Comparison, section: dict[str, Any], label: str) -> Overview:
    study = comparison.study
    rows = [
        (
            agent,
            _number(about["return"]["iqm"], ",.1f"),
            _number(about["score"]["iqm"], ".2f"),
            _interval(about["score"]["interval"]),
            _optimal_from(about["optimal_from"]),
            EngFormatter(places=1, sep="")(_speed(comparison, label, agent)),
            _separated(section["best"], agent),
        )
        for agent, about in section["agents"].items()
    ]
    optimum = section["optimal_return"]
    best = "optimal policy" if section["exact"] else "solved"
    references = [
        (best, _number(optimum, ",.1f"), "100.00"),
        ("uniformly random", _number(section["random_return"], ",.1f"), "0.00"),
    ]
    if optimum is None:
        references.pop(0)
    seeds = "1 seed" if study.seeds == 1 else f"{study.seeds} seeds"
    how = (
        "computed exactly"
        if section["exact"]
        else f"estimated by {study.episodes} episodes, as the environment has no model"
    )
    note = (
        f"return: expected return of an episode of the learned greedy policy, {how}; score: 100 = "
        f"{best}, 0 = uniformly random; both are interquartile means over the seeds, with the "
        "score's 95 % bootstrap interval; optimal from: the step from which the policy stays "
        "optimal for the agent's discount, median of the seeds; separated from best: the p-value "
        "of a permutation test where it is below 5 %"
    )
    failed = sum(failure["env"] == label for failure in comparison.failures)
    if failed:
        note += f"; {failed} of its runs FAILED and are left out"
    return Overview(f"{label}, {study.steps:,} steps, {seeds}", rows, references, note)


def as_tables(comparison: Comparison) -> list[Table]:
    """Return rich tables: one for each environment, and one of the failures if there are any."""
    tables = []
    for overview in overviews(comparison):
        table = Table(
            title=overview.title,
            caption=overview.note,
            caption_justify="left",
            box=SIMPLE_HEAD,
            collapse_padding=True,  # so that it fits into 80 columns
            pad_edge=False,
        )
        table.add_column(HEADER[0], no_wrap=True)
        for name in HEADER[1:]:
            table.add_column(name.replace(" ", "\n", 1), justify="right", no_wrap=True)
        for row in overview.rows:
            table.add_row(*row)
        table.add_section()
        for row in overview.references:
            table.add_row(*row)
        tables.append(table)
    if comparison.failures:
        table = Table(*comparison.failures[0], title="Failed runs")
        for failure in comparison.failures:
            table.add_row(*map(str, failure.values()))
        tables.append(table)
    return tables


def as_markdown(comparison: Comparison) -> str:
    """Return the same as Markdown."""
    parts = []
    for overview in overviews(comparison):
        rows = [(*row, *[""] * (len(HEADER) - len(row))) for row in overview.references]
        lines: list[Sequence[str]] = [HEADER, ("---",) * len(HEADER), *overview.rows, *rows]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        parts.append(f"## {overview.title}\n\n{table}\n\n{overview.note}.\n")
    if comparison.failures:
        failed = [
            f"- {one['agent']} in {one['env']}, seed {one['seed']}: {one['failure']}"
            for one in comparison.failures
        ]
        parts.append("## Failed runs\n\n" + "\n".join(failed) + "\n")
    return "\n".join(parts)


def write(out: Path, comparison: Comparison) -> list[str]:
    """Write the tables, the summary and the pictures, and return the names of the files."""
    names = files.write(out, comparison)
    pictures.write_learning_curves(out / "learning_curves.png", comparison)
    return [*names, "learning_curves.png"]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _interval(ends: tuple[float, float] | None) -> str:
    return "-" if ends is None else f"{ends[0]:.1f} to {ends[1]:.1f}"


def _optimal_from(steps: list[int | None]) -> str:
    """Return the median over the seeds, in which never is later than ever."""
    ordered = sorted(steps, key=lambda step: float("inf") if step is None else step)
    middle = ordered[len(ordered) // 2]
    return "never" if middle is None else f"{middle:,}"


def _speed(comparison: Comparison, label: str, agent: str) -> float:
    rows = [row for row in comparison.timing if (row["env"], row["agent"]) == (label, agent)]
    return float(median(row["steps_per_second"] for row in rows))


def _separated(best: dict[str, Any], agent: str) -> str:
    if agent == best["agent"]:
        return "best"
    than = best["than"][agent]
    return f"p={than['p_value']:.2g}" if than["separated"] else "no"
