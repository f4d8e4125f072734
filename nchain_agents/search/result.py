"""What tuning found: its trials, and the agent with the best hyperparameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import tomlkit

from nchain_agents import toml
from nchain_agents.files import write_text
from nchain_agents.presets import Preset
from nchain_agents.search.problem import Problem, with_parameters
from nchain_agents.search.trial import better
from nchain_agents.study.versions import versions


@dataclass(frozen=True)
class Trial:
    """What came of certain hyperparameters.

    Args:
        number: 0 for the first.
        parameters: The values of what is tuned.
        reports: The objective at the looks; see `Outcome`.
        stopped: It was worse than the median of others, so it was not finished.
        failure: Why it failed, if it did.
    """

    number: int
    parameters: dict[str, Any]
    reports: Sequence[float]
    stopped: bool = False
    failure: str | None = None

    @property
    def value(self) -> float | None:
        """The objective at the end, mean of the runs; None if it was not finished."""
        return None if self.stopped or self.failure is not None else self.reports[-1]


@dataclass(frozen=True, repr=False)
class Tuning:
    """The trials of an agent.

    Args:
        problem: What was tuned.
        trials: What was tried, by number.
    """

    problem: Problem
    trials: tuple[Trial, ...]

    def __repr__(self) -> str:
        where = ", ".join(env.label for env in self.problem.study.envs)
        value = "none finished" if self.best is None else f"best {self.best.value:.6g}"
        return (
            f"<Tuning of {self.problem.agent.name} on {where}: {len(self.trials)} trials, "
            f"{self.problem.objective} {value}>"
        )

    @cached_property
    def best(self) -> Trial | None:
        """The best trial, the first one among equals; None if none was finished."""
        found: Trial | None = None
        for trial in self.trials:
            if trial.value is not None and (
                found is None
                or found.value is None
                or better(trial.value, found.value, self.problem.objective)
            ):
                found = trial
        return found

    @property
    def before(self) -> Trial | None:
        """The trial of the agent as it was; None if the space does not contain its values."""
        return self.trials[0] if self.trials and self.problem.before is not None else None

    @property
    def agent(self) -> Preset:
        """The agent with the best hyperparameters, as `compare` takes it.

        Raises:
            ValueError: No trial was finished.
        """
        agent = self.problem.agent
        if self.best is None:
            reasons = [f": {trial.failure}" for trial in self.trials if trial.failure is not None]
            raise ValueError(f"no trial of {agent.name} was finished{''.join(reasons[:1])}")
        tuned = with_parameters(agent, self.best.parameters)
        return replace(tuned, name=f"{agent.name}-tuned", by_name_only=False)

    @property
    def summary(self) -> dict[str, Any]:
        """What was tuned and found, ready for JSON."""
        return {
            "problem": self.problem.as_data(),
            "first_tuning_seed": self.problem.seeds[0],
            "best": None if self.best is None else self.best.number,
            "before": None if self.before is None else self.before.number,
            "trials": [
                {
                    "number": trial.number,
                    "parameters": trial.parameters,
                    "value": trial.value,
                    "stopped": trial.stopped,
                    "failure": trial.failure,
                }
                for trial in self.trials
            ],
        }

    def write(self, path: Path | str) -> None:
        """Write the agent to a TOML file, which `nchain compare --agents` reads.

        Raises:
            OSError: It cannot be written.
            ValueError: No trial was finished, or TOML cannot say a hyperparameter, or the agent is
                defined in no module.
        """
        agent, study = self.agent, self.problem.study
        if not isinstance(agent.agent, str):
            raise ValueError(f"out must not be given: {agent.path} is defined in this program only")
        assert self.best is not None
        objective = f"{self.problem.objective} {self.best.value:.6g}"
        seeds = f"seeds {self.problem.seeds[0]} to {self.problem.seeds[-1]}"
        document = tomlkit.document()
        for line in (
            f"nchain tune {self.problem.agent.name} on {', '.join(e.label for e in study.envs)}",
            f"{objective}, the best of {len(self.trials)} trials of {study.steps:,} steps, {seeds}",
            ", ".join(f"{name} {version}" for name, version in versions(study).items()),
        ):
            document.add(tomlkit.comment(line))
        document[agent.name] = entry = tomlkit.table()
        entry["agent"] = agent.path
        entry["parameters"] = toml.table(agent.parameters, agent.name)
        write_text(Path(path), tomlkit.dumps(document))
