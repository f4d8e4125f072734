"""`nchain_agents.compare`: a whole study in one call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from nchain_agents.keras_backend import keras_backend
from nchain_agents.presets import Preset, presets_for
from nchain_agents.study import files, report
from nchain_agents.study.comparison import Comparison, pending
from nchain_agents.study.environments import environments, parsed, together
from nchain_agents.study.plan import Study, chosen
from nchain_agents.study.pool import Pool
from nchain_agents.study.run import Run, train
from nchain_agents.study.store import Store
from nchain_env.checks import instance, whole_steps


def compare(
    agents: str | Iterable[str | type | Preset] | None = None,
    env: str = "NChain-v0",
    *,
    parameters: Mapping[str, Any] | None = None,
    sweep: Mapping[str, Sequence[Any]] | None = None,
    seeds: int = 5,
    steps: float = 20_000,
    episodes: int = 100,
    out: Path | str | None = None,
    resume: bool = False,
    jobs: int = 0,
    scheduler: str | None = None,
    cluster_timeout: float = 600.0,
    time_limit: float | None = None,
    progress_bar: bool = False,
) -> Comparison:
    """Train agents and compare what they learned, with the exact answer where there is one.

    Args:
        agents: Names of presets or of installed plug-ins, `module:Class`, TOML files of agents,
            or classes with `learn` and `predict`; None: the presets for the environment whose
            extras are installed.
        env: The environment, as `gym.make` takes it, with parameters if any: `NChain-v0 n=8`, or
            `my_module:MyEnv-v0`. One that this program registered needs no module: each process
            gets what was registered.
        parameters: More of its keyword arguments.
        sweep: Keyword arguments of several values each: every combination is an environment.
        seeds: How many seeds each agent learns with in each environment.
        steps: How many steps each learns for.
        episodes: How many episodes an evaluation plays where there is no exact answer.
        out: The folder that keeps the runs as they finish, and gets `results.csv`, `timing.csv`,
            `summary.json`, `learning_curves.png` and `report.html`. Called again with the same
            arguments it makes only the runs that are missing or have failed. None keeps nothing.
        resume: Agents, environments or seeds may be added to those of the folder.
        jobs: How many runs at a time; 0: as many as there are cores.
        scheduler: The address of a Dask scheduler, tcp://HOST:PORT, whose workers make the runs;
            None: this machine makes them.
        cluster_timeout: After how many seconds without a scheduler that answers, or without
            workers, a study on a cluster ends; the finished runs are kept.
        time_limit: A run that takes longer, in seconds, fails.
        progress_bar: Show how many runs are finished.

    Returns:
        The comparison: `results` (rows for `pandas.DataFrame`), `summary`, `timing`, `failures`.
        A run that fails is among these, and ends nothing else.

    Raises:
        ValueError: A parameter is not allowed, or the folder has the runs of another study.
        OSError: A file cannot be written; the finished runs are kept.
        ModuleNotFoundError: There is a scheduler, and distributed is not installed.
        TimeoutError: The cluster could not be used for `cluster_timeout` seconds.
    """
    instance("out", out, (str, PathLike, type(None)), "a path or None")
    pool = Pool(jobs, time_limit, scheduler, cluster_timeout)
    study = plan(
        agents,
        env,
        parameters=parameters,
        sweep=sweep,
        seeds=seeds,
        steps=steps,
        episodes=episodes,
    )
    if study.keras_backend is not None:
        pool = replace(pool, environment={"KERAS_BACKEND": study.keras_backend})
    done: dict[Any, Run] = {}
    with ExitStack() as stack:
        store = None
        if out is not None:
            files.prepare(Path(out))
            store = stack.enter_context(Store(Path(out) / "runs.sqlite", study, adds=resume))
            done = store.runs()
        left = set(pending(study, done.values()))
        tasks = [task for task in study.tasks if task.key in left]
        # The slow ones, which stand last, first: then no core waits for another at the end.
        tasks.sort(key=lambda task: -study.agents.index(task.agent))
        show = stack.enter_context(_progress(len(study.tasks), len(tasks), progress_bar))
        calls = [partial(train, task) for task in tasks]
        results = stack.enter_context(closing(pool.map_unordered(calls)))
        for i, result in results:
            run = result if isinstance(result, Run) else Run.failed(tasks[i].key, result)
            done[run.key] = run
            if store is not None:
                store.add(run)
            show(run)
    comparison = Comparison.of(study, done)
    if out is not None:
        report.write(Path(out), comparison)
    return comparison


def plan(
    agents: str | Iterable[str | type | Preset] | None,
    env: str,
    *,
    parameters: Mapping[str, Any] | None,
    sweep: Mapping[str, Sequence[Any]] | None,
    seeds: int,
    steps: float,
    episodes: int,
) -> Study:
    """Return the study that the arguments of `compare` mean.

    Raises:
        ValueError: A parameter is not allowed.
    """
    if isinstance(agents, str):
        agents = [agents]
    if agents is not None:
        try:
            agents = list(agents)
        except TypeError:
            raise ValueError(f"agents must be names, classes or presets, got {agents!r}") from None
    instance("env", env, str, "what gym.make takes, and its parameters")
    instance("parameters", parameters, (Mapping, type(None)), "keyword arguments by name")
    instance("sweep", sweep, (Mapping, type(None)), "lists of values by name")
    for name, values in (sweep or {}).items():
        instance(f"sweep of {name}", values, (Sequence, np.ndarray), "a list of values")
    env_id, given = parsed(env)
    sweep = sweep or {}
    envs = environments(env_id, together(given, parameters or {}, sweep), sweep)
    known = presets_for(env_id, envs[0].parameters)
    if agents is None:
        agents = [one.name for one in known.values() if one.installed and not one.by_name_only]
    found = chosen(agents, known)
    backend = keras_backend() if any("keras" in agent.requires for agent in found) else None
    return Study(found, envs, seeds, whole_steps("steps", steps), episodes, backend)


@contextmanager
def _progress(total: int, left: int, shown: bool) -> Iterator[Any]:
    """Yield a function that shows a finished run."""
    if not shown:
        yield lambda run: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if left < total:
        console.print(
            f"{total - left} of {total} runs were there already; another --out makes all anew",
            highlight=False,
        )
    columns = (SpinnerColumn(), *Progress.get_default_columns(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=left == 0) as progress:
        task = progress.add_task("training", total=left)

        def show(run: Run) -> None:
            verb = "trained" if run.failure is None else "FAILED"
            said = f"{verb} {run.key.agent}, seed {run.key.seed}"
            progress.update(task, advance=1, description=said)

        yield show
