"""Named, tuned configurations, as data: an agent's class and its hyperparameters."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from nchain_agents.keras_backend import keras_backend
from nchain_env.checks import instance


@dataclass(frozen=True)
class Preset:
    """One agent, ready to be made.

    Args:
        name: What it is called on the command line.
        agent: Its class, or where that is: `module:name`.
        parameters: Keyword arguments for the class, beside `env` and `seed`.
        extra: The extra of nchain-env that it needs, if any.
        requires: The modules that it imports when it is made; keras brings a backend of its own.
        by_name_only: It is not among those that are compared when none is named.
        borrowed: It was tuned for the chain, and is used elsewhere.
    """

    name: str
    agent: str | type
    parameters: dict[str, Any] = field(default_factory=dict)
    extra: str | None = None
    requires: tuple[str, ...] = ()
    by_name_only: bool = False
    borrowed: bool = False

    @property
    def installed(self) -> bool:
        """Whether all modules that it needs are there; none is imported.

        Raises:
            ValueError: It needs Keras, and KERAS_BACKEND names a backend that cannot be used.
        """
        if "keras" in self.requires and keras_backend() is None:
            return False
        return all(find_spec(module) is not None for module in self.requires)

    @property
    def install_command(self) -> str:
        """What installs what it needs."""
        return f"pip install 'nchain-env[{self.extra}]'" if self.extra else "pip install nchain-env"

    @property
    def path(self) -> str:
        """Where its class is: `module:name`."""
        if isinstance(self.agent, str):
            return self.agent
        return f"{self.agent.__module__}:{self.agent.__qualname__}"

    def load(self) -> Any:
        """Return its class, whose module is imported now.

        Raises:
            ModuleNotFoundError: Its extra is not installed.
            ValueError: Its agent is not like `module:Class`.
        """
        if not isinstance(self.agent, str):
            return self.agent
        module, _, name = self.agent.partition(":")
        if not module or not name or ":" in name:
            raise ValueError(f"agent must be like module:Class, got {self.agent!r}")
        return getattr(import_module(module), name)

    def make(self, env: Any, seed: int) -> Any:
        """Return a new agent on `env`; one that takes no seed is given none.

        Raises:
            ModuleNotFoundError: Its extra is not installed.
        """
        kind = self.load()
        taken = inspect.signature(kind).parameters
        takes_all = any(one.kind is one.VAR_KEYWORD for one in taken.values())
        seeding = {"seed": seed} if "seed" in taken or takes_all else {}
        return kind(env=env, **seeding, **self.parameters)


@dataclass(frozen=True)
class Problem:
    """An environment, and the presets that learn it.

    Args:
        name: What it is called: the name of its file here.
        env: The id of the environment.
        parameters: Keyword arguments for `gym.make`.
        steps: How many steps the presets were tuned for.
        presets: The presets by name, in the order in which they are shown.
    """

    name: str
    env: str
    parameters: dict[str, Any]
    steps: int
    presets: dict[str, Preset]

    def preset(self, name: str) -> Preset:
        """Return a preset by its name.

        Raises:
            ValueError: There is none of that name; the message says which come close.
        """
        return named(name, self.presets)


def named(name: str, known: Mapping[str, Preset]) -> Preset:
    """Return the preset of a name.

    Raises:
        ValueError: There is none of that name; the message says which come close.
    """
    instance("agents", name, str, "names of agents")
    if name not in known:
        close = get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        raise ValueError(
            f"agents: unknown agent {name!r}; {hint}known: {', '.join(known)}, "
            "and any class as module:Class"
        )
    return known[name]


def presets_for(env_id: str, parameters: Mapping[str, Any]) -> dict[str, Preset]:
    """Return the presets for an environment, by name: those tuned for it, then the chain's.

    Args:
        env_id: What `gym.make` takes.
        parameters: Its keyword arguments. A problem counts as this environment if it fixes no
            parameter otherwise; those that fix most come first.
    """
    instance("env_id", env_id, str, "what gym.make takes")
    instance("parameters", parameters, Mapping, "keyword arguments by name")
    _, _, name = env_id.rpartition(":")  # without the module that registers it
    tuned: list[tuple[int, Problem]] = []
    for one in map(problem, problem_names()):
        fixed = {key: v for key, v in one.parameters.items() if key != "max_episode_steps"}
        if one.env == name and all(parameters.get(key) == v for key, v in fixed.items()):
            tuned.append((len(fixed), one))
    found: dict[str, Preset] = {}
    for _, one in sorted(tuned, key=lambda entry: -entry[0]):
        for preset in one.presets.values():
            found.setdefault(preset.name, preset)
    for agent, preset in problem("nchain").presets.items():
        found.setdefault(agent, replace(preset, by_name_only=bool(tuned), borrowed=True))
    return found


def time_limit(env_id: str) -> int | None:
    """Return the time limit that the presets give an environment which has none of its own."""
    problems = (one for one in map(problem, problem_names()) if one.env == env_id)
    limits = (one.parameters.get("max_episode_steps") for one in problems)
    return next((limit for limit in limits if limit is not None), None)


def problem(name: str = "nchain") -> Problem:
    """Return a problem by its name; `problem_names` lists them.

    Raises:
        ValueError: There is none of that name.
    """
    instance("problem", name, str, "the name of one")
    if name not in problem_names():
        raise ValueError(f"problem must be one of {', '.join(problem_names())}, got {name!r}")
    return _problem(name)


@cache
def _problem(name: str) -> Problem:
    text = files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    entries = tomllib.loads(text)
    about = entries.pop("problem")
    return Problem(
        name=name,
        env=about["env"],
        parameters=about.get("parameters", {}),
        steps=about["steps"],
        presets={
            agent: Preset(
                name=agent,
                agent=entry["agent"],
                parameters=entry.get("parameters", {}),
                extra=entry.get("extra"),
                requires=tuple(entry.get("requires", ())),
                by_name_only=entry.get("by_name_only", False),
            )
            for agent, entry in entries.items()
        },
    )


def problem_names() -> list[str]:
    """Return the names of all problems that there are presets for."""
    return sorted(
        file.name.removesuffix(".toml")
        for file in files(__package__).iterdir()
        if file.name.endswith(".toml")
    )
