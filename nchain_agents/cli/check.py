"""`nchain check`: what is wrong with an agent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from nchain_agents.cli.options import Quiet

if TYPE_CHECKING:
    from nchain_agents.report.reports import CheckReport


def check(
    agents: Annotated[
        list[str],
        typer.Argument(
            help="Agents: presets, module:Class, module:function of env and seed, or TOML files of"
            " agents."
        ),
    ],
    gamma: Annotated[
        float | None,
        typer.Option(help="The discount factor of the agents; by default their attribute gamma."),
    ] = None,
    steps: Annotated[
        int, typer.Option(help="The largest number of steps in each problem.")
    ] = 20_000,
    seeds: Annotated[int, typer.Option(help="Number of seeds in each problem.")] = 3,
    num_envs: Annotated[
        int | None,
        typer.Option(
            help="Number of environments of a vector environment; by default a single one."
        ),
    ] = None,
    autoreset_mode: Annotated[
        str,
        typer.Option(help="How the vector environment resets: NextStep, SameStep or Disabled."),
    ] = "NextStep",
    jobs: Annotated[
        int, typer.Option(help="Number of agents that learn at a time; 0 for the number of cores.")
    ] = 0,
    time_limit: Annotated[
        float, typer.Option(help="Seconds after which an agent that learns is stopped.")
    ] = 600.0,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for check.html and check.json, with the values drawn."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    quiet: Quiet = False,
) -> None:
    """Name what is wrong with an agent.

    It learns in small problems in which each mistake leads to other values.

    The exit code is 1 if a mistake is found.
    """
    from nchain_agents.checking import check_agent
    from nchain_agents.presets import problem
    from nchain_agents.presets.custom import agents_of
    from nchain_agents.report import check_page

    known = problem("nchain").presets
    chosen = [preset for name in agents for preset in agents_of(name, known)]
    reports: list[CheckReport] = []
    for preset in chosen:
        folder = out if out is None or len(chosen) == 1 else out / preset.name
        report = check_agent(
            preset,
            gamma=gamma,
            steps=steps,
            seeds=seeds,
            num_envs=num_envs,
            autoreset_mode=autoreset_mode,
            out=folder,
            jobs=jobs,
            time_limit=time_limit,
            progress_bar=not quiet,
        )
        reports.append(report)
        if markdown:
            print(report.markdown())
        elif not as_json:
            console = Console()
            text = report.text(min(console.width, 100) - 1)
            console.print(text, markup=False, highlight=False, soft_wrap=True)
        if folder is not None and not quiet:
            said = f"written to {folder}: {', '.join(check_page.FILES)}"
            Console(stderr=True).print(said, markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print(json.dumps([report.as_data() for report in reports]))
    if not all(report.ok for report in reports):
        raise typer.Exit(1)
