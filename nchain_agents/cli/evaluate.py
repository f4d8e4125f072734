"""`nchain evaluate`: what saved agents are worth."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console


def evaluate(
    file: Annotated[list[Path], typer.Argument(help="Files that agents were saved in.")],
    env: Annotated[
        str | None,
        typer.Option(
            help="The environment, as 'NChain-v0 n=8' or my_module:MyEnv-v0; by default the file's."
        ),
    ] = None,
    episodes: Annotated[
        int | None,
        typer.Option(help="Play so many episodes, even where there is an exact answer."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what the greedy policies of saved agents are worth."""
    from nchain_agents.agent import load
    from nchain_agents.evaluation import EpisodeYardstick, scaled, yardstick
    from nchain_agents.study.environments import environments, label, parsed
    from nchain_env.checks import integer

    if episodes is not None:
        integer("episodes", episodes, 2)
    choice = None if env is None else environments(*parsed(env), {})[0]
    rows: list[dict[str, Any]] = []
    for path in file:
        agent = load(path) if choice is None else load(path, choice.make())
        played = agent.env if choice is None else choice.make()
        measure = yardstick(played, episodes or 100)
        judge = measure if episodes is None else EpisodeYardstick(played, episodes)
        mean, standard_error = judge.worth(agent)
        score = scaled(measure, mean)
        rows.append(
            {
                "file": str(path),
                "agent": type(agent).__name__,
                "env": label(played),
                "steps": agent.num_timesteps,
                "return": mean,
                "standard_error": standard_error,
                "score": None if math.isnan(score) else score,
                "exact": not isinstance(judge, EpisodeYardstick),
            }
        )
    if as_json:
        print(json.dumps(rows))
        return

    from rich.table import Table

    table = Table("file", "agent", "env", "steps", "return", "score")
    for row in rows:
        how = "exact" if row["exact"] else f"± {row['standard_error']:,.1f}"
        table.add_row(
            row["file"],
            row["agent"],
            row["env"],
            f"{row['steps']:,}",
            f"{row['return']:,.1f} ({how})",
            "-" if row["score"] is None else f"{row['score']:.2f}",
        )
    Console().print(table)
