"""`compare` and `compare_file`: a whole study in one call, and its report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from nchain_agents.env_argument import EnvLike
from nchain_agents.presets.custom import AgentLike
from nchain_agents.progress import wanted
from nchain_agents.report import outputs
from nchain_agents.report.reports import ComparisonReport
from nchain_agents.study import study_file
from nchain_agents.study.conduct import conduct
from nchain_agents.study.plan import Study, plan
from nchain_agents.study.pool import Pool
from nchain_env.checks import instance


def compare(
    agents: AgentLike | Iterable[AgentLike] | None = None,
    env: EnvLike | Sequence[EnvLike] = "NChain-v0",
    *,
    parameters: Mapping[str, Any] | None = None,
    sweep: Mapping[str, Sequence[Any]] | None = None,
    seeds: int | Sequence[int] = 10,
    steps: float = 20_000,
    episodes: int = 100,
    looks: int | str | Sequence[int] = 20,
    tuned: Mapping[str, Any] | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    jobs: int = 0,
    scheduler: str | None = None,
    cluster_timeout: float = 600.0,
    time_limit: float | None = None,
    progress_bar: bool | None = None,
) -> ComparisonReport:
    """Train agents and compare what they learned, with the exact answer where there is one.

    Args:
        agents: Names of presets or of installed plug-ins, `module:Class`, TOML files of agents,
            or classes with `learn` and `predict`, and `Preset` objects; pairs of one of these and
            its parameters, as `(QLearning, {"epsilon": 0.1})`, or `functools.partial` of a class
            with them. None: the presets for the environment whose extras are installed.
        env: The environment, as `gym.make` takes it, with parameters if any: `NChain-v0 n=8`, or
            `my_module:MyEnv-v0`. One that this program registered needs no module: each process
            gets what was registered. Also an EnvSpec, a function that makes the environment, or a
            TabularMDP, whose time limit is given by the parameter `max_episode_steps`. A list of
            any of these has several; the agents have the settings for the first.
        parameters: More of its keyword arguments.
        sweep: Keyword arguments of several values each: every combination is an environment.
        seeds: How many seeds each agent learns with in each environment: 0, 1, ...; or the seeds,
            as `range(100, 120)`.
        steps: How many steps each learns for.
        episodes: How many episodes an evaluation plays where there is no exact answer.
        looks: How often each is evaluated: a number of looks, at equal distances; "log:20" for 20
            looks whose distances grow in proportion to the step; or the steps themselves. The last
            look is at the end.
        tuned: Tune the agents first, with the same budget each and on other seeds:
            `{"trials": 50, "seeds": 5}`, to which `"space"` may add a TOML file of search spaces
            (see `tune`). An agent without a search space stays as it is. The folder keeps the
            trials in `tuning.sqlite`.
        out: The folder that keeps the runs as they finish, and gets `study.toml`, `results.csv`,
            `timing.csv`, `summary.json`, `learning_curves.png`, `report.html` and, for a sweep over
            one number, `scaling.png`. Called again with the same arguments it makes only the runs
            that are missing or have failed. None keeps nothing.
        resume: Agents, environments or seeds may be added to those of the folder.
        jobs: How many runs at a time; 0: as many as there are cores.
        scheduler: The address of a Dask scheduler, tcp://HOST:PORT, whose workers make the runs;
            None: this machine makes them.
        cluster_timeout: After how many seconds without a scheduler that answers, or without
            workers, a study on a cluster ends; the finished runs are kept.
        time_limit: A run that takes longer, in seconds, fails.
        progress_bar: Show how many runs are finished, after a line for each preset that is left
            out or was tuned for another environment. None: in a terminal and in a notebook.

    Returns:
        The comparison: `results` (rows for `pandas.DataFrame`), `summary`, `timing`, `failures`.
        A run that fails is among these, and ends nothing else.

    Raises:
        ValueError: A parameter is not allowed or cannot be written to `study.toml`, or the folder
            has the runs of another study.
        OSError: A file cannot be written; the finished runs are kept.
        ModuleNotFoundError: There is a scheduler, and distributed is not installed.
        TimeoutError: The cluster could not be used for `cluster_timeout` seconds.
    """
    pool = Pool(jobs, time_limit, scheduler, cluster_timeout)
    study = plan(
        agents,
        env,
        parameters=parameters,
        sweep=sweep,
        seeds=seeds,
        steps=steps,
        episodes=episodes,
        looks=looks,
    )
    if tuned is not None:
        from nchain_agents.tuning import tuned_study

        instance("out", out, (str, PathLike, type(None)), "a path or None")
        storage = None if out is None else Path(out, "tuning.sqlite")
        study = tuned_study(study, tuned, pool, storage, wanted(progress_bar))
    return _compared(study, pool, out, resume, progress_bar)


def compare_file(
    path: Path | str,
    *,
    out: Path | str | None = None,
    resume: bool = False,
    jobs: int = 0,
    scheduler: str | None = None,
    cluster_timeout: float = 600.0,
    time_limit: float | None = None,
    progress_bar: bool | None = None,
) -> ComparisonReport:
    """Make the study that a file describes, as `study.toml` in the folder of a study does.

    Args:
        path: The file: it says agents, environments, seeds, steps, episodes and looks.
        out: This and the other arguments are as `compare` has them.
        resume: See `compare`.
        jobs: See `compare`.
        scheduler: See `compare`.
        cluster_timeout: See `compare`.
        time_limit: See `compare`.
        progress_bar: See `compare`.

    Returns:
        The comparison, as `compare` returns it.

    Raises:
        ValueError: The file does not describe a study that can be made here; also as `compare`.
        OSError: The file cannot be read; also as `compare`.
        ModuleNotFoundError: As `compare`.
        TimeoutError: As `compare`.
    """
    instance("path", path, (str, PathLike), "the path of a study file")
    pool = Pool(jobs, time_limit, scheduler, cluster_timeout)
    return _compared(study_file.read(Path(path)), pool, out, resume, progress_bar)


def _compared(
    study: Study, pool: Pool, out: Path | str | None, resume: bool, progress_bar: bool | None
) -> ComparisonReport:
    instance("out", out, (str, PathLike, type(None)), "a path or None")
    folder = None if out is None else Path(out)
    comparison = conduct(study, pool, folder, resume, wanted(progress_bar))
    if folder is not None:
        outputs.write(folder, comparison)
    return ComparisonReport.of_comparison(comparison)
