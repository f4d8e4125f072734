"""The page that the benchmarks write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_benchmarks_write_their_tables_with_the_versions_and_the_machine(
    tmp_path: Path,
) -> None:
    pytest.importorskip("numba", reason="needs the extra `agents`")
    page = tmp_path / "page.md"
    benchmarks = "tests/benchmarks/test_tabular_speed.py"
    command = f"{benchmarks} -m slow -k second_process -p no:cacheprovider --benchmark-table {page}"
    subprocess.run([sys.executable, "-m", "pytest", *command.split()], check=True, cwd=ROOT)
    lines = page.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# Side by side"
    (about,) = (line for line in lines if "Machine: " in line)
    assert f"numpy {np.__version__}" in about
    assert " cores" in about
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    assert rows[:2] == [["measured", "result", "aim"], ["---", "---", "---"]]
    ((name, seconds, aim),) = rows[2:]
    assert (name, aim) == ("a second process, start to learned, s", "2")
    assert float(seconds) > 0
