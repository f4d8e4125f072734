"""The tables of a comparison, their Markdown, and the files of its report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nchain_agents.report import page, pictures, tuned
from nchain_agents.report.overview import overviews
from nchain_agents.report.scaling import scalings, write_scaling
from nchain_agents.report.table import Table
from nchain_agents.report.tables import failures, of_all_environments
from nchain_agents.study.comparison import Comparison

# The files that `write` makes, and the one that it makes for a sweep over one number.
FILES = ("learning_curves.png", "report.html")
SCALING = "scaling.png"


def tables(comparison: Comparison) -> list[Table]:
    """Return the overview of an environment or of all, and the failures if there are any.

    The last table has the notes of all.
    """
    failed = failures(comparison)
    shown = of_all_environments(comparison) or overviews(comparison)
    found = [*shown, *filter(None, (tuned.of_study(comparison.study), failed))]
    *first, last = found
    note = "; ".join(dict.fromkeys(table.note for table in found if table.note))
    return [*(replace(table, note="") for table in first), replace(last, note=note)]


def as_markdown(comparison: Comparison) -> str:
    """Return the tables as Markdown."""
    return "\n".join(
        f"## {table.caption}\n\n{table.markdown()}\n" + (f"\n{table.note}.\n" if table.note else "")
        for table in tables(comparison)
    )


def files(comparison: Comparison) -> list[str]:
    """Return the names of the files that `write` makes."""
    return [*FILES, *([SCALING] if scalings(comparison) else [])]


def write(out: Path, comparison: Comparison) -> None:
    """Write the learning curves, the page and, for a sweep, the scaling to a folder."""
    pictures.write_learning_curves(out / "learning_curves.png", comparison)
    page.write_page(out / "report.html", comparison)
    write_scaling(out / SCALING, comparison)
