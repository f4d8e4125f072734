"""What a study's runs say, agent by agent."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from nchain_agents.evaluation import Yardstick
from nchain_agents.study.run import Run, Study


@dataclass(frozen=True)
class AgentSummary:
    """All runs of one agent, ordered by seed."""

    agent: str
    runs: tuple[Run, ...]

    @property
    def returns(self) -> list[float]:
        """The exact return of the learned greedy policy, by seed."""
        return [run.final.expected_return for run in self.runs]

    @property
    def scores(self) -> list[float]:
        """Its score, by seed."""
        return [run.final.score for run in self.runs]

    @property
    def rewards_per_step(self) -> list[float]:
        """The reward a step while learning, by seed."""
        return [run.final.reward_per_step for run in self.runs]

    @property
    def steps_per_second(self) -> list[float]:
        """The speed of training, by seed."""
        return [run.steps_per_second for run in self.runs]


def by_agent(study: Study, runs: Iterable[Run]) -> list[AgentSummary]:
    """Return the runs of each agent, in the study's order, whatever order they finished in."""
    finished = list(runs)
    return [
        AgentSummary(
            preset.name,
            tuple(sorted((r for r in finished if r.agent == preset.name), key=lambda r: r.seed)),
        )
        for preset in study.agents
    ]


def as_data(study: Study, yardstick: Yardstick, agents: list[AgentSummary]) -> dict[str, Any]:
    """Return the summary as JSON-ready data; nothing in it depends on clocks."""
    return {
        "env": "NChain-v0",
        "parameters": study.chain,
        "steps": study.steps,
        "seeds": list(range(study.seeds)),
        "optimal_return": yardstick.optimal,
        "random_return": yardstick.random,
        "agents": {
            summary.agent: {
                "return": _spread(summary.returns),
                "score": _spread(summary.scores),
                "reward_per_step": _spread(summary.rewards_per_step),
            }
            for summary in agents
        },
    }


def _spread(values: list[float]) -> dict[str, Any]:
    # JSON has no NaN: the score where all policies earn the same is null
    known = [None if math.isnan(value) else value for value in values]
    if None in known:
        return {"mean": None, "median": None, "min": None, "max": None, "by_seed": known}
    return {
        "mean": mean(values),
        "median": median(values),
        "min": min(values),
        "max": max(values),
        "by_seed": values,
    }
