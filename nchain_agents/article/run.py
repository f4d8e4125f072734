"""All the experiments, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any, TypeVar

import numpy as np

from nchain_agents.article import networks, published
from nchain_agents.article.parts import Parts
from nchain_agents.article.tables import (
    VERSIONS,
    Advance,
    Maker,
    Tournament,
    TruncationTables,
    tournament,
    truncation,
)
from nchain_agents.deep import fast_cpu
from nchain_agents.presets import problem
from nchain_agents.quiet import import_quietly
from nchain_agents.study.pool import Pool

T = TypeVar("T")

# A function of an experiment's name and length that returns what is called with its progress.
Track = Callable[[str, int], Advance]
# The runs of each version of an experiment, in the order of their seeds.
Runs = dict[str, tuple[networks.Training, ...]]


@dataclass(frozen=True)
class Scale:
    """How long and how many the trainings are; by default as in the articles."""

    rounds: int = published.ROUNDS  # of the tournament
    seeds: int = 10  # of each network on the chain
    grid_world_seeds: int = 10
    cartpole_seeds: int = 3
    network_episodes: int = published.NETWORK_EPISODES  # of the tutorial's network
    step_fraction: float = 1.0  # of the steps of all other trainings
    truncation_pairs: int = 3  # pairs of tables that show the effect of the time limit

    @property
    def whole(self) -> bool:
        """Whether trainings are as long as the articles', so that their results mean something."""
        return self.step_fraction >= 1 and self.network_episodes >= published.NETWORK_EPISODES

    @classmethod
    def quick(cls) -> Scale:
        """Return a scale that shows whether all runs, and no more."""
        return cls(10, 2, 1, 1, 5, 0.02, 1)


@dataclass(frozen=True)
class Reproduction:
    """The results of all experiments."""

    scale: Scale
    seed: int
    backend: str | None  # Keras's; None where the networks were left out
    tournaments: dict[str, Tournament]  # by the version of the learners
    truncation: TruncationTables
    chain: Runs  # empty, as the next two, where the networks were left out
    cartpole: Runs
    grid_world: Runs


@dataclass(frozen=True)
class _Task:
    experiment: str
    version: str
    steps: int
    function: Callable[..., networks.Training]
    arguments: tuple[Any, ...]

    def part(self, backend: str) -> tuple[Any, ...]:
        """Return all that its run depends on."""
        return self.experiment, self.version, self.function.__name__, self.arguments, backend


def reproduce(
    scale: Scale, seed: int, jobs: int, backend: str | None, track: Track, parts: Parts
) -> Reproduction:
    """Run all experiments; a RuntimeError says which training failed.

    Args:
        scale: How long and how many the trainings are.
        seed: The seed of everything random.
        jobs: How many agents learn at a time; results do not depend on it.
        backend: Keras's backend; None leaves out the networks.
        track: Called at the beginning of each experiment.
        parts: Keeps the finished parts.
    """

    def part(
        name: str, total: int, depends: tuple[Any, ...], kind: type[T], make: Callable[[Advance], T]
    ) -> T:
        advance, what = track(name, total), (name, total, *depends)
        found = parts.find(what, kind)
        if found is not None:
            advance(total)
            return found
        made = make(advance)
        parts.keep(what, made)
        return made

    def rounds(makers: dict[str, Maker]) -> Callable[[Advance], Tournament]:
        return lambda advance: tournament(
            makers, scale.rounds, seed=seed, jobs=jobs, advance=advance
        )

    tournaments = {
        version: part(f"tournament, {version}", scale.rounds, (seed,), Tournament, rounds(makers))
        for version, makers in VERSIONS.items()
    }
    episodes = max(int(100 * scale.step_fraction), 1)
    limits = part(
        "time limit",
        scale.truncation_pairs,
        (episodes, seed),
        TruncationTables,
        lambda advance: truncation(scale.truncation_pairs, episodes, seed, advance),
    )
    results: dict[str, Runs] = {"chain": {}, "cartpole": {}, "grid world": {}}
    if backend is not None:
        tasks = _tasks(scale, seed)
        for task, run in zip(tasks, _train(tasks, jobs, backend, track, parts), strict=True):
            runs = results[task.experiment]
            runs[task.version] = (*runs.get(task.version, ()), run)
    return Reproduction(scale, seed, backend, tournaments, limits, *results.values())


def _tasks(scale: Scale, seed: int) -> list[_Task]:
    def seeds(experiment: int, number: int) -> list[int]:
        drawn = np.random.SeedSequence([seed, experiment]).generate_state(number)
        return [int(one) for one in drawn]

    def steps(whole: int) -> int:
        return max(int(whole * scale.step_fraction), 100)

    episodes, short, grid = scale.network_episodes, steps(20_000), steps(problem("gridworld").steps)
    cartpole = [short] * 3 + [steps(problem("cartpole").steps)] * 2
    chain = (
        ("as written", networks.chain_as_written, episodes, episodes * published.STEPS),
        (networks.CARTPOLE[3], networks.chain_corrected, short, short),
    )
    tasks = [
        _Task("chain", version, length, function, (s, argument))
        for s in seeds(2, scale.seeds)
        for version, function, argument, length in chain
    ]
    tasks += [
        _Task("cartpole", version, length, networks.cartpole, (s, version, length))
        for s in seeds(3, scale.cartpole_seeds)
        for version, length in zip(networks.CARTPOLE, cartpole, strict=True)
    ]
    tasks += [
        _Task("grid world", version, grid, networks.grid_world, (s, version, grid))
        for s in seeds(4, scale.grid_world_seeds)
        for version in networks.GRID_WORLD
    ]
    return tasks


def _train(
    tasks: list[_Task], jobs: int, backend: str, track: Track, parts: Parts
) -> list[networks.Training]:
    """Return the run of each task; each is done in a process of its own, with one core."""
    advance = track(f"networks, on {backend}", sum(task.steps for task in tasks))
    runs = {i: parts.find(task.part(backend), networks.Training) for i, task in enumerate(tasks)}
    advance(sum(tasks[i].steps for i, run in runs.items() if run is not None))
    # the long ones first: then no core waits for another at the end
    left = sorted((i for i in runs if runs[i] is None), key=lambda i: -tasks[i].steps)
    pool = Pool(jobs, environment={"KERAS_BACKEND": backend})
    calls = [partial(_quietly, tasks[i]) for i in left]
    with closing(pool.map_unordered(calls)) as results:
        for i, run in results:
            task = tasks[left[i]]
            if not isinstance(run, networks.Training):
                raise RuntimeError(
                    f"{task.experiment}, {task.version}: {run.reason}\n{run.traceback or ''}"
                )
            parts.keep(task.part(backend), run)
            runs[left[i]] = run
            advance(task.steps)
    return [run for run in runs.values() if run is not None]


def _quietly(task: _Task) -> networks.Training:
    # Keras imports TensorFlow, where it is installed, whatever its backend
    import_quietly(name for name in ("keras", "tensorflow") if find_spec(name) is not None)
    fast_cpu()
    return task.function(*task.arguments)
