"""The files of a comparison: each appears whole or not at all."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path
from typing import Any

from nchain_agents.files import remove_abandoned, whole_file
from nchain_agents.study.comparison import Comparison


def prepare(out: Path) -> None:
    """Make the folder, and see that files can be written there, before anything is trained.

    Raises:
        ValueError: They cannot.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            remove_abandoned(out)
    except OSError as error:
        raise ValueError(f"out must be a folder to write to, got {out}: {error.strerror}") from None


def write(out: Path, comparison: Comparison) -> None:
    """Write the tables and the summary of a comparison."""
    _write_rows(out / "results.csv", comparison.results)
    # apart from the results because no two times are equal
    _write_rows(out / "timing.csv", comparison.timing)
    text = json.dumps(comparison.summary, indent=2, allow_nan=False)
    write_text(out / "summary.json", text + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
