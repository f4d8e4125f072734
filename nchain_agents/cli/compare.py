"""`nchain compare`: trains agents and compares them."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from nchain_agents.cli.options import Quiet, going_on, key_values, seeds_of

if TYPE_CHECKING:
    from nchain_agents.study.comparison import Comparison

# The options that a study file replaces.
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
    "looks",
    "tuned",
)


def compare(
    context: typer.Context,
    study: Annotated[
        str | None,
        typer.Argument(
            help="A study file, such as the study.toml in the folder of a study. It replaces the"
            " options that define a study.",
            show_default=False,
        ),
    ] = None,
    agents: Annotated[
        str | None,
        typer.Option(
            help="Agents, separated by commas: presets, TOML files, module:Class; by default all"
            " presets for the environment whose requirements are installed."
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            help="Id of the environment and its parameters, as in 'NChain-v0 n=8'; module:Id for"
            " one that a module registers; by default NChain-v0. Given more than once: several."
        ),
    ] = None,
    n: Annotated[int | None, typer.Option(help="Number of states of the chain.")] = None,
    slip: Annotated[
        float | None, typer.Option(help="Probability that the opposite action is executed.")
    ] = None,
    small: Annotated[float | None, typer.Option(help="Reward of going backward.")] = None,
    large: Annotated[
        float | None, typer.Option(help="Reward of going forward in the last state.")
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            help="Parameters of the environment with several values: n=5,10,20 slip=0,0.2. Every"
            " combination is an environment.",
            metavar="NAME=VALUE,...",
        ),
    ] = None,
    seeds: Annotated[
        str,
        typer.Option(
            help="Number of seeds for each agent and environment; 100:120 for the seeds from 100 to"
            " 119, 1,5,7 for these."
        ),
    ] = "10",
    steps: Annotated[int, typer.Option(help="Number of steps of a run.")] = 20_000,
    episodes: Annotated[
        int, typer.Option(help="Episodes per evaluation, where returns are not exact.")
    ] = 100,
    looks: Annotated[
        str,
        typer.Option(
            help="Number of evaluations of a run; log:20 for 20 at steps in geometric progression."
        ),
    ] = "20",
    tuned: Annotated[
        list[str] | None,
        typer.Option(
            help="Tune the agents first, with equal budgets and on other seeds: trials=50, or"
            " 'trials=50 seeds=5 space=FILE.toml' with more search spaces.",
            metavar="trials=NUMBER",
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option(help="Number of runs at a time; 0 for the number of cores.")
    ] = 0,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler, tcp://HOST:PORT; by default runs are made here."
        ),
    ] = None,
    cluster_timeout: Annotated[
        float,
        typer.Option(help="Seconds without an answer or workers after which the command ends."),
    ] = 600.0,
    time_limit: Annotated[
        float | None, typer.Option(help="Seconds after which a run fails.")
    ] = None,
    out: Annotated[
        Path,
        typer.Option(help="Folder for the results; the same command makes the missing runs."),
    ] = Path("results"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Allow adding agents, environments or seeds.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the tables as Markdown.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train agents and compare their policies with the exact solution.

    A run that fails is reported, and the others go on. The exit code is then 1.
    """
    # Of `--sweep n=5,10 slip=0,0.2`, the option itself takes the first word only.
    words = ([] if study is None else [study]) + context.args
    swept = [*(sweep or []), *(word for word in words if sweep and "=" in word)]
    file = _study_file(context, [word for word in words if word not in swept])

    from nchain_agents import comparing
    from nchain_agents.report import outputs
    from nchain_agents.report.terminal import show
    from nchain_agents.study import results, study_file

    run: Callable[..., Comparison]
    if file is not None:
        run = partial(comparing.compare_file, file)
    else:
        chain = {"n": n, "slip": slip, "small": small, "large": large}
        run = partial(
            comparing.compare,
            None if agents is None else [name.strip() for name in agents.split(",")],
            env or "NChain-v0",
            parameters={name: value for name, value in chain.items() if value is not None},
            sweep=key_values("sweep", swept),
            seeds=seeds_of(seeds),
            steps=steps,
            episodes=episodes,
            looks=looks,
            tuned=_budget(tuned),
        )
    with going_on("finished runs", out):
        comparison = run(
            out=out,
            resume=resume,
            jobs=jobs,
            scheduler=scheduler,
            cluster_timeout=cluster_timeout,
            time_limit=time_limit,
            progress_bar=not quiet,
        )
    if as_json:
        print(json.dumps(comparison.summary))
    elif markdown:
        print(outputs.as_markdown(comparison))
    else:
        for table in outputs.tables(comparison):
            show(table, "--markdown")
    if not quiet:
        files = (study_file.NAME, *results.FILES, *outputs.files(comparison))
        said = f"written to {out}: {', '.join(files)}"
        Console(stderr=True).print(said, markup=False, highlight=False, soft_wrap=True)
    if comparison.failures:
        raise typer.Exit(1)


def _budget(given: list[str] | None) -> dict[str, Any] | None:
    """Return what `--tuned` means.

    Raises:
        ValueError: A name has several values.
    """
    if not given:
        return None
    found = key_values("tuned", given)
    for name, values in found.items():
        if len(values) > 1:
            raise ValueError(f"tuned must give {name} one value, got {values}")
    return {name: value for name, (value,) in found.items()}


def _study_file(context: typer.Context, words: list[str]) -> Path | None:
    """Return the study file in the arguments, or None.

    Raises:
        ValueError: There are other words, or options that a study file replaces.
    """
    if not words:
        return None
    if len(words) > 1 or not words[0].endswith(".toml"):
        raise ValueError(
            f"compare takes a study file and options only, got {' '.join(words)!r}; "
            "several agents, or values of a sweep, are separated by commas"
        )
    for name in _STUDY_OPTIONS:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise ValueError(f"--{name} cannot be given with a study file, which defines it")
    return Path(words[0])
