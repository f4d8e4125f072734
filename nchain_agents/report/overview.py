"""The overviews of a comparison: one table for each environment."""

from __future__ import annotations

from statistics import median
from typing import Any

from matplotlib.ticker import EngFormatter

from nchain_agents.evaluation import ExactEvaluator
from nchain_agents.report.table import Table
from nchain_agents.study.best import LEVEL, telling_seeds
from nchain_agents.study.comparison import Comparison
from nchain_agents.study.environments import EnvChoice
from nchain_agents.study.plan import Study

HEADER = (
    "agent",
    "return",
    "score",
    "95\u00a0% interval",
    "optimal from",
    "steps/s",
    "vs best",
)
# What a narrow terminal leaves out, the first one first.
DROPPABLE = ("steps/s", "optimal from", HEADER[3], "return", "vs best")


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
            optimal_from(about["optimal_from"]),
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
    note = (
        "return: expected return of an episode of the learned greedy policy, "
        f"{env_summary['how']}; "
        f"score: 100 = {best}, 0 = uniformly random; both are interquartile means over the seeds, "
        "with the score's 95\u00a0% bootstrap interval; optimal from: the step from which on the "
        "policy is optimal for the agent's discount factor, median of the seeds (- without a "
        "discount factor below 1); vs best: the "
        "p-value of a permutation test, adjusted for all pairs of agents, if it is below "
        f"{LEVEL:g}, else tie{few_seeds(env_summary)}"
    )
    note = "; ".join([note, *remarks(comparison, env)])
    failed = sum(failure["env"] == label for failure in comparison.failures)
    if failed:
        note += f"; {failed} runs FAILED and are left out"
    caption = f"{label}, {how_long(study)}"
    return Table(caption, HEADER, rows, references, note=note, droppable=DROPPABLE)


def how_long(study: Study) -> str:
    """Return the numbers of steps and seeds as text."""
    seeds = len(study.every_seed)
    return f"{study.steps:,} steps, {seeds} seed{'s' if seeds > 1 else ''}"


def few_seeds(env_summary: dict[str, Any]) -> str:
    """Return what is said if the seeds are too few to find a difference, else no text."""
    best = env_summary["best"]
    if best is None or not any(than["too_few_seeds"] for than in best["than"].values()):
        return ""
    agents = len(env_summary["agents"])
    needed = telling_seeds(agents)
    with_more = f": {agents} agents need {needed}" if needed else ""
    return f"; too few seeds: with so few no difference can be found{with_more}"


def remarks(comparison: Comparison, env: EnvChoice) -> list[str]:
    """Return remarks on an environment, which are also in the note of its table."""
    found = []
    limit = env.parameters.get("max_episode_steps")
    if limit is not None and env.registration.max_episode_steps is None:
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


def optimal_from(about: dict[str, Any] | None) -> str:
    """Return the median over the seeds as text, or a dash where it is not known."""
    if about is None:
        return "-"
    return "never" if about["median"] is None else f"{about['median']:,}"


def _speed(comparison: Comparison, label: str, agent: str) -> float:
    rows = [row for row in comparison.timing if (row["env"], row["agent"]) == (label, agent)]
    return float(median(row["steps_per_second"] for row in rows))


def _separated(best: dict[str, Any], agent: str) -> str:
    if agent == best["agent"]:
        return "best"
    than = best["than"][agent]
    if than["too_few_seeds"]:
        return "too few seeds"
    return f"p={than['adjusted_p_value']:.2g}" if than["separated"] else "tie"
