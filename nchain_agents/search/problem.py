"""What is tuned: an agent, its search space, and what a trial is made of."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from nchain_agents.evaluation import evaluator_of
from nchain_agents.presets import Preset
from nchain_agents.presets.custom import agents_of
from nchain_agents.quiet import import_quietly
from nchain_agents.search.space import Choices, Space, as_data
from nchain_agents.search.trial import Objective
from nchain_agents.study.looks import looks_at
from nchain_agents.study.plan import FIRST_TUNING_SEED, Study, Task
from nchain_env.checks import count, one_of


@dataclass(frozen=True)
class Problem:
    """A problem of tuning.

    Args:
        study: Its only agent is tuned, for its environments, steps and looks.
        space: The hyperparameters that are tuned. The agent has the others.
        objective: What for.
        number_of_seeds: How many seeds each trial has.

    Raises:
        ValueError: The agent does not take a hyperparameter of the space, or an environment does
            not have the objective.
    """

    study: Study
    space: Space
    objective: Objective
    number_of_seeds: int

    def __post_init__(self) -> None:
        import_quietly(self.agent.requires)
        count("seeds", self.number_of_seeds)
        one_of("objective", self.objective, ("score", "regret"))
        first = {
            name: next(iter(values.values.values())) if isinstance(values, Choices) else values.low
            for name, values in self.space.items()
        }
        try:
            agents_of(with_parameters(self.agent, first), {})
        except ValueError as error:
            raise ValueError(f"space: {str(error).removeprefix('agents: ')}") from None
        for env in self.study.envs:
            unknown = math.isnan(evaluator_of(env.make(), self.study.episodes).optimal)
            if unknown and (self.objective == "regret" or len(self.study.envs) > 1):
                raise ValueError(
                    f"objective must be one that the environment has: {env.label} has no reward "
                    "threshold, so it has no score and no regret"
                )

    @property
    def agent(self) -> Preset:
        """The agent as it is before."""
        return self.study.agents[0]

    @property
    def seeds(self) -> range:
        """The seeds of each trial, which no study has."""
        return range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + self.number_of_seeds)

    @cached_property
    def looks(self) -> tuple[int, ...]:
        """The steps of a run at which the agent is evaluated."""
        return looks_at(self.study.looks, self.study.steps)

    @property
    def runs(self) -> int:
        """The number of runs of a trial."""
        return len(self.seeds) * len(self.study.envs)

    def tasks(self, parameters: Mapping[str, Any]) -> tuple[Task, ...]:
        """Return the runs of a trial: all environments, seed by seed."""
        agent = with_parameters(self.agent, parameters)
        study = self.study
        return tuple(
            Task(agent, env, seed, study.steps, self.looks, study.episodes)
            for seed in self.seeds
            for env in study.envs
        )

    @cached_property
    def before(self) -> dict[str, Any] | None:
        """The agent's present values of what is tuned; None where one of them is not in the space.

        A hyperparameter that the agent is not given has its default.
        """
        defaults = {
            name: one.default
            for name, one in inspect.signature(self.agent.load()).parameters.items()
        }
        present = {**defaults, **self.agent.parameters}
        found = {name: present.get(name) for name in self.space}
        return found if all(found[name] in self.space[name] for name in found) else None

    def as_data(self) -> dict[str, Any]:
        """Return what the problem is, as JSON-ready data."""
        data = self.study.as_data()
        (about,) = data.pop("agents").values()
        wanted = {**about, "space": as_data(self.space), "objective": self.objective, **data}
        wanted["seeds"] = self.number_of_seeds
        found: dict[str, Any] = json.loads(json.dumps(wanted, default=repr))
        return found


def with_parameters(agent: Preset, parameters: Mapping[str, Any]) -> Preset:
    """Return an agent with other hyperparameters."""
    return replace(agent, parameters={**agent.parameters, **parameters}, borrowed=False)
