"""One trial: an agent with certain hyperparameters learns with each tuning seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Literal

from nchain_agents.study.checkpoint import Checkpoint
from nchain_agents.study.plan import Task
from nchain_agents.study.run import Stop, train

Objective = Literal["score", "regret"]
# The measure of a checkpoint that is the objective; the second one where the first is not known.
_MEASURES: dict[Objective, tuple[str, str]] = {
    "score": ("score", "expected_return"),
    "regret": ("expected_regret", "realised_regret"),
}
# With fewer finished trials, none is stopped.
_ENOUGH = 5


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    Args:
        reports: The values at the looks, run after run. At a look of the k-th run it is the mean
            of the first k runs at that look, so the last one is the mean at the end of all runs.
        stopped: It was worse than the median of others, so it was not finished.
        failure: Why it failed, if it did.
    """

    reports: tuple[float, ...]
    stopped: bool = False
    failure: str | None = None


def better(value: float, other: float, objective: Objective) -> bool:
    """Return whether a value of the objective is better than another one."""
    return value > other if objective == "score" else value < other


def attempt(tasks: Sequence[Task], objective: Objective, least: Sequence[float]) -> Outcome:
    """Make the runs of a trial, one after the other.

    Args:
        tasks: The runs.
        objective: What is tuned for.
        least: The worst reports with which the trial goes on, as `least_reports` returns them.
    """
    reports = _Reports(objective, least)
    for task in tasks:
        reports.begin(task.looks)
        run = train(task, reports.see)
        if run.failure is not None:
            failure = f"{task.key.env}, seed {task.seed}: {run.failure}"
            return Outcome(tuple(reports.all), failure=failure)
        if not reports.stopped:
            reports.end(run.final)
        if reports.stopped:
            return Outcome(tuple(reports.all), stopped=True)
    return Outcome(tuple(reports.all))


class _Reports:
    """The reports of a trial, made as its runs are looked at."""

    def __init__(self, objective: Objective, least: Sequence[float]) -> None:
        self._objective, self._least = objective, least
        self._runs: list[list[float]] = []  # the values at the looks of each run
        self._looks: tuple[int, ...] = ()
        self.all: list[float] = []
        self.stopped = False

    def begin(self, looks: tuple[int, ...]) -> None:
        self._looks = looks
        self._runs.append([])

    def see(self, point: Checkpoint) -> None:
        """Take a checkpoint of the present run; stop the run where the trial is to be stopped."""
        run = self._runs[-1]
        if len(run) < len(self._looks) and point.step == self._looks[len(run)]:
            self._add(point)
        if self.stopped:
            raise Stop

    def end(self, final: Checkpoint) -> None:
        """Take the last checkpoint of a run for the looks that a learner did not reach."""
        while len(self._runs[-1]) < len(self._looks) and not self.stopped:
            self._add(final)

    def _add(self, point: Checkpoint) -> None:
        first, second = (float(getattr(point, name)) for name in _MEASURES[self._objective])
        self._runs[-1].append(second if math.isnan(first) else first)
        i = len(self._runs[-1]) - 1
        self.all.append(mean(run[i] for run in self._runs))
        last = len(self._runs[-1]) == len(self._looks) and len(self.all) == len(self._least)
        worst = self._least[len(self.all) - 1]
        self.stopped = not last and better(worst, self.all[-1], self._objective)


def least_reports(finished: Sequence[Sequence[float]], runs: int, looks: int) -> list[float]:
    """Return the worst reports with which a trial goes on: the medians of the finished trials.

    This is a median stopping rule, from the middle of each run on. NaN where any report will do.

    Args:
        finished: The reports of the trials that were finished.
        runs: The number of runs of a trial.
        looks: The number of looks of a run.

    Source: Golovin et al. 2017, Google Vizier: A Service for Black-Box Optimization (KDD), whose
    rule compares with running averages.
    """
    return [
        median(reports[i] for reports in finished)
        if len(finished) >= _ENOUGH and i % looks >= looks // 2
        else math.nan
        for i in range(runs * looks)
    ]
