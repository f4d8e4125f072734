"""`nchain compare`: agents against the exact answer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from nchain_agents.cli.options import Large, N, Slip, Small

if TYPE_CHECKING:
    from nchain_agents.presets import Preset


def compare(
    agents: Annotated[
        str | None,
        typer.Option(help="Presets to train, with commas between; by default all installed."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds to train each with.")] = 5,
    steps: Annotated[int, typer.Option(help="How many steps to train for.")] = 20_000,
    jobs: Annotated[int, typer.Option(help="Runs at a time; 0 takes every core.")] = 0,
    n: N = 5,
    slip: Slip = 0.2,
    small: Small = 2.0,
    large: Large = 10.0,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Train agents on NChain-v0 and compare what they learned with the exact answer."""
    from nchain_env.checks import integer

    for name, value, low in (("seeds", seeds, 1), ("steps", steps, 1), ("jobs", jobs, 0)):
        integer(name, value, low)
    chosen, missing = _chosen(agents)

    import gymnasium as gym
    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

    import nchain_env  # noqa: F401  (registers NChain-v0)
    from nchain_agents.evaluation import Yardstick
    from nchain_agents.study import report, store
    from nchain_agents.study.run import Study, run_study
    from nchain_agents.study.summary import as_data, by_agent

    chain: dict[str, Any] = {"n": n, "slip": slip, "small": small, "large": large}
    yardstick = Yardstick.of_env(gym.make("NChain-v0", **chain))
    study = Study(chosen, seeds, steps, chain)
    try:
        store.prepare(out)
    except OSError as error:
        raise ValueError(f"out must be a folder to write to, got {out}: {error.strerror}") from None

    console = Console(stderr=True)
    for left_out in missing:
        console.print(
            f"left out: {left_out.name}, which needs {left_out.install_command}",
            markup=False,
            highlight=False,
        )
    runs = []
    columns = (SpinnerColumn(), *Progress.get_default_columns(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("training", total=len(chosen) * seeds)
        for run in run_study(study, jobs or os.cpu_count() or 1):
            runs.append(run)
            progress.update(task, advance=1, description=f"trained {run.agent}, seed {run.seed}")

    summaries = by_agent(study, runs)
    data = as_data(study, yardstick, summaries)
    store.write_results(out / "results.csv", summaries)
    store.write_timing(out / "timing.csv", summaries)
    store.write_summary(out / "summary.json", data)
    report.write_learning_curves(out / "learning_curves.png", study, yardstick, summaries)
    if as_json:
        print(json.dumps(data))
    else:
        Console().print(report.table(study, yardstick, summaries))
        console.print(
            f"written to {out}: results.csv, timing.csv, summary.json, learning_curves.png",
            markup=False,
            highlight=False,
        )


def _chosen(agents: str | None) -> tuple[tuple[Preset, ...], list[Preset]]:
    """Return the presets to train, and those left out because their extra is not installed."""
    from nchain_agents.presets import problem

    chain = problem("nchain")
    if agents is None:
        known = chain.presets.values()
        return tuple(p for p in known if p.installed), [p for p in known if not p.installed]
    names = [name.strip() for name in agents.split(",")]
    chosen = tuple(chain.preset(name) for name in dict.fromkeys(names))
    for wanted in chosen:
        if not wanted.installed:
            raise ValueError(f"agents: {wanted.name} needs {wanted.install_command}")
    return chosen, []
