"""Presets: named, tuned configurations of agents, read from TOML files."""

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
from nchain_agents.quiet import import_quietly
from nchain_env.checks import instance
from nchain_env.extras import install_command
from nchain_env.representation import call

# These import TensorFlow where it is installed, which logs.
_LOGGING = ("stable_baselines3", "sb3_contrib")


@dataclass(frozen=True, repr=False)
class Preset:
    """A class of agents with its hyperparameters.

    Args:
        name: The name on the command line.
        agent: The class, or its path `module:name`.
        parameters: The keyword arguments of the class other than `env` and `seed`.
        extra: The extra of nchain-env that the agent needs, if any.
        requires: The modules that the agent imports. "keras" includes a backend of Keras.
        by_name_only: The preset is only used by its name, not by default.
        borrowed: The preset is tuned for the chain and used for another environment.
    """

    name: str
    agent: str | type
    parameters: dict[str, Any] = field(default_factory=dict)
    extra: str | None = None
    requires: tuple[str, ...] = ()
    by_name_only: bool = False
    borrowed: bool = False

    def __repr__(self) -> str:
        return call(self, {name: value for name, value in vars(self).items() if value})

    @property
    def installed(self) -> bool:
        """Whether all modules that the agent needs are installed. None of them is imported.

        Raises:
            ValueError: The agent needs Keras, and the backend in KERAS_BACKEND cannot be used.
        """
        if "keras" in self.requires and keras_backend() is None:
            return False
        return all(find_spec(module) is not None for module in self.requires)

    @property
    def install_command(self) -> str:
        """The command that installs the requirements of the agent."""
        return install_command(self.extra)

    @property
    def path(self) -> str:
        """The path of the class, `module:name`."""
        if isinstance(self.agent, str):
            return self.agent
        return f"{self.agent.__module__}:{self.agent.__qualname__}"

    def load(self) -> Any:
        """Import the class and return it.

        Raises:
            ModuleNotFoundError: The extra is not installed.
            ValueError: `agent` does not have the form `module:Class`.
        """
        if not isinstance(self.agent, str):
            return self.agent
        module, _, name = self.agent.partition(":")
        if not module or not name or ":" in name:
            raise ValueError(f"agent must have the form module:Class, got {self.agent!r}")
        if module.partition(".")[0] in _LOGGING:
            import_quietly([module])
        return getattr(import_module(module), name)

    def make(self, env: Any, seed: int) -> Any:
        """Return a new agent for `env`. The seed is passed if the class has such a parameter.

        Raises:
            ModuleNotFoundError: The extra is not installed.
        """
        return self.load()(**self.arguments(env, seed))

    def arguments(self, env: Any, seed: int) -> dict[str, Any]:
        """Return the arguments with which `make` calls the class.

        Raises:
            ModuleNotFoundError: The extra is not installed.
        """
        taken = inspect.signature(self.load()).parameters
        takes_all = any(one.kind is one.VAR_KEYWORD for one in taken.values())
        seeding = {"seed": seed} if "seed" in taken or takes_all else {}
        return {"env": env, **seeding, **self.parameters}


@dataclass(frozen=True)
class Problem:
    """An environment with the presets that are tuned for it.

    Args:
        name: The name of its file, without the suffix.
        env: The id of the environment.
        parameters: The keyword arguments for `gym.make`.
        steps: The number of steps that the presets are tuned for.
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
            ValueError: There is no preset of this name. The message lists similar names.
        """
        return named(name, self.presets)


def named(name: str, known: Mapping[str, Preset]) -> Preset:
    """Return the preset of a name.

    Raises:
        ValueError: There is no preset of this name. The message lists similar names.
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
        env_id: The id of the environment, as for `gym.make`.
        parameters: The keyword arguments for `gym.make`. A problem is this environment if all its
            parameters have the same values here. Problems with more parameters come first.
    """
    instance("env_id", env_id, str, "the id of an environment")
    instance("parameters", parameters, Mapping, "a mapping of keyword arguments")
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
        found.setdefault(
            agent, replace(preset, by_name_only=preset.by_name_only or bool(tuned), borrowed=True)
        )
    return found


def tuned_max_episode_steps(env_id: str) -> int | None:
    """Return the time limit of an environment in its presets, if they set one."""
    problems = (one for one in map(problem, problem_names()) if one.env == env_id)
    limits = (one.parameters.get("max_episode_steps") for one in problems)
    return next((limit for limit in limits if limit is not None), None)


def problem(name: str = "nchain") -> Problem:
    """Return a problem by its name; `problem_names` lists the names.

    Raises:
        ValueError: There is no problem of this name.
    """
    instance("problem", name, str, "a name")
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
    """Return the names of all problems that have presets."""
    return sorted(
        file.name.removesuffix(".toml")
        for file in files(__package__).iterdir()
        if file.name.endswith(".toml")
    )
