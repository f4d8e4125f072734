"""Named, tuned configurations, as data: an agent's class and its hyperparameters."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from typing import Any


@dataclass(frozen=True)
class Preset:
    """One agent, ready to be made.

    Args:
        name: What it is called on the command line.
        agent: Its class, as `module:name`.
        parameters: Keyword arguments for the class, beside `env` and `seed`.
        extra: The extra of nchain-env that it needs, if any.
        requires: The modules that this extra brings.
    """

    name: str
    agent: str
    parameters: dict[str, Any] = field(default_factory=dict)
    extra: str | None = None
    requires: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """Whether all modules that it needs are there; none is imported."""
        return all(find_spec(module) is not None for module in self.requires)

    @property
    def install_command(self) -> str:
        """What installs what it needs."""
        return f"pip install 'nchain-env[{self.extra}]'" if self.extra else "pip install nchain-env"

    def make(self, env: Any, seed: int) -> Any:
        """Return a new agent on `env`, its module imported now.

        Raises:
            ModuleNotFoundError: Its extra is not installed.
        """
        module, name = self.agent.split(":")
        return getattr(import_module(module), name)(env=env, seed=seed, **self.parameters)


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
        if name not in self.presets:
            close = get_close_matches(name, self.presets, n=3)
            hint = f"did you mean {' or '.join(close)}? " if close else ""
            raise ValueError(
                f"agents: unknown agent {name!r}; {hint}known: {', '.join(self.presets)}"
            )
        return self.presets[name]


@cache
def problem(name: str = "nchain") -> Problem:
    """Return a problem by its name; `problem_names` lists them.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in problem_names():
        raise ValueError(f"problem must be one of {', '.join(problem_names())}, got {name!r}")
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
