"""`tune`: looks for better hyperparameters of an agent, with seeds that no comparison has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from nchain_agents.env_argument import EnvLike
from nchain_agents.files import prepare_folder
from nchain_agents.presets import Preset
from nchain_agents.progress import progress, wanted
from nchain_agents.search.optimise import search
from nchain_agents.search.problem import Problem, with_parameters
from nchain_agents.search.result import Tuning
from nchain_agents.search.space import read, shipped, space_of
from nchain_agents.search.trial import Objective
from nchain_agents.study.plan import Study, Tuned, needs_keras, not_tuned, plan
from nchain_agents.study.pool import Pool
from nchain_env.checks import count, instance, one_of


def tune(
    agent: str | type | Preset,
    env: EnvLike = "NChain-v0",
    *,
    space: Mapping[str, Any] | Path | str | None = None,
    trials: int = 50,
    seeds: int = 5,
    steps: float = 20_000,
    objective: Objective = "score",
    storage: Path | str | None = None,
    out: Path | str | None = None,
    jobs: int = 0,
    scheduler: str | None = None,
    cluster_timeout: float = 600.0,
    progress_bar: bool | None = None,
) -> Tuning:
    """Look for better hyperparameters of an agent, with Optuna.

    Each trial trains the agent with the same tuning seeds, 1,000,000 and those after it. No study
    has these seeds, so `compare` measures on others what was tuned. The first trial has the present
    hyperparameters. Equal calls give equal trials, for any number of jobs.

    Args:
        agent: What `compare` takes as one agent.
        env: The environment, as `compare` takes it.
        space: The values that hyperparameters may take: a table for each, such as `{"low": 1e-4,
            "high": 1.0, "log": True}` or `{"choices": [0.0, 0.6, 1.0]}`, or a TOML file with
            such a table of tables for the agent. None: the space of the preset.
        trials: How many values of the hyperparameters are tried.
        seeds: How many seeds each is tried with.
        steps: How many steps each run has.
        objective: "score", at the end, or "regret", over the whole run; the mean of the seeds. In
            an environment without a score it is the return, and for an agent without an expected
            regret it is the realised regret.
        storage: The SQLite file that keeps the trials as they finish. Called again with the same
            arguments, or with more trials, it makes the missing ones. None keeps nothing.
        out: The TOML file that gets the agent with the best hyperparameters.
        jobs: How many trials at a time; 0: as many as there are cores. At most 10 are made at the
            same time, because each ten depend on those before them.
        scheduler: The address of a Dask scheduler, tcp://HOST:PORT, whose workers make the trials;
            None: this machine makes them.
        cluster_timeout: As in `compare`.
        progress_bar: Show how many trials are finished. None: in a terminal and in a notebook.

    Raises:
        ValueError: A parameter is not allowed, or the agent has no search space, or the file has
            other trials of the agent, or no trial was finished.
        OSError: A file cannot be read or written.
        ModuleNotFoundError: Optuna is not installed; or there is a scheduler, and distributed is
            not.
        TimeoutError: The cluster could not be used for `cluster_timeout` seconds.
    """
    pool = Pool(jobs, None, scheduler, cluster_timeout)
    trials, seeds = count("trials", trials), count("seeds", seeds)
    for name, path in (("storage", storage), ("out", out)):
        instance(name, path, (str, PathLike, type(None)), "a path or None")
    study = plan([agent], env, parameters=None, sweep=None, seeds=seeds, steps=steps, episodes=100)
    if len(study.agents) != 1:
        raise ValueError(f"agent must be one, got {len(study.agents)} in {agent}")
    name = study.agents[0].name
    if isinstance(space, Mapping):
        found = space_of(space, name)
    else:
        spaces = shipped() if space is None else read(Path(space))
        if name not in spaces:
            raise ValueError(
                f"agent {name} has no search space{'' if space is None else f' in {space}'}; "
                f"give a TOML file with a table [{name}]; there are spaces of {', '.join(spaces)}"
            )
        found = spaces[name]
    problem = Problem(study, found, objective, seeds)
    if out is not None:
        prepare_folder(Path(out).parent)
    file = None if storage is None else Path(storage)
    tuning = tuned(problem, trials, pool, file, wanted(progress_bar))
    if out is not None:
        tuning.write(out)
    return tuning


def tuned(
    problem: Problem, trials: int, pool: Pool, storage: Path | None, progress_bar: bool
) -> Tuning:
    """Make the trials of a problem; see `search`."""
    if problem.study.keras_backend is not None:
        pool = replace(pool, environment={"KERAS_BACKEND": problem.study.keras_backend})
    if storage is not None:
        prepare_folder(storage.parent)
    with _progress(problem, trials, progress_bar) as show:
        return search(problem, trials, pool, storage, show)


@contextmanager
def _progress(problem: Problem, trials: int, shown: bool) -> Iterator[Callable[[Tuning], None]]:
    """Yield a function that shows the trials so far."""
    if not shown:
        yield lambda tuning: None
        return
    bar = progress()
    task = bar.add_task(problem.agent.name, total=trials)

    def show(tuning: Tuning) -> None:
        bar.start()  # not before the file is known to be this problem's
        best = tuning.best
        said = "" if best is None else f", best {problem.objective} {best.value:.6g}"
        said = f"tuning {problem.agent.name}{said}"
        bar.update(task, completed=len(tuning.trials), description=said)

    try:
        yield show
    finally:
        bar.stop()


def tuned_study(
    study: Study,
    budget: Mapping[str, Any],
    pool: Pool,
    storage: Path | None,
    progress_bar: bool,
) -> Study:
    """Return a study with its agents tuned for it, each with the same budget.

    An agent without a search space, or of which no trial was finished, stays as it is.

    Args:
        study: The study. Its agents are tuned for the mean score in all its environments.
        budget: `trials` and `seeds` as in `tune`, with the same defaults; `space` is a TOML file of
            search spaces for agents that have none.
        pool: What makes the trials.
        storage: The SQLite file that keeps the trials; None keeps nothing.
        progress_bar: Show how many trials are finished.

    Raises:
        ValueError: The budget is not such a one; also as `tune`.
        OSError: As `tune`.
        ModuleNotFoundError: As `tune`.
        TimeoutError: As `tune`.
    """
    instance("tuned", budget, Mapping, "a mapping such as {'trials': 50}")
    for name in budget:
        one_of("tuned (a key)", name, ("trials", "seeds", "space"))
    trials = count("tuned trials", budget.get("trials", 50))
    seeds = count("tuned seeds", budget.get("seeds", 5))
    spaces = {**shipped(), **(read(Path(budget["space"])) if "space" in budget else {})}
    agents, parameters, remarks = [], {}, []
    for agent in study.agents:
        if agent.name not in spaces:
            agents.append(agent)
            remarks.append(f"not tuned: {agent.name}, which has no search space")
            continue
        alone = replace(
            study,
            agents=(agent,),
            looks=Study.looks,
            keras_backend=study.keras_backend if needs_keras([agent]) else None,
        )
        problem = Problem(alone, spaces[agent.name], "score", seeds)
        best = tuned(problem, trials, pool, storage, progress_bar).best
        if best is None:
            agents.append(agent)
            remarks.append(f"not tuned: {agent.name}, of which no trial was finished")
        else:
            agents.append(with_parameters(agent, best.parameters))
            parameters[agent.name] = tuple(problem.space)
    before = set(not_tuned(study.agents, study.envs))
    kept = [remark for remark in study.remarks if remark not in before]
    return replace(
        study,
        agents=tuple(agents),
        tuned=Tuned(trials, seeds, parameters),
        remarks=(*kept, *not_tuned(agents, study.envs), *remarks),
    )
