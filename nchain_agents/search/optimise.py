"""The search: what Optuna suggests, batch by batch, is tried by the pool."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from nchain_agents.search.problem import Problem
from nchain_agents.search.result import Tuning
from nchain_agents.search.store import opened
from nchain_agents.search.trial import attempt, least_reports
from nchain_agents.study.pool import Pool

# So many trials are suggested together, whatever the number of jobs.
BATCH = 10


def search(
    problem: Problem,
    trials: int,
    pool: Pool,
    storage: Path | None = None,
    show: Callable[[Tuning], None] = lambda tuning: None,
) -> Tuning:
    """Make the trials that are missing, and return all.

    What a batch tries, and which of its trials are stopped, depends on the batches before it only,
    so the number of jobs changes nothing.

    Args:
        problem: What is tuned.
        trials: How many trials there are to be.
        pool: What makes them.
        storage: The SQLite file that keeps them as they finish; None keeps nothing.
        show: Called with what there is, before the first trial and after each.

    Raises:
        ModuleNotFoundError: Optuna is not installed; also as `Pool.map_unordered`.
        ValueError: The file has trials of another problem, or is no such file.
        OSError: The file cannot be written.
        TimeoutError: As `Pool.map_unordered`.
    """
    with opened(problem, storage) as store:
        done = {n: trial for n, trial in store.finished().items() if n < trials}

        def found() -> Tuning:
            return Tuning(problem, tuple(done[n] for n in sorted(done)))

        show(found())
        for first in range(0, trials, BATCH):
            numbers = range(first, min(first + BATCH, trials))
            left = [n for n in numbers if n not in done]
            earlier = [done[n].reports for n in range(first) if done[n].value is not None]
            least = least_reports(earlier, problem.runs, len(problem.looks))
            calls = [
                partial(attempt, problem.tasks(store.suggested(n)), problem.objective, least)
                for n in left
            ]
            with closing(pool.map_unordered(calls)) as finished:
                for i, outcome in finished:
                    done[left[i]] = store.keep(left[i], outcome)
                    show(found())
        return found()
