"""The tables of a comparison other than its overviews."""

from __future__ import annotations

from nchain_agents.report.overview import interval_text, number
from nchain_agents.report.table import Folded, Table
from nchain_agents.study.comparison import Comparison


def overall(comparison: Comparison) -> Table | None:
    """Return the scores in all environments, or None for a single environment."""
    summary = comparison.summary
    if len(summary["envs"]) == 1:
        return None
    rows = []
    for agent in comparison.study.agents:
        here = [env_summary["agents"].get(agent.name) for env_summary in summary["envs"]]
        scores = [number(about and about["score"]["iqm"], ".2f") for about in here]
        everywhere = summary["agents"].get(agent.name, {"score": {"iqm": None, "interval": None}})
        score = everywhere["score"]
        rows.append(
            (agent.name, *scores, number(score["iqm"], ".2f"), interval_text(score["interval"]))
        )
    labels = [env.label for env in comparison.study.envs]
    columns = ("agent", *labels, "all together", "95 % interval")
    return Table("Scores in all environments", columns, rows)


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
    return Table("Failed runs", columns, rows, align="left", long=columns[2:3]) if rows else None
