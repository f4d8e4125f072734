"""The tables of a comparison other than its overviews."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nchain_agents.report.overview import few_seeds, how_long, number, optimal_from, remarks
from nchain_agents.report.table import Folded, Table
from nchain_agents.study.best import LEVEL
from nchain_agents.study.comparison import Comparison
from nchain_agents.study.environments import apart

MEDIAN = (
    "steps: the step from which on the policy is optimal for the agent's discount factor, median "
    "of the seeds"
)


def of_all_environments(comparison: Comparison) -> list[Table]:
    """Return the scores and the steps to the optimal policy, a row for each environment.

    Return no tables for a single environment.
    """
    envs, study = comparison.summary["envs"], comparison.study
    if len(envs) == 1:
        return []
    apart_by = apart(study.envs)
    agents = [agent.name for agent in study.agents]
    columns = (apart_by.what, *agents)

    def rows(cell: Callable[[dict[str, Any], str], str]) -> list[tuple[str, ...]]:
        return [
            (name, *(cell(env, agent) if agent in env["agents"] else "-" for agent in agents))
            for name, env in zip(apart_by.names, envs, strict=True)
        ]

    everywhere = [comparison.summary["agents"].get(agent) for agent in agents]
    of_all = [one and one["score"] for one in everywhere]
    references = [("all", *(number(one and one["iqm"], ".2f") for one in of_all))]
    for i, name in enumerate(("95 % from", "to")):
        ends = [one and one["interval"] and one["interval"][i] for one in of_all]
        references.append((name, *(number(end, ".2f") for end in ends)))
    where = ", ".join(filter(None, (apart_by.common, how_long(study))))
    tables = [Table(f"Scores, {where}", columns, rows(_score), references, note=_note(comparison))]
    if any(about["optimal_from"] for env in envs for about in env["agents"].values()):
        found = rows(lambda env, agent: optimal_from(env["agents"][agent]["optimal_from"]))
        tables.append(Table(f"Steps to the optimal policy, {where}", columns, found, note=MEDIAN))
    return tables


def _score(env: dict[str, Any], agent: str) -> str:
    smaller = agent in _than(env) and _than(env)[agent]["separated"]
    return "*" * smaller + number(env["agents"][agent]["score"]["iqm"], ".2f")


def _than(env: dict[str, Any]) -> dict[str, Any]:
    """Return the agents that were compared with the best one, and what was found."""
    than: dict[str, Any] = {} if env["best"] is None else env["best"]["than"]
    return than


def _note(comparison: Comparison) -> str:
    envs, study = comparison.summary["envs"], comparison.study
    parts = [
        "score: 100 = optimal policy, or what counts as solved, 0 = uniformly random; "
        "interquartile mean over the seeds; all: over the seeds of all environments, with its "
        "95\u00a0% bootstrap interval",
        *(
            [
                "*: a smaller return than that of the best agent there (permutation test, "
                f"p < {LEVEL:g}, adjusted for all pairs of agents)"
            ]
            if any(than["separated"] for env in envs for than in _than(env).values())
            else []
        ),
        *(text.removeprefix("; ") for env in envs if (text := few_seeds(env))),
        *(f"{env.label}: {remark}" for env in study.envs for remark in remarks(comparison, env)),
    ]
    if comparison.failures:
        parts.append(f"{len(comparison.failures)} runs FAILED and are left out")
    return "; ".join(dict.fromkeys(parts))


def failures(comparison: Comparison) -> Table | None:
    """Return the failed runs with the reasons, or None if no run failed."""
    failed = list(zip(comparison.failures, comparison.tracebacks, strict=True))
    rows = [
        (
            one["agent"],
            str(one["seed"]),
            one["failure"] if trace is None else Folded(one["failure"], trace, "Traceback"),
            f"{one['step']:,}",
            one["env"],
        )
        for one, trace in failed
    ]
    columns = ("agent", "seed", "reason", "last seen at step", "environment")
    if not rows:
        return None
    droppable = ("last seen at step", "environment")
    return Table("Failed runs", columns, rows, align="left", long=("reason",), droppable=droppable)
