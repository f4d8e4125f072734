"""What is written: the figures as JSON, and the sections in the terminal and as Markdown."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from nchain_agents.article import figures, network_sections, table_sections
from nchain_agents.article.chance import binomial_interval, next_value_interval, same_source
from nchain_agents.article.networks import Run
from nchain_agents.article.run import Reproduction
from nchain_agents.article.sections import Section
from nchain_agents.article.tables import Tournament, exact_table
from nchain_agents.study.files import write_text

_QUICK = "A quick run: it trained too little to mean anything, so nothing is said of what came out."


def as_data(result: Reproduction) -> dict[str, Any]:
    """Return all figures as JSON-ready data; nothing in it depends on clocks."""
    import numpy as np

    played = result.tournaments["as written"]
    limit = result.time_limit
    data: dict[str, Any] = {
        "source": figures.SOURCE,
        "seed": result.seed,
        "backend": result.backend,
        "tables": {
            name: {
                "article": figures.TABLES[name],
                "exact": exact_table(name).tolist(),
                "by_round": played.q[:, i].tolist(),
            }
            for i, name in enumerate(played.names)
        },
        "article_wins": figures.WINS,
        "tournaments": {
            version: _tournament(tournament) for version, tournament in result.tournaments.items()
        },
        "time_limit": {
            "cut": limit.cut.tolist(),
            "end": limit.end.tolist(),
            "exact_cut": limit.exact_cut.tolist(),
            "exact_end": limit.exact_end.tolist(),
        },
    }
    if result.backend is not None:
        q = np.array([run.q for run in result.chain["as written"]])
        low, high = next_value_interval(q)
        data["network"] = {
            "article": figures.NETWORK_Q,
            "next_value_interval": {"low": low.tolist(), "high": high.tolist()},
            "runs": _runs(result.chain),
        }
        data["cartpole"] = _runs(result.cartpole)
        data["grid_world"] = _runs(result.grid_world)
        for runs in data["grid_world"].values():
            for run in runs:
                del run["episode_returns"]  # thousands of zeros and ones
    return data


def _tournament(played: Tournament) -> dict[str, Any]:
    rounds = len(played.q)
    return {
        "learners": played.names,
        "rounds": rounds,
        "wins": played.wins,
        "interval": [binomial_interval(wins, rounds) for wins in played.wins],
        "p_value_beside_article": same_source(played.wins, figures.WINS),
        "mean_return": played.returns.mean(axis=0).tolist(),
        "optimal_policies": played.forward,
    }


def _runs(versions: dict[str, tuple[Run, ...]]) -> dict[str, Any]:
    return {
        version: [
            {
                "steps": run.steps,
                # JSON has no infinity: a goal that is never reached
                "result": run.result if math.isfinite(run.result) else None,
                "q": run.q.tolist(),
                "episode_returns": run.episode_returns.tolist(),
            }
            for run in runs
        ]
        for version, runs in versions.items()
    }


def sections(result: Reproduction) -> list[Section]:
    """Return what is said of each experiment."""
    said = [
        table_sections.tables,
        table_sections.tournament,
        table_sections.put_right,
        table_sections.time_limit,
    ]
    if result.backend is not None:
        said += [network_sections.network, network_sections.cartpole, network_sections.grid_world]
    return [say(result) for say in said]


def show(console: Console, result: Reproduction, sections: list[Section]) -> None:
    """Print the sections."""
    for section in sections:
        console.rule(f"[bold]{section.title}")
        console.print(section.before, markup=False, highlight=False)
        for grid in section.grids:
            # narrow: tables with ranges are to fit 80 columns
            table = Table(
                title=grid.caption, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
            )
            for i, name in enumerate(grid.header):
                name = name.replace(" fwd", "\nfwd")
                table.add_column(name, justify="left" if i == 0 else "right")
            for row in grid.rows:
                table.add_row(*row)
            console.print(table)
        if result.scale.whole:
            console.print(section.after + "\n", markup=False, highlight=False)
    if not result.scale.whole:
        console.print(_QUICK, markup=False, highlight=False)


def write_markdown(path: Path, result: Reproduction, sections: list[Section]) -> None:
    """Write the sections as a page of Markdown, with its pictures beside it."""
    lines = [
        "# The articles reproduced",
        "",
        f"Written by `nchain reproduce --seed {result.seed}`"
        + (f", its networks on Keras's {result.backend} backend." if result.backend else ".")
        + f" The tutorial is <{figures.SOURCE}>. fwd is forward, bwd backward; exact values come"
        " from the chain's outcome table.",
        "",
    ]
    if not result.scale.whole:
        lines += [_QUICK, ""]
    for section in sections:
        lines += [f"## {section.title}", "", section.before, ""]
        for grid in section.grids:
            alignment = ["---", *["---:"] * (len(grid.header) - 1)]
            lines += [f"**{grid.caption}**", ""]
            lines += ["| " + " | ".join(row) + " |" for row in (grid.header, alignment, *grid.rows)]
            lines.append("")
        if result.scale.whole:
            lines += [section.after, ""]
        for picture in section.pictures:
            lines += [f"![{section.title}]({picture})", ""]
    write_text(path, "\n".join(lines).rstrip() + "\n")
