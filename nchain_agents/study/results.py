"""The files that keep what a comparison found: each appears whole or not at all."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from nchain_agents.files import whole_file, write_text
from nchain_agents.study.comparison import Comparison

# What `write` leaves in the folder.
FILES = ("results.csv", "timing.csv", "summary.json")


def write(out: Path, comparison: Comparison) -> None:
    """Write the tables and the summary of a comparison."""
    _write_rows(out / "results.csv", comparison.results)
    # apart from the results because no two times are equal
    _write_rows(out / "timing.csv", comparison.timing)
    text = json.dumps(comparison.summary, indent=2, allow_nan=False)
    write_text(out / "summary.json", text + "\n")


def _write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
