"""`nchain compare`: agents against the exact answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nchain_agents.cli.options import EnvOption, key_values


def compare(
    context: typer.Context,
    agents: Annotated[
        str | None,
        typer.Option(
            help="Who learns, with commas between: presets, TOML files, module:Class; by default"
            " all presets for the environment that are installed."
        ),
    ] = None,
    env: EnvOption = "NChain-v0",
    n: Annotated[int | None, typer.Option(help="Number of states of the chain.")] = None,
    slip: Annotated[
        float | None, typer.Option(help="Probability that the opposite action is executed.")
    ] = None,
    small: Annotated[
        float | None, typer.Option(help="Reward for going back to the first state.")
    ] = None,
    large: Annotated[
        float | None, typer.Option(help="Reward for going forward at the last state.")
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            help="Parameters of the environment and their values: n=5,10,20 slip=0,0.2. Every"
            " combination is compared.",
            metavar="NAME=VALUE,...",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds to train each with.")] = 5,
    steps: Annotated[int, typer.Option(help="How many steps to train for.")] = 20_000,
    episodes: Annotated[
        int, typer.Option(help="Episodes an evaluation plays where there is no exact answer.")
    ] = 100,
    jobs: Annotated[int, typer.Option(help="Runs at a time; 0 takes every core.")] = 0,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler, tcp://HOST:PORT; by default this machine works."
        ),
    ] = None,
    cluster_timeout: Annotated[
        float,
        typer.Option(
            help="Seconds without an answer or workers after which a cluster is given up."
        ),
    ] = 600.0,
    time_limit: Annotated[
        float | None, typer.Option(help="Seconds after which a run counts as failed.")
    ] = None,
    out: Annotated[
        Path,
        typer.Option(help="Folder for the results; the same command goes on with what is missing."),
    ] = Path("results"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Allow more agents or seeds than the folder has.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as Markdown.")] = False,
) -> None:
    """Train agents and compare what they learned with the exact answer.

    A run that fails is reported and ends nothing else; the exit code is then 1.
    """
    chain = {"n": n, "slip": slip, "small": small, "large": large}
    names = None if agents is None else [name.strip() for name in agents.split(",")]
    # of `--sweep n=5,10 slip=0,0.2` the option itself takes one word only
    if context.args and not sweep:
        raise ValueError(f"compare takes options only, got {context.args[0]!r}")
    swept = key_values("sweep", [*(sweep or []), *context.args])

    from nchain_agents.comparing import compare as run
    from nchain_agents.report import outputs
    from nchain_agents.study import files

    comparison = run(
        names,
        env,
        parameters={name: value for name, value in chain.items() if value is not None},
        sweep=swept,
        seeds=seeds,
        steps=steps,
        episodes=episodes,
        out=out,
        resume=resume,
        jobs=jobs,
        scheduler=scheduler,
        cluster_timeout=cluster_timeout,
        time_limit=time_limit,
        progress_bar=True,
    )
    if as_json:
        print(json.dumps(comparison.summary))
    elif markdown:
        print(outputs.as_markdown(comparison))
    else:
        for table in outputs.tables(comparison):
            Console().print(table.rich())
    said = f"written to {out}: {', '.join((*files.FILES, *outputs.FILES))}"
    Console(stderr=True).print(said, markup=False, highlight=False, soft_wrap=True)
    if comparison.failures:
        raise typer.Exit(1)
