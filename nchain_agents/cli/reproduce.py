"""`nchain reproduce`: the experiments of the articles, reproduced."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def reproduce(
    quick: Annotated[
        bool, typer.Option("--quick", help="Only check that everything runs, with little training.")
    ] = False,
    rounds: Annotated[
        int | None,
        typer.Option(help="Rounds of the tournament; by default 100, as in the article."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Number of seeds for each network; by default 10.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 0,
    jobs: Annotated[
        int, typer.Option(help="Number of trainings at a time; 0 for the number of cores.")
    ] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("reproduction"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Reproduce the articles that made NChain known, beside their figures and the exact values.

    The networks run on Keras's JAX backend if JAX is installed, else on TensorFlow, which takes
    longer. The environment variable KERAS_BACKEND selects another backend. Finished parts are kept:
    after an interruption, the same command computes only the missing parts.
    """
    from dataclasses import replace

    from nchain_env.checks import integer

    for name, value, low in (("rounds", rounds, 1), ("seeds", seeds, 2)):
        if value is not None:
            integer(name, value, low)
    integer("seed", seed, 0)
    integer("jobs", jobs, 0)

    # The results depend neither on the number of jobs nor on the folder.
    command = "nchain reproduce" + " --quick" * quick
    for name, value in (("rounds", rounds), ("seeds", seeds), ("seed", seed)):
        if value is not None:
            command += f" --{name} {value}"

    from nchain_agents.article import page, pictures, run
    from nchain_agents.article.parts import Parts
    from nchain_agents.article.tables import Advance
    from nchain_agents.files import prepare_folder, write_text
    from nchain_agents.keras_backend import keras_backend

    scale = run.Scale.quick() if quick else run.Scale()
    scale = replace(scale, rounds=rounds or scale.rounds, seeds=seeds or scale.seeds)
    backend = keras_backend()
    prepare_folder(out)

    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if backend is None:
        console.print(
            "the networks are left out: they need pip install 'nchain-env[jax]' (or keras)",
            markup=False,
            highlight=False,
        )
    columns = (SpinnerColumn(), *Progress.get_default_columns(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:

        def track(what: str, total: int) -> Advance:
            task = progress.add_task(what, total=total)
            return lambda done: progress.advance(task, done)

        parts = Parts(out / "unfinished")
        result = run.reproduce(scale, seed, jobs or os.cpu_count() or 1, backend, track, parts)

    data = {"command": command, **page.as_data(result)}
    text = json.dumps(data, indent=2, allow_nan=False)
    write_text(out / "reproduce.json", text + "\n")
    drawn = pictures.draw(out, result)
    markdown = page.as_markdown(result, command)
    write_text(out / "reproduce.md", markdown)
    parts.delete()
    if as_json:
        print(json.dumps(data))
        return
    page.show(Console(), markdown)
    names = ", ".join(("reproduce.json", "reproduce.md", *drawn))
    console.print(f"written to {out}: {names}", markup=False, highlight=False, soft_wrap=True)
