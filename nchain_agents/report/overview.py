"""The overviews of a comparison: one table for each environment."""

from __future__ import annotations

from statistics import median
from typing import Any

import gymnasium as gym
from matplotlib.ticker import EngFormatter

from nchain_agents.evaluation import ExactEvaluator
from nchain_agents.report.table import Table
from nchain_agents.study.comparison import TELLING_SEEDS, Comparison
from nchain_agents.study.environments import EnvChoice

HEADER = (
    "agent",
    "return",
    "score",
    "95\u00a0% interval",
    "optimal from",
    "steps/s",
    "vs best",
)


def overviews(comparison: Comparison) -> list[Table]:
    """Return one table for each environment."""
    summary, study = comparison.summary, comparison.study
    return [
        _overview(comparison, env_summary, env)
        for env_summary, env in zip(summary["envs"], study.envs, strict=True)
    ]


def _overview(comparison: Comparison, env_summary: dict[str, Any], env: EnvChoice) -> Table:
    study, label = comparison.study, env.label
    digits = return_digits(env_summary)
    rows = [
        (
            agent,
            number(about["return"]["iqm"], digits),
            number(about["score"]["iqm"], ".2f"),
            interval_text(about["score"]["interval"]),
            _optimal_from(about["optimal_from"]),
            EngFormatter(places=1, sep="")(_speed(comparison, label, agent)),
            _separated(env_summary["best"], agent),
        )
        for agent, about in env_summary["agents"].items()
    ]
    optimum = env_summary["optimal_return"]
    best = "optimal policy" if env_summary["exact"] else "solved"
    references = [
        (best, number(optimum, digits), "100.00"),
        ("uniformly random", number(env_summary["random_return"], digits), "0.00"),
    ]
    if optimum is None:
        references.pop(0)
    seeds = "1 seed" if study.seeds == 1 else f"{study.seeds} seeds"
    few = f" (fewer than {TELLING_SEEDS} never do)" if study.seeds < TELLING_SEEDS else ""
    note = (
        "return: expected return of an episode of the learned greedy policy, "
        f"{env_summary['how']}; "
        f"score: 100 = {best}, 0 = uniformly random; both are interquartile means over the seeds, "
        "with the score's 95 % bootstrap interval; optimal from: the step from which on the policy "
        "is optimal for the agent's discount factor, median of the seeds; vs best: the p-value of "
        "a permutation test if it is below 0.05, else tie: the seeds do not separate the two agents"
        f"{few}"
    )
    note = "; ".join([note, *remarks(comparison, env)])
    failed = sum(failure["env"] == label for failure in comparison.failures)
    if failed:
        note += f"; {failed} runs FAILED and are left out"
    caption = f"{label}, {study.steps:,} steps, {seeds}"
    return Table(caption, HEADER, rows, references, note=note)


def remarks(comparison: Comparison, env: EnvChoice) -> list[str]:
    """Return remarks on an environment, which are also in the note of its table."""
    found = []
    limit = env.parameters.get("max_episode_steps")
    if limit is not None and gym.spec(env.id).max_episode_steps is None:
        found.append(
            f"episodes are truncated after {limit:,} steps: {env.id} has no time limit of its own"
        )
    if isinstance(comparison.evaluators[env.label], ExactEvaluator):
        recurrent = [
            results.agent
            for results in comparison.of_env(env)
            if any(run.policy is None for run in results.runs)
        ]
        if recurrent:
            found.append(
                f"estimated by {comparison.study.episodes} episodes, because recurrent: "
                + ", ".join(recurrent)
            )
    return found


def return_digits(env_summary: dict[str, Any]) -> str:
    """Return the format of the returns of an environment, which depends on their size."""
    known = [env_summary["random_return"], env_summary["optimal_return"] or 0.0]
    return ",.1f" if max(map(abs, known)) >= 10 else ".4f"


def number(value: float | None, form: str) -> str:
    """Return a number as text, or a dash for None."""
    return "-" if value is None else format(value, form)


def interval_text(ends: tuple[float, float] | None) -> str:
    """Return the ends of an interval as text, or a dash for None."""
    return "-" if ends is None else f"{ends[0]:.1f} to {ends[1]:.1f}"


def _optimal_from(steps: list[int | None] | None) -> str:
    """Return the median over the seeds as text; None ("never") counts as the largest value."""
    if steps is None:
        return "-"
    ordered = sorted(steps, key=lambda step: float("inf") if step is None else step)
    middle = ordered[len(ordered) // 2]
    return "never" if middle is None else f"{middle:,}"


def _speed(comparison: Comparison, label: str, agent: str) -> float:
    rows = [row for row in comparison.timing if (row["env"], row["agent"]) == (label, agent)]
    return float(median(row["steps_per_second"] for row in rows))


def _separated(best: dict[str, Any], agent: str) -> str:
    if agent == best["agent"]:
        return "best"
    than = best["than"][agent]
    return f"p={than['p_value']:.2g}" if than["separated"] else "tie"
