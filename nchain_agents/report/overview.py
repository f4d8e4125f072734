"""What a comparison says in figures: one table for each environment."""

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
        _overview(comparison, section, env)
        for section, env in zip(summary["envs"], study.envs, strict=True)
    ]


def _overview(comparison: Comparison, section: dict[str, Any], env: EnvChoice) -> Table:
    study, label = comparison.study, env.label
    digits = return_digits(section)
    rows = [
        (
            agent,
            number(about["return"]["iqm"], digits),
            number(about["score"]["iqm"], ".2f"),
            interval_text(about["score"]["interval"]),
            _optimal_from(about["optimal_from"]),
            EngFormatter(places=1, sep="")(_speed(comparison, label, agent)),
            _separated(section["best"], agent),
        )
        for agent, about in section["agents"].items()
    ]
    optimum = section["optimal_return"]
    best = "optimal policy" if section["exact"] else "solved"
    references = [
        (best, number(optimum, digits), "100.00"),
        ("uniformly random", number(section["random_return"], digits), "0.00"),
    ]
    if optimum is None:
        references.pop(0)
    seeds = "1 seed" if study.seeds == 1 else f"{study.seeds} seeds"
    few = f", and fewer than {TELLING_SEEDS} never can" if study.seeds < TELLING_SEEDS else ""
    note = (
        f"return: expected return of an episode of the learned greedy policy, {section['how']}; "
        f"score: 100 = {best}, 0 = uniformly random; both are interquartile means over the seeds, "
        "with the score's 95 % bootstrap interval; optimal from: the step from which the policy "
        "stays optimal for the agent's discount, median of the seeds; vs best: the p-value of a "
        "permutation test where it is below 5 %, else a tie: the seeds cannot tell the two apart"
        f"{few}"
    )
    note = "; ".join([note, *remarks(comparison, env)])
    failed = sum(failure["env"] == label for failure in comparison.failures)
    if failed:
        note += f"; {failed} of its runs FAILED and are left out"
    caption = f"{label}, {study.steps:,} steps, {seeds}"
    return Table(caption, HEADER, rows, references, note=note)


def remarks(comparison: Comparison, env: EnvChoice) -> list[str]:
    """Return what is particular to an environment; the note of its table has it too."""
    found = []
    limit = env.parameters.get("max_episode_steps")
    if limit is not None and gym.spec(env.id).max_episode_steps is None:
        found.append(
            f"an episode is cut off after {limit:,} steps: {env.id} has no time limit of its own"
        )
    if isinstance(comparison.evaluators[env.label], ExactEvaluator):
        recurrent = [
            results.agent
            for results in comparison.of_env(env)
            if any(run.policy is None for run in results.runs)
        ]
        if recurrent:
            found.append(
                f"recurrent, so estimated by {comparison.study.episodes} episodes: "
                + ", ".join(recurrent)
            )
    return found


def return_digits(section: dict[str, Any]) -> str:
    """Return how the returns of an environment are written, by the size they have."""
    known = [section["random_return"], section["optimal_return"] or 0.0]
    return ",.1f" if max(map(abs, known)) >= 10 else ".4f"


def number(value: float | None, form: str) -> str:
    """Return a number as text, a dash where there is none."""
    return "-" if value is None else format(value, form)


def interval_text(ends: tuple[float, float] | None) -> str:
    """Return the ends of an interval as text, a dash where there is none."""
    return "-" if ends is None else f"{ends[0]:.1f} to {ends[1]:.1f}"


def _optimal_from(steps: list[int | None] | None) -> str:
    """Return the median over the seeds, in which never is later than ever."""
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
