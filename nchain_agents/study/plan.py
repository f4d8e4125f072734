"""What a study is: agents, environments, seeds and steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from nchain_agents.keras_backend import keras_backend
from nchain_agents.presets import Preset, presets_for
from nchain_agents.study.environments import EnvChoice, environments
from nchain_agents.study.looks import Looks, checked_looks, looks_at
from nchain_env.checks import count, fits, instance, integer, whole_steps

# The least memory that a run needs, in bytes.
_RUN = 100


class RunKey(NamedTuple):
    """What identifies a run of a study."""

    env: str  # its label
    agent: str  # its name
    seed: int


@dataclass(frozen=True)
class Task:
    """A run that is to be made: an agent learns in an environment with one seed."""

    agent: Preset
    env: EnvChoice
    seed: int
    steps: int
    looks: tuple[int, ...]  # the steps at which the agent is evaluated
    episodes: int

    @property
    def key(self) -> RunKey:
        """What identifies it in its study."""
        return RunKey(self.env.label, self.agent.name, self.seed)


@dataclass(frozen=True)
class Study:
    """What is compared.

    Args:
        agents: The agents, by different names.
        envs: The environments that each learns in.
        seeds: How many seeds each learns with: 0, 1, ..., seeds - 1.
        steps: How many steps each learns for.
        episodes: How many episodes an evaluation plays where there is no exact answer.
        looks: When each agent is evaluated; see `looks.checked_looks`.
        keras_backend: What Keras runs on; None where no agent needs it.
        remarks: Lines that are printed before the first run, about agents and versions.
    """

    agents: tuple[Preset, ...]
    envs: tuple[EnvChoice, ...]
    seeds: int
    steps: int
    episodes: int = 100
    looks: Looks = 20
    keras_backend: str | None = None
    remarks: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        fits("seeds", self.seeds, _RUN * integer("seeds", self.seeds, 1))
        count("steps", self.steps)
        fits("episodes", self.episodes, 8 * integer("episodes", self.episodes, 2))
        object.__setattr__(self, "looks", checked_looks(self.looks, self.steps))
        names = [agent.name for agent in self.agents]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"agents must be at least one, with different names, got {names}")

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """All runs, in the order of the results."""
        looks = looks_at(self.looks, self.steps)
        return tuple(
            Task(agent, env, seed, self.steps, looks, self.episodes)
            for env in self.envs
            for agent in self.agents
            for seed in range(self.seeds)
        )

    def as_data(self) -> dict[str, Any]:
        """Return what the study is, as JSON-ready data."""
        return {
            "agents": {
                agent.name: {"agent": agent.path, "parameters": agent.parameters}
                for agent in self.agents
            },
            "envs": {env.label: {"id": env.id, "parameters": env.parameters} for env in self.envs},
            "seeds": self.seeds,
            "steps": self.steps,
            "episodes": self.episodes,
            "looks": self.looks,
            "keras_backend": self.keras_backend,
        }


def plan(
    agents: str | Iterable[str | type | Preset] | None,
    env: Any,
    *,
    parameters: Mapping[str, Any] | None,
    sweep: Mapping[str, Sequence[Any]] | None,
    seeds: int,
    steps: float,
    episodes: int,
    looks: Any = Study.looks,
) -> Study:
    """Return the study that the arguments of `compare` mean.

    Raises:
        ValueError: A parameter is not allowed.
    """
    if isinstance(agents, str):
        agents = [agents]
    if agents is not None:
        try:
            agents = list(agents)
        except TypeError:
            raise ValueError(f"agents must be names, classes or presets, got {agents!r}") from None
    instance("parameters", parameters, (Mapping, type(None)), "keyword arguments by name")
    instance("sweep", sweep, (Mapping, type(None)), "lists of values by name")
    for name, values in (sweep or {}).items():
        instance(f"sweep of {name}", values, (Sequence, np.ndarray), "a list of values")
    envs = environments(env, parameters or {}, sweep or {})
    found = chosen(agents, envs)
    return Study(
        found,
        envs,
        seeds,
        whole_steps("steps", steps),
        episodes,
        looks,
        keras_backend() if needs_keras(found) else None,
        (*(_left_out(envs) if agents is None else ()), *not_tuned(found, envs)),
    )


def needs_keras(agents: Iterable[Preset]) -> bool:
    """Whether any of the agents runs on Keras."""
    return any("keras" in agent.requires for agent in agents)


def known_presets(envs: Sequence[EnvChoice]) -> dict[str, Preset]:
    """Return the presets for the environments of a study, by name.

    An agent has the same settings in all of them: those for the first one.
    """
    return presets_for(envs[0].id, envs[0].parameters)


def chosen(names: Iterable[Any] | None, envs: Sequence[EnvChoice]) -> tuple[Preset, ...]:
    """Return the agents that a user names.

    Args:
        names: Names of presets or of installed plug-ins, `module:Class`, TOML files, classes, or
            `Preset` objects; None: the presets for the environments whose extras are installed.
        envs: The environments that they are to learn in.

    Raises:
        ValueError: A name is unknown, or a class is no agent; the message says why.
    """
    from nchain_agents.presets.custom import agents_of

    known = known_presets(envs)
    if names is None:
        return tuple(one for one in known.values() if one.installed and not one.by_name_only)
    found = [agent for name in names for agent in agents_of(name, known)]
    return tuple({agent.name: agent for agent in found}.values())


def _left_out(envs: Sequence[EnvChoice]) -> Iterator[str]:
    """Say which presets are not compared because they are not installed."""
    for preset in known_presets(envs).values():
        if not preset.installed and not preset.by_name_only:
            yield f"left out: {preset.name}, which needs {preset.install_command}"


def not_tuned(agents: Iterable[Preset], envs: Sequence[EnvChoice]) -> Iterator[str]:
    """Say which presets were tuned for another environment than one that they learn in."""
    others = [(env.label, presets_for(env.id, env.parameters)) for env in envs[1:]]
    known = known_presets(envs)
    for agent in agents:
        if agent.borrowed:
            settings = "its settings for the chain"
            yield f"not tuned for {envs[0].id}: {agent.name}, which has {settings}"
        elif agent == known.get(agent.name):
            for label, tuned in others:
                if agent.name in tuned and tuned[agent.name].parameters != agent.parameters:
                    settings = f"its settings for {envs[0].label}"
                    yield f"not tuned for {label}: {agent.name}, which has {settings}"
