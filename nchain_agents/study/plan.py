"""What a study is: agents, environments, seeds and steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nchain_agents.keras_backend import keras_backend
from nchain_agents.presets import Preset, presets_for
from nchain_agents.study.environments import EnvChoice, environments
from nchain_agents.study.looks import Looks, checked_looks, looks_at
from nchain_env import TabularEnv
from nchain_env.checks import count, fits, instance, integer, whole_steps

if TYPE_CHECKING:
    from nchain_agents.presets.custom import AgentLike

# A number of seeds, which are then 0, 1, ...; or the seeds themselves.
Seeds = int | tuple[int, ...]

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


# The seeds of a study are below it, and those that agents are tuned with are not.
FIRST_TUNING_SEED = 1_000_000


@dataclass(frozen=True)
class Tuned:
    """How agents were tuned before they are compared, all with the same budget.

    Args:
        trials: The number of trials of each agent.
        seeds: The number of seeds of a trial, from FIRST_TUNING_SEED on.
        parameters: The names of the hyperparameters that were tuned, by agent.
    """

    trials: int
    seeds: int
    parameters: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Study:
    """What is compared.

    Args:
        agents: The agents, by different names.
        envs: The environments that each learns in.
        seeds: How many seeds each learns with: 0, 1, ..., seeds - 1; or the seeds.
        steps: How many steps each learns for.
        episodes: How many episodes an evaluation plays where there is no exact answer.
        looks: When each agent is evaluated; see `looks.checked_looks`.
        keras_backend: What Keras runs on; None where no agent needs it.
        remarks: Lines that are printed before the first run, about agents and versions.
        tuned: How the agents were tuned before, None if they were not.
    """

    agents: tuple[Preset, ...]
    envs: tuple[EnvChoice, ...]
    seeds: Seeds
    steps: int
    episodes: int = 100
    looks: Looks = 20
    keras_backend: str | None = None
    remarks: tuple[str, ...] = field(default=(), compare=False)
    tuned: Tuned | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", checked_seeds(self.seeds))
        count("steps", self.steps)
        fits("episodes", self.episodes, 8 * integer("episodes", self.episodes, 2))
        if max(self.every_seed) >= FIRST_TUNING_SEED:
            raise ValueError(
                f"seeds must be below {FIRST_TUNING_SEED}, because agents are tuned with those "
                f"from there on, got {max(self.every_seed)}"
            )
        object.__setattr__(self, "looks", checked_looks(self.looks, self.steps))
        labels = [env.label for env in self.envs]
        if len(set(labels)) < len(labels):
            raise ValueError(f"env must be environments with different labels, got {labels}")
        names = [agent.name for agent in self.agents]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"agents must be at least one, with different names, got {names}")

    @property
    def every_seed(self) -> Sequence[int]:
        """The seeds that each agent learns with."""
        return every_seed(self.seeds)

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """All runs, in the order of the results."""
        looks = looks_at(self.looks, self.steps)
        return tuple(
            Task(agent, env, seed, self.steps, looks, self.episodes)
            for env in self.envs
            for agent in self.agents
            for seed in self.every_seed
        )

    def as_data(self) -> dict[str, Any]:
        """Return what the study is, as JSON-ready data."""
        return {
            "agents": {
                agent.name: {"agent": agent.path, "parameters": agent.parameters}
                for agent in self.agents
            },
            "envs": {env.label: env.as_data() for env in self.envs},
            "seeds": self.seeds,
            "steps": self.steps,
            "episodes": self.episodes,
            "looks": self.looks,
            "keras_backend": self.keras_backend,
        }


def checked_seeds(seeds: Any) -> Seeds:
    """Return the seeds of a study: their number if they are 0, 1, ..., else the seeds themselves.

    Args:
        seeds: A number of seeds; or different seeds, as `range(100, 120)`.

    Raises:
        ValueError: It is neither, or there are more than fit into memory.
    """
    listed = isinstance(seeds, Sequence) and not isinstance(seeds, str | bytes | bytearray)
    if listed or (isinstance(seeds, np.ndarray) and seeds.ndim == 1):
        fits("seeds", seeds, _RUN * len(seeds))
        found = tuple(integer("seeds", seed, 0) for seed in seeds)
        if not found or len(set(found)) < len(found):
            raise ValueError(f"seeds must be at least one, all different, got {seeds!r}")
        return len(found) if found == tuple(range(len(found))) else found
    if isinstance(seeds, str):
        raise ValueError(f"seeds must be a number, or seeds as range(100, 120), got {seeds!r}")
    number = integer("seeds", seeds, 1)
    fits("seeds", seeds, _RUN * number)
    return number


def every_seed(seeds: Seeds | Sequence[int]) -> Sequence[int]:
    """Return the seeds that `checked_seeds` returned as a sequence."""
    return range(seeds) if isinstance(seeds, int) else seeds


def plan(
    agents: AgentLike | Iterable[AgentLike] | None,
    env: Any,
    *,
    parameters: Mapping[str, Any] | None,
    sweep: Mapping[str, Sequence[Any]] | None,
    seeds: Any,
    steps: float,
    episodes: int,
    looks: Any = Study.looks,
) -> Study:
    """Return the study that the arguments of `compare` mean.

    Raises:
        ValueError: A parameter is not allowed.
    """
    from nchain_agents.presets.custom import as_list, check_complete

    given = None if agents is None else as_list(agents)
    instance("parameters", parameters, (Mapping, type(None)), "keyword arguments by name")
    instance("sweep", sweep, (Mapping, type(None)), "lists of values by name")
    for name, values in (sweep or {}).items():
        instance(f"sweep of {name}", values, (Sequence, np.ndarray), "a list of values")
    several = env if isinstance(env, list | tuple) else [env]
    if not several:
        raise ValueError("env must be an environment or several, got none")
    envs = tuple(
        choice for one in several for choice in environments(one, parameters or {}, sweep or {})
    )
    found = chosen(given, envs)
    for agent in found if given is not None else ():
        check_complete(agent)
    return Study(
        found,
        envs,
        seeds,
        whole_steps("steps", steps),
        episodes,
        looks,
        keras_backend() if needs_keras(found) else None,
        (*(_left_out(envs) if given is None else ()), *not_tuned(found, envs)),
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
        names: The agents, each as `custom.agents_of` takes it; None: the presets for the
            environments whose extras are installed.
        envs: The environments that they are to learn in.

    Raises:
        ValueError: A name is unknown, a class is no agent, or two agents have the same name; the
            message says why.
    """
    from nchain_agents.presets.custom import agents_of

    known = known_presets(envs)
    if names is None:
        return tuple(one for one in known.values() if one.installed and not one.by_name_only)
    found: dict[str, Preset] = {}
    for agent in (agent for name in names for agent in agents_of(name, known)):
        if found.setdefault(agent.name, agent) != agent:
            raise ValueError(
                f"agents must have different names, got two with {agent.name!r}; "
                "a TOML file of agents, or a Preset, gives each a name"
            )
    return tuple(found.values())


def _largest_reward(env: EnvChoice) -> float | None:
    """Return the largest reward of an environment with a table, else None."""
    made = env.make()
    made.close()
    inner = made.unwrapped
    return float(inner.mdp.reward.max()) if isinstance(inner, TabularEnv) else None


def _left_out(envs: Sequence[EnvChoice]) -> Iterator[str]:
    """Say which presets are not compared because they are not installed."""
    for preset in known_presets(envs).values():
        if not preset.installed and not preset.by_name_only:
            yield f"left out: {preset.name}, which needs {preset.install_command}"


def not_tuned(agents: Iterable[Preset], envs: Sequence[EnvChoice]) -> Iterator[str]:
    """Say which presets were tuned for another environment than one that they learn in.

    And which agents are told a largest reward that is too small for it.
    """
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
        told: Any = agent.parameters.get("max_reward")
        for env in envs if isinstance(told, int | float) else ():
            largest = _largest_reward(env)
            if largest is not None and largest > told:
                has = f"max_reward = {told:g}, where {env.label} has {largest:g}"
                yield f"told too small a reward: {agent.name}, which has {has}"
