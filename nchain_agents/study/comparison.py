"""The results of a study, as rows and as a summary."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean, median
from typing import Any

import numpy as np

from nchain_agents.evaluation import Evaluator, ExactEvaluator, evaluator_of
from nchain_agents.study.environments import EnvChoice
from nchain_agents.study.plan import RunKey, Study
from nchain_agents.study.run import Run
from nchain_agents.study.uncertainty import (
    improvement_interval,
    interquartile_mean,
    interval,
    p_value,
    probability_of_improvement,
)

# Two agents differ where the p-value is below this.
LEVEL = 0.05
# With fewer seeds each, no p-value is below it: three against three have at least 2 / 20.
TELLING_SEEDS = 4


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

        No value depends on a clock, so equal studies give equal rows.
        """
        return [
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
            agent.name: {"score": _spread(scores, rng)}
            for agent in self.study.agents
            if (scores := self._scores_everywhere(agent.name))
        }
        if len(envs) == 1:  # the same resamples, so the same intervals
            overall = {name: {"score": envs[0]["agents"][name]["score"]} for name in overall}
        return {
            "envs": envs,
            "agents": overall,
            "steps": self.study.steps,
            "seeds": list(range(self.study.seeds)),
            "failures": self.failures,
        }

    def _scores_everywhere(self, agent: str) -> list[list[float]]:
        """Return an agent's final scores, one list an environment, none if they are not known."""
        found = [
            results.final("score")
            for env in self.study.envs
            for results in self.of_env(env)
            if results.agent == agent
        ]
        return found if all(found) and np.isfinite(np.concatenate(found)).all() else []

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
                    "score": _spread([results.final("score")], rng),
                    "reward_per_step": _spread([results.final("reward_per_step")], rng),
                    "realised_regret": _spread([results.final("realised_regret")], rng),
                    "expected_regret": _spread([results.final("expected_regret")], rng),
                    "gain_regret": _spread([results.final("gain_regret")], rng),
                    "q_error": _spread([results.final("q_error")], rng),
                    "optimal_from": (
                        None  # not known without a model or a discount
                        if results.runs[0].final.optimal is None
                        else [run.optimal_from for run in results.runs]
                    ),
                }
                for results in agents
            },
            "best": _beside_the_best(agents, rng),
        }


def _beside_the_best(agents: Sequence[Results], rng: np.random.Generator) -> dict[str, Any] | None:
    """Compare the agent of the largest interquartile mean return with each of the others."""
    if not agents:
        return None
    values = {results.agent: results.final("expected_return") for results in agents}
    best = max(values, key=lambda agent: interquartile_mean(values[agent]))
    beside = {}
    for agent in values:
        if agent == best:
            continue
        x, y = [values[best]], [values[agent]]
        p = p_value(x, y, rng)
        beside[agent] = {
            "probability_of_improvement": probability_of_improvement(x, y),
            "interval": improvement_interval(x, y, rng),
            "p_value": p,
            "separated": p < LEVEL,
        }
    return {"agent": best, "than": beside}


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


def _last_step(run: Run) -> int:
    return run.final.step if run.checkpoints else 0


def pending(study: Study, done: Iterable[Run]) -> list[RunKey]:
    """Return the keys of the runs that are missing or have failed."""
    finished = {run.key for run in done if run.failure is None}
    return [task.key for task in study.tasks if task.key not in finished]
