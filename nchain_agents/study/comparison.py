"""The results of a study, as rows and as a summary."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from numbers import Number
from statistics import mean, median
from typing import Any

import numpy as np
from scipy.integrate import trapezoid

from nchain_agents.env_argument import as_text
from nchain_agents.evaluation import Evaluator, ExactEvaluator, evaluator_of
from nchain_agents.study.best import beside_the_best
from nchain_agents.study.environments import EnvChoice
from nchain_agents.study.plan import RunKey, Study
from nchain_agents.study.run import Run
from nchain_agents.study.uncertainty import (
    interquartile_mean,
    interval,
    performance_profile,
)

# The scores at which the summary has the performance profile.
THRESHOLDS = (*range(0, 100, 5), 99)


@dataclass(frozen=True)
class Results:
    """The finished runs of one agent in one environment, ordered by seed."""

    agent: str
    runs: tuple[Run, ...]

    def final(self, measure: str) -> list[float]:
        """Return a measure at the end, by seed."""
        return [getattr(run.final, measure) for run in self.runs]


@dataclass(frozen=True, repr=False)
class Comparison:
    """A finished study.

    Args:
        study: What was compared.
        runs: All its runs, those that failed among them, in the order of `study.tasks`.
    """

    study: Study
    runs: tuple[Run, ...]

    def __repr__(self) -> str:
        agents = ", ".join(agent.name for agent in self.study.agents)
        envs = ", ".join(env.label for env in self.study.envs)
        return (
            f"<Comparison of {agents} on {envs}: {len(self.runs)} runs, "
            f"{len(self.failures)} failed>"
        )

    @classmethod
    def of(cls, study: Study, runs: dict[RunKey, Run]) -> Comparison:
        """Return the comparison of a study from its runs by key."""
        return cls(study, tuple(runs[task.key] for task in study.tasks))

    @cached_property
    def failures(self) -> list[dict[str, Any]]:
        """One row for each run that failed, with the reason."""
        return [
            {**run.key._asdict(), "step": _last_step(run), "failure": run.failure}
            for run in self.runs
            if run.failure is not None
        ]

    @property
    def tracebacks(self) -> list[str | None]:
        """The traceback of each of the failures, None where no exception was raised."""
        return [run.traceback for run in self.runs if run.failure is not None]

    @cached_property
    def results(self) -> list[dict[str, Any]]:
        """One row for each checkpoint of each run that did not fail; `pandas.DataFrame` takes it.

        Each parameter of the environments has a column, with None where one was not given it. No
        value depends on a clock, so equal studies give equal rows.
        """
        rows: list[dict[str, Any]] = [
            {
                "agent": run.key.agent,
                "env": run.key.env,
                "seed": run.key.seed,
                "step": point.step,
                "return": point.expected_return,
                "score": point.score,
                "reward_per_step": point.reward_per_step,
                "realised_regret": point.realised_regret,
                "expected_regret": point.expected_regret,
                "gain_regret": point.gain_regret,
                "q_error": point.q_error,
                "standard_error": point.standard_error,
            }
            for run in self.runs
            if run.failure is None
            for point in run.checkpoints
        ]
        given = {env.label: env.parameters for env in self.study.envs}
        names = dict.fromkeys(name for parameters in given.values() for name in parameters)
        return [
            row
            | {
                f"env_{name}" if name in row else name: _cell(given[row["env"]].get(name))
                for name in names
            }
            for row in rows
        ]

    @cached_property
    def timing(self) -> list[dict[str, Any]]:
        """One row for each run that did not fail: how long the learning took."""
        return [
            {
                "agent": run.key.agent,
                "env": run.key.env,
                "seed": run.key.seed,
                "steps": run.final.step,
                "seconds": run.seconds,
                "steps_per_second": run.steps_per_second,
            }
            for run in self.runs
            if run.failure is None
        ]

    @cached_property
    def evaluators(self) -> dict[str, Evaluator]:
        """The evaluator of each environment, by its label."""
        return {env.label: evaluator_of(env.make(), self.study.episodes) for env in self.study.envs}

    def of_env(self, env: EnvChoice) -> list[Results]:
        """Return the runs in one environment that did not fail, agent by agent."""
        return [
            Results(
                agent.name,
                tuple(
                    run
                    for run in self.runs
                    if run.failure is None and run.key[:2] == (env.label, agent.name)
                ),
            )
            for agent in self.study.agents
        ]

    @cached_property
    def summary(self) -> dict[str, Any]:
        """All figures, ready for JSON; docs/measures.md defines each.

        `envs` has the figures of each environment, and `agents` each agent's score over all of
        them.
        """
        # A fixed seed, so that equal studies give equal figures.
        rng = np.random.default_rng(0)
        envs = [self._summary_of(env, rng) for env in self.study.envs]
        overall = {
            agent.name: _scores(everywhere, rng)
            for agent in self.study.agents
            if (everywhere := self.everywhere(agent.name))
        }
        if len(envs) == 1:  # the same resamples, so the same intervals
            here = envs[0]["agents"]
            overall = {
                name: {measure: here[name][measure] for measure in measures}
                for name, measures in overall.items()
            }
        return {
            "envs": envs,
            "agents": overall,
            "steps": self.study.steps,
            "seeds": list(self.study.every_seed),
            "failures": self.failures,
            **({} if self.study.tuned is None else {"tuned": vars(self.study.tuned)}),
        }

    def everywhere(self, agent: str) -> list[Results]:
        """Return an agent's results in all environments, none if it has no score in one of them."""
        found = [
            results
            for env in self.study.envs
            for results in self.of_env(env)
            if results.agent == agent
        ]
        scored = all(one.runs and np.isfinite(one.final("score")).all() for one in found)
        return found if scored else []

    def _summary_of(self, env: EnvChoice, rng: np.random.Generator) -> dict[str, Any]:
        measure = self.evaluators[env.label]
        agents = [results for results in self.of_env(env) if results.runs]
        return {
            "env": env.id,
            "parameters": env.parameters,
            "exact": isinstance(measure, ExactEvaluator),
            "how": measure.how,
            "optimal_return": _known(measure.optimal),
            "random_return": measure.random,
            "agents": {
                results.agent: {
                    "return": _spread([results.final("expected_return")], rng),
                    **_scores([results], rng),
                    "reward_per_step": _spread([results.final("reward_per_step")], rng),
                    "realised_regret": _spread([results.final("realised_regret")], rng),
                    "expected_regret": _spread([results.final("expected_regret")], rng),
                    "gain_regret": _spread([results.final("gain_regret")], rng),
                    "q_error": _spread([results.final("q_error")], rng),
                    "optimal_from": (
                        None  # not known without a model or a discount
                        if results.runs[0].final.optimal is None
                        else _middle([run.optimal_from for run in results.runs], rng)
                    ),
                }
                for results in agents
            },
            "best": beside_the_best(
                {results.agent: results.final("expected_return") for results in agents}, rng
            ),
        }


def area_under_curve(run: Run) -> float:
    """Return the mean score from the first checkpoint to the last, by the trapezoidal rule."""
    steps = [point.step for point in run.checkpoints]
    scores = [point.score for point in run.checkpoints]
    if len(steps) == 1:
        return scores[0]
    return float(trapezoid(scores, steps)) / (steps[-1] - steps[0])


def _scores(everywhere: Sequence[Results], rng: np.random.Generator) -> dict[str, Any]:
    """Return the figures of an agent's scores, which can be averaged over environments."""
    score = _spread([results.final("score") for results in everywhere], rng)
    known = None not in score["by_seed"]
    return {
        "score": score,
        "area_under_curve": _spread(
            [[area_under_curve(run) for run in results.runs] for results in everywhere], rng
        ),
        "profile": _profile([results.final("score") for results in everywhere]) if known else None,
    }


def _profile(scores: Sequence[Sequence[float]]) -> dict[str, list[float]]:
    fractions = performance_profile(scores, THRESHOLDS)
    return {"thresholds": list(THRESHOLDS), "fractions": fractions.tolist()}


def _middle(steps: Sequence[int | None], rng: np.random.Generator) -> dict[str, Any]:
    """Return the median of numbers of steps and its interval; None is later than any number.

    Of an even number the larger one of the two in the middle is taken: there may be no mean.
    """
    never = 1 + max((step for step in steps if step is not None), default=0)
    values = [never if step is None else step for step in steps]
    higher = partial(np.quantile, q=0.5, method="higher")
    ends = interval([values], higher, rng)

    def known(value: float) -> int | None:
        return None if value >= never else int(value)

    return {
        "median": known(float(higher(values))),
        "interval": None if ends is None else [known(end) for end in ends],
        "by_seed": list(steps),
    }


def _spread(strata: Sequence[Sequence[float]], rng: np.random.Generator) -> dict[str, Any]:
    """Return the averages of values by seed, in one list for each environment."""
    values = [value for stratum in strata for value in stratum]
    by_seed = [_known(value) for value in values]
    if None in by_seed:  # JSON has no NaN: the score where all policies earn the same is null
        names = ("mean", "median", "iqm", "interval", "min", "max")
        return {**dict.fromkeys(names), "by_seed": by_seed}
    return {
        "mean": mean(values),
        "median": median(values),
        "iqm": interquartile_mean(values),
        "interval": interval(strata, interquartile_mean, rng),
        "min": min(values),
        "max": max(values),
        "by_seed": by_seed,
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _cell(value: Any) -> Any:
    """Return a parameter's value as it stands in a row: what is no single value as text."""
    return value if value is None or isinstance(value, Number) else as_text(value)


def _last_step(run: Run) -> int:
    return run.final.step if run.checkpoints else 0


def pending(study: Study, done: Iterable[Run]) -> list[RunKey]:
    """Return the keys of the runs that are missing or have failed."""
    finished = {run.key for run in done if run.failure is None}
    return [task.key for task in study.tasks if task.key not in finished]
