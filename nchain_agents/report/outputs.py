"""What a comparison says: its tables, the same as Markdown, and the files of its report."""

from __future__ import annotations

from pathlib import Path

from nchain_agents.report import page, pictures
from nchain_agents.report.overview import overviews
from nchain_agents.report.table import Table
from nchain_agents.report.tables import failures
from nchain_agents.study.comparison import Comparison

# What `write` leaves in the folder.
FILES = ("learning_curves.png", "report.html")


def tables(comparison: Comparison) -> list[Table]:
    """Return a table for each environment, and one of the failures if there are any."""
    failed = failures(comparison)
    return overviews(comparison) if failed is None else [*overviews(comparison), failed]


def as_markdown(comparison: Comparison) -> str:
    """Return the same as Markdown."""
    return "\n".join(
        f"## {table.caption}\n\n{table.markdown()}\n" + (f"\n{table.note}.\n" if table.note else "")
        for table in tables(comparison)
    )


def write(out: Path, comparison: Comparison) -> None:
    """Write the learning curves and the page: FILES."""
    pictures.write_learning_curves(out / "learning_curves.png", comparison)
    page.write_page(out / "report.html", comparison)
