"""`nchain tune`: looks for better hyperparameters of an agent."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nchain_agents.cli.options import EnvOption, Quiet, going_on


def tune(
    agent: Annotated[
        str, typer.Argument(help="The agent: a preset, module:Class, or a TOML file of one agent.")
    ],
    env: EnvOption = "NChain-v0",
    space: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with the search space, a table for each agent; by default that of the"
            " preset."
        ),
    ] = None,
    trials: Annotated[int, typer.Option(help="Number of hyperparameter values tried.")] = 50,
    seeds: Annotated[int, typer.Option(help="Number of seeds of a trial.")] = 5,
    steps: Annotated[int, typer.Option(help="Number of steps of a run.")] = 20_000,
    objective: Annotated[
        str, typer.Option(help="score, at the end of a run, or regret, over all of it.")
    ] = "score",
    storage: Annotated[
        Path | None,
        typer.Option(
            help="SQLite file of the trials; the same command makes the missing ones. By default"
            " beside OUT.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="TOML file for the tuned agent, which compare --agents reads; beside it a picture"
            " of the trials is written. By default tuned/AGENT.toml.",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option(help="Number of trials at a time; 0 for the number of cores.")
    ] = 0,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler, tcp://HOST:PORT; by default trials are made here."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all trials as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Look for better hyperparameters of an agent, with seeds that no comparison has.

    After Ctrl-C, the same command goes on.
    """
    from nchain_agents import tuning
    from nchain_agents.report import tuned
    from nchain_agents.report.terminal import show

    name = Path(agent).stem if agent.endswith(".toml") else agent.rpartition(":")[2]
    out = Path("tuned", f"{name}.toml") if out is None else out
    if out.suffix != ".toml":
        raise ValueError(f"out must be a file that ends with .toml, got {out}")
    storage = out.with_suffix(".sqlite") if storage is None else storage
    with going_on("finished trials", storage):
        found = tuning.tune(
            agent,
            env,
            space=space,
            trials=trials,
            seeds=seeds,
            steps=steps,
            objective=objective,  # type: ignore[arg-type] # checked there
            storage=storage,
            out=out,
            jobs=jobs,
            scheduler=scheduler,
            progress_bar=not quiet,
        )
    picture = out.with_suffix(".png")
    tuned.write_picture(picture, found)
    if as_json:
        print(json.dumps(found.summary))
    else:
        show(tuned.table(found), "--json")
    if not quiet:
        on = () if env == "NChain-v0" else ("--env", env)
        words = ("nchain", "compare", "--agents", f"{agent},{out}", *on, "--steps", str(steps))
        said = f"written to {out} and {picture}; to compare: {shlex.join(words)}"
        Console(stderr=True).print(said, markup=False, highlight=False, soft_wrap=True)
