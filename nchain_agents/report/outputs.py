"""What a comparison says in words: tables for the terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from nchain_agents.report import page, pictures
from nchain_agents.report.overview import HEADER, overviews
from nchain_agents.study.comparison import Comparison

# What `write` leaves in the folder.
FILES = ("learning_curves.png", "report.html")


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


def write(out: Path, comparison: Comparison) -> None:
    """Write the learning curves and the page: FILES."""
    pictures.write_learning_curves(out / "learning_curves.png", comparison)
    page.write_page(out / "report.html", comparison)
