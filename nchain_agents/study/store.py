"""The files of a study: each appears whole or not at all."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TextIO

from nchain_agents.files import whole_file
from nchain_agents.study.summary import AgentSummary


def prepare(out: Path) -> None:
    """Make the folder, and see that files can be written there, before anything is trained.

    Raises:
        OSError: They cannot.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out):
        pass


def write_results(path: Path, agents: list[AgentSummary]) -> None:
    """Write one row for each agent, seed and checkpoint; equal studies give equal bytes."""
    rows = (
        (
            summary.agent,
            "NChain-v0",
            run.seed,
            point.step,
            point.expected_return,
            point.score,
            point.reward_per_step,
        )
        for summary in agents
        for run in summary.runs
        for point in run.checkpoints
    )
    header = ("agent", "env", "seed", "step", "return", "score", "reward_per_step")
    _write(path, lambda file: _write_csv(file, header, rows))


def write_timing(path: Path, agents: list[AgentSummary]) -> None:
    """Write how long each run took, apart from the results because no two times are equal."""
    rows = (
        (summary.agent, run.seed, run.final.step, run.seconds, run.steps_per_second)
        for summary in agents
        for run in summary.runs
    )
    header = ("agent", "seed", "steps", "seconds", "steps_per_second")
    _write(path, lambda file: _write_csv(file, header, rows))


def write_summary(path: Path, data: dict[str, Any]) -> None:
    """Write the summary as JSON."""
    _write(path, lambda file: file.write(json.dumps(data, indent=2, allow_nan=False) + "\n"))


def _write(path: Path, fill: Callable[[TextIO], object]) -> None:
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        fill(file)


def _write_csv(file: TextIO, header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
