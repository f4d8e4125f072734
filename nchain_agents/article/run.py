"""All the experiments, one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Any

import numpy as np

from nchain_agents.article import networks, published
from nchain_agents.article.tables import (
    VERSIONS,
    Advance,
    TimeLimit,
    Tournament,
    time_limit,
    tournament,
)
from nchain_agents.deep import fast_cpu
from nchain_agents.presets import problem
from nchain_agents.quiet import ONE_CORE, import_quietly

# Told what begins and how long it is; gives what is to be told how much of it is done.
Track = Callable[[str, int], Advance]
# The runs of each version of an experiment, in the order of their seeds.
Runs = dict[str, tuple[networks.Run, ...]]

# The steps of CartPole's first three versions; the others take their preset's.
_CARTPOLE_STEPS = 20_000


@dataclass(frozen=True)
class Scale:
    """How much is done; by default what the articles do.

    Args:
        rounds: The rounds of the tournament.
        seeds: How often each network is trained on the chain.
        grid_world_seeds: How often in the grid world.
        cartpole_seeds: How often on CartPole.
        network_episodes: The episodes of the tutorial's network.
        share: The share of the other trainings' steps.
        time_limits: How many pairs of tables show what the time limit does.
    """

    rounds: int = published.ROUNDS
    seeds: int = 10
    grid_world_seeds: int = 10
    cartpole_seeds: int = 3
    network_episodes: int = published.NETWORK_EPISODES
    share: float = 1.0
    time_limits: int = 3

    @property
    def whole(self) -> bool:
        """Whether trainings are as long as the articles', so that their results mean something."""
        return self.share >= 1 and self.network_episodes >= published.NETWORK_EPISODES

    @classmethod
    def quick(cls) -> Scale:
        """Return a scale that shows whether all runs, and no more."""
        return cls(10, 2, 1, 1, 5, 0.02, 1)


@dataclass(frozen=True)
class Reproduction:
    """All that came of it.

    Args:
        scale: How much was done.
        seed: What it was repeatable with.
        backend: Keras's backend; None where the networks were left out.
        tournaments: By the version of the learners.
        time_limit: Tables with and without bootstrapping through it.
        chain: The networks on the chain, by their version, as the next two; empty if left out.
        cartpole: On CartPole.
        grid_world: In the grid world.
    """

    scale: Scale
    seed: int
    backend: str | None
    tournaments: dict[str, Tournament]
    time_limit: TimeLimit
    chain: Runs
    cartpole: Runs
    grid_world: Runs


@dataclass(frozen=True)
class _Task:
    experiment: str
    version: str
    steps: int
    function: Callable[..., networks.Run]
    arguments: tuple[Any, ...]


def reproduce(
    scale: Scale, seed: int, jobs: int, backend: str | None, track: Track
) -> Reproduction:
    """Run all experiments.

    Args:
        scale: How much of them.
        seed: Makes it repeatable.
        jobs: How many agents learn at a time; their number changes nothing else.
        backend: Keras's backend; None leaves out the networks.
        track: Told what begins.
    """
    tournaments = {}
    for version, makers in VERSIONS.items():
        advance = track(f"tournament, {version}", scale.rounds)
        tournaments[version] = tournament(
            makers, scale.rounds, seed=seed, jobs=jobs, advance=advance
        )
    advance = track("time limit", scale.time_limits)
    limits = time_limit(scale.time_limits, max(int(100 * scale.share), 1), seed, advance)
    results: dict[str, Runs] = {"chain": {}, "cartpole": {}, "grid world": {}}
    if backend is not None:
        tasks = _tasks(scale, seed)
        for task, run in zip(tasks, _train(tasks, jobs, backend, track), strict=True):
            runs = results[task.experiment]
            runs[task.version] = (*runs.get(task.version, ()), run)
    return Reproduction(scale, seed, backend, tournaments, limits, *results.values())


def _tasks(scale: Scale, seed: int) -> list[_Task]:
    def seeds(experiment: int, number: int) -> list[int]:
        drawn: list[int] = (
            np.random.SeedSequence([seed, experiment]).generate_state(number).tolist()
        )
        return drawn

    def steps(whole: int) -> int:
        return max(int(whole * scale.share), 100)

    tasks = []
    for s in seeds(2, scale.seeds):
        episodes, others = scale.network_episodes, steps(20_000)
        for version, function, arguments, length in (
            ("as written", networks.chain_as_written, (s, episodes), episodes * published.STEPS),
            (networks.CARTPOLE[3], networks.chain_corrected, (s, others), others),
        ):
            tasks.append(_Task("chain", version, length, function, arguments))
    for s in seeds(3, scale.cartpole_seeds):
        for i, version in enumerate(networks.CARTPOLE):
            length = steps(_CARTPOLE_STEPS if i < 3 else problem("cartpole").steps)
            tasks.append(
                _Task("cartpole", version, length, networks.cartpole, (s, version, length))
            )
    for s in seeds(4, scale.grid_world_seeds):
        for version in networks.GRID_WORLD:
            length = steps(problem("gridworld").steps)
            tasks.append(
                _Task("grid world", version, length, networks.grid_world, (s, version, length))
            )
    return tasks


def _train(tasks: list[_Task], jobs: int, backend: str, track: Track) -> list[networks.Run]:
    """Return the run of each task; each is done in a new process, with one core to itself."""
    advance = track(f"networks, on {backend}", sum(task.steps for task in tasks))
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        # the long ones first: then no core waits for another at the end
        submitted = {
            pool.submit(_on_backend, backend, tasks[i]): tasks[i]
            for i in sorted(range(len(tasks)), key=lambda i: -tasks[i].steps)
        }
        try:
            for done in as_completed(submitted):
                done.result()  # an error ends it all now, not at the end
                advance(submitted[done].steps)
        finally:
            pool.shutdown(cancel_futures=True)
    runs = {id(task): done.result() for done, task in submitted.items()}
    return [runs[id(task)] for task in tasks]


def _on_backend(backend: str, task: _Task) -> networks.Run:
    os.environ.update(ONE_CORE, KERAS_BACKEND=backend)
    # Keras imports TensorFlow, where it is installed, whatever its backend
    import_quietly(name for name in ("keras", "tensorflow") if find_spec(name) is not None)
    fast_cpu()
    return task.function(*task.arguments)
