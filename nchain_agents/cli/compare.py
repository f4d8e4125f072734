"""`nchain compare`: agents against the exact answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from nchain_agents.cli.options import EnvOption, key_values

if TYPE_CHECKING:
    from nchain_agents.study.comparison import Comparison

# What a study file says.
_STUDY_OPTIONS = (
    "agents",
    "env",
    "n",
    "slip",
    "small",
    "large",
    "sweep",
    "seeds",
    "steps",
    "episodes",
)


def compare(
    context: typer.Context,
    study: Annotated[
        str | None,
        typer.Argument(
            help="A study file, like the study.toml that every study leaves in its folder. It says"
            " what is compared, in place of the options for that.",
            show_default=False,
        ),
    ] = None,
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
    # of `--sweep n=5,10 slip=0,0.2` the option itself takes one word only
    words = ([] if study is None else [study]) + context.args
    swept = [*(sweep or []), *(word for word in words if sweep and "=" in word)]
    file = _study_file(context, [word for word in words if word not in swept])

    from nchain_agents import comparing
    from nchain_agents.report import outputs
    from nchain_agents.study import results, study_file

    run: Callable[..., Comparison]
    if file is not None:
        run = partial(comparing.compare_file, file)
    else:
        chain = {"n": n, "slip": slip, "small": small, "large": large}
        run = partial(
            comparing.compare,
            None if agents is None else [name.strip() for name in agents.split(",")],
            env,
            parameters={name: value for name, value in chain.items() if value is not None},
            sweep=key_values("sweep", swept),
            seeds=seeds,
            steps=steps,
            episodes=episodes,
        )
    comparison = run(
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
    said = f"written to {out}: {', '.join((study_file.NAME, *results.FILES, *outputs.FILES))}"
    Console(stderr=True).print(said, markup=False, highlight=False, soft_wrap=True)
    if comparison.failures:
        raise typer.Exit(1)


def _study_file(context: typer.Context, words: list[str]) -> Path | None:
    """Return the study file that is given, if one is.

    Raises:
        ValueError: Other words are given, or options that say what is compared.
    """
    if not words:
        return None
    if len(words) > 1 or not words[0].endswith(".toml"):
        raise ValueError(f"compare takes a study file and options only, got {' '.join(words)!r}")
    for name in _STUDY_OPTIONS:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise ValueError(f"--{name} cannot be given with a study file, which says it")
    return Path(words[0])
