"""`nchain reproduce`: the experiments of the articles and of papers, reproduced."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from nchain_agents.cli.options import Quiet, going_on

if TYPE_CHECKING:
    from nchain_agents.papers.page import Paper

_TUTORIAL = "tutorial"
_PAPERS = (_TUTORIAL, "osband2013", "gym61")
# The seeds of a paper's agents: so many runs has Osband et al. (2013)
_SEEDS = 20

_Track = Callable[[str, int], Callable[[int], None]]


def reproduce(
    paper: Annotated[
        str,
        typer.Option(
            help="tutorial: the articles that made NChain known. osband2013: the regret on"
            " RiverSwim and random MDPs. gym61: the chain's rewards in gym's pull request 61, and"
            " those of each agent in phases of 1,000 steps."
        ),
    ] = _TUTORIAL,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only check that everything runs, with little training.")
    ] = False,
    rounds: Annotated[
        int | None,
        typer.Option(help="Rounds of the tutorial's tournament; by default 100, as there."),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            help="Number of seeds: for each of the tutorial's networks, by default 10; for each"
            " agent of the others, by default 20."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The first seed.")] = 0,
    jobs: Annotated[
        int, typer.Option(help="Number of trainings at a time; 0 for the number of cores.")
    ] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("reproduction"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Reproduce published experiments, beside the published figures and the exact values.

    The networks run on Keras's JAX backend if JAX is installed, else on TensorFlow, which takes
    longer. The environment variable KERAS_BACKEND selects another backend. Finished parts of the
    tutorial are kept: after an interruption, the same command computes only the missing parts.
    """
    from nchain_agents.files import prepare_folder
    from nchain_agents.report.markdown import show_markdown
    from nchain_env.checks import integer, one_of

    one_of("paper", paper, _PAPERS)
    for name, value, low in (("rounds", rounds, 1), ("seeds", seeds, 2)):
        if value is not None:
            integer(name, value, low)
    integer("seed", seed, 0)
    integer("jobs", jobs, 0)
    if rounds is not None and paper != _TUTORIAL:
        raise ValueError(f"rounds are the tutorial's only, got --rounds {rounds} for {paper}")

    # The results depend neither on the number of jobs nor on the folder.
    command = "nchain reproduce" + f" --paper {paper}" * (paper != _TUTORIAL) + " --quick" * quick
    for name, value in (("rounds", rounds), ("seeds", seeds), ("seed", seed)):
        if value is not None:
            command += f" --{name} {value}"

    prepare_folder(out)
    console = Console(stderr=True, quiet=quiet)
    if paper == _TUTORIAL:
        with going_on("finished parts", out):
            data, markdown, names = _tutorial(
                out, command, quick, rounds, seeds, seed, jobs, console
            )
    else:
        count = seeds or (2 if quick else _SEEDS)
        data, markdown, names = _paper(
            paper, out, command, quick, range(seed, seed + count), jobs, console
        )
    if as_json:
        print(json.dumps(data))
        return
    show_markdown(Console(), markdown)
    said = f"written to {out}: {', '.join(names)}"
    console.print(said, markup=False, highlight=False, soft_wrap=True)


_Written = tuple[dict[str, Any], str, tuple[str, ...]]  # the data, the page and the files' names


def _tutorial(
    out: Path,
    command: str,
    quick: bool,
    rounds: int | None,
    seeds: int | None,
    seed: int,
    jobs: int,
    console: Console,
) -> _Written:
    from dataclasses import replace

    from nchain_agents.article import page, pictures, run
    from nchain_agents.article.parts import Parts
    from nchain_agents.keras_backend import keras_backend
    from nchain_env.extras import install_command

    scale = run.Scale.quick() if quick else run.Scale()
    scale = replace(scale, rounds=rounds or scale.rounds, seeds=seeds or scale.seeds)
    backend = keras_backend()
    if backend is None:
        console.print(
            f"the networks are left out: they need {install_command('jax')} (or keras)",
            markup=False,
            highlight=False,
        )
    parts = Parts(out / "unfinished")
    with _progress(console) as track:
        result = run.reproduce(scale, seed, jobs or os.cpu_count() or 1, backend, track, parts)
    data = {"command": command, **page.as_data(result)}
    markdown = page.as_markdown(result, command)
    files = _write(out, "reproduce", data, markdown)
    drawn = pictures.draw(out, result)
    parts.delete()
    return data, markdown, (*files, *drawn)


def _paper(
    paper: str, out: Path, command: str, quick: bool, seeds: range, jobs: int, console: Console
) -> _Written:
    from importlib import import_module

    from nchain_agents.files import whole_file
    from nchain_agents.keras_backend import keras_backend
    from nchain_agents.study.pool import Pool

    module: Paper = import_module(f"nchain_agents.papers.{paper}")
    backend = keras_backend()
    pool = Pool(jobs, environment={} if backend is None else {"KERAS_BACKEND": backend})
    with _progress(console) as track:
        page = module.reproduce(seeds, command, quick=quick, pool=pool, track=track)
    files = _write(out, paper, page.data, page.markdown)
    for name, figure in page.pictures.items():
        with whole_file(out / name) as partial:
            figure.savefig(partial, dpi=150, metadata={"Software": None})
    return page.data, page.markdown, (*files, *page.pictures)


def _write(out: Path, name: str, data: dict[str, Any], markdown: str) -> tuple[str, str]:
    """Write the numbers and the page; return the names of the files."""
    from nchain_agents.files import write_text

    files = f"{name}.json", f"{name}.md"
    write_text(out / files[0], json.dumps(data, indent=2, allow_nan=False) + "\n")
    write_text(out / files[1], markdown)
    return files


@contextmanager
def _progress(console: Console) -> Iterator[_Track]:
    """Yield a function that begins a bar, and returns one that advances it."""
    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), *Progress.get_default_columns(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:

        def track(what: str, total: int) -> Callable[[int], None]:
            task = progress.add_task(what, total=total)
            return lambda done: progress.advance(task, done)

        yield track
