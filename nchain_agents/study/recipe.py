"""How to get a study again: a command, the agents it needs and the versions it was made with."""

from __future__ import annotations

import json
import math
import platform
import re
import shlex
from collections.abc import Iterator
from importlib import metadata
from types import NoneType
from typing import Any, NamedTuple

import gymnasium as gym

import nchain_env
from nchain_agents.presets import Preset
from nchain_agents.presets.custom import installed
from nchain_agents.study.environments import from_text
from nchain_agents.study.plan import Study, known_presets

AGENTS_FILE = "agents.toml"
# What every study stands on; an agent's and an environment's own packages come after these.
_PACKAGES = ("gymnasium", "numpy", "scipy", "numba", "matplotlib")
_BENEATH = {"stable_baselines3": "torch"}
# What TOML can say, beside dates; it has no null.
_TOML = (bool, int, float, str)


class Recipe(NamedTuple):
    """All that is needed to make a study again.

    It is worked out from the study alone: however a study was begun, its recipe is the same.
    """

    command: str  # for a shell, or in Python where a shell cannot say it
    agents: str | None  # the file AGENTS_FILE that the command reads, if it does
    own: list[str]  # agents whose class only the program knows that made the study
    versions: dict[str, str]


def recipe(study: Study) -> Recipe:
    """Return how to get a study again."""
    known = known_presets(study.envs)
    names = [_name(agent, known) for agent in study.agents]
    file = None
    if None in names and all(_consists_of(_TOML, agent.parameters) for agent in study.agents):
        file = _agents_file(study.agents, known)  # all in one file, so that they stay in order
        names = [AGENTS_FILE]
    command = _in_a_shell(study, names) or _in_python(study, names)
    own = [agent.name for agent in study.agents if not _can_be_written(agent)]
    return Recipe(command, file, own, dict(_versions(study)))


def _name(agent: Preset, known: dict[str, Preset]) -> str | None:
    """Return what the command line calls an agent, None if it cannot."""
    if _same(agent, known.get(agent.name)) or _same(agent, installed().get(agent.name)):
        return agent.name
    if isinstance(agent.agent, str) and agent.agent.split(":")[1] == agent.name:
        return None if agent.parameters else agent.agent
    return None


def _can_be_written(agent: Preset) -> bool:
    """Whether all of an agent can be written down: its class and its parameters."""
    return isinstance(agent.agent, str) and _consists_of((*_TOML, NoneType), agent.parameters)


def _consists_of(kinds: tuple[type, ...], value: Any) -> bool:
    """Whether a value is of some kinds, or made of these by lists and by tables with names."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _consists_of(kinds, value[key]) for key in value)
    if isinstance(value, list | tuple):
        return all(_consists_of(kinds, one) for one in value)
    return isinstance(value, kinds)


def _same(agent: Preset, other: Preset | None) -> bool:
    return other is not None and (agent.path, agent.parameters) == (other.path, other.parameters)


def _agents_file(agents: tuple[Preset, ...], known: dict[str, Preset]) -> str:
    """Return agents as `presets.custom.from_file` reads them."""
    tables = []
    for agent in agents:
        lines = [f"[{_toml_key(agent.name)}]"]
        if _same(agent, known.get(agent.name)):
            lines.append(f"preset = {_toml(agent.name)}")
        else:
            lines.append(f"agent = {_toml(agent.path)}")
            if agent.parameters:
                lines.append(f"parameters = {_toml(agent.parameters)}")
        tables.append("\n".join(lines) + "\n")
    return "\n".join(tables)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml_key(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # inf, -inf or nan, which JSON spells otherwise
    if isinstance(value, bool | int | float | str):
        return json.dumps(value, ensure_ascii=False)
    raise ValueError(f"parameters must be what TOML can say, got {value!r}")


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name, re.ASCII) else _toml(name)


def _parameters(study: Study) -> dict[str, list[Any]]:
    """Return the values that each parameter of the environments takes, in order."""
    found: dict[str, list[Any]] = {name: [] for name in study.envs[0].parameters}
    for env in study.envs:
        for name, value in env.parameters.items():
            if value not in found[name]:
                found[name].append(value)
    return found


def _in_a_shell(study: Study, names: list[str | None]) -> str | None:
    """Return a command line, None if it cannot name all agents and the environment."""
    agents = [name for name in names if name is not None]
    place = study.envs[0].name
    if len(agents) < len(names) or place is None:
        return None
    env = [place]
    swept: list[str] = []
    for name, values in _parameters(study).items():
        texts = [_text(value) for value in values]
        if any(text is None for text in texts):
            return None
        joined = ",".join(text for text in texts if text is not None)
        # the order of the parameters is in the environment's label, and must stay
        (swept if swept or len(values) > 1 else env).append(f"{name}={joined}")
    words = [] if study.keras_backend is None else [f"KERAS_BACKEND={study.keras_backend}"]
    words += ["nchain", "compare", "--agents", ",".join(agents), "--env", " ".join(env)]
    if swept:
        words += ["--sweep", " ".join(swept)]
    words += ["--seeds", str(study.seeds), "--steps", str(study.steps)]
    if study.episodes != 100:
        words += ["--episodes", str(study.episodes)]
    return shlex.join(words)


def _text(value: Any) -> str | None:
    """Return a value as the command line reads it, None if it cannot."""
    text = value if isinstance(value, str) else json.dumps(value)
    read = from_text(text)
    plain = re.fullmatch(r"[^\s,]+", text) is not None
    return text if plain and type(read) is type(value) and read == value else None


def _in_python(study: Study, names: list[str | None]) -> str:
    # a file of agents stands for all of them, so there may be fewer names
    agents = [
        repr(name)
        if name is not None
        else f"Preset({agent.name!r}, {agent.path!r}, {agent.parameters!r})"
        for name, agent in zip(names, study.agents, strict=False)
    ]
    imports = "from nchain_agents import compare\n"
    if None in names:
        imports = (
            f"from math import inf, nan\n\n{imports}from nchain_agents.presets import Preset\n"
        )
    if study.keras_backend is not None:
        imports = f"import os\n\n{imports}\nos.environ['KERAS_BACKEND'] = {study.keras_backend!r}\n"
    arguments = [
        f"[{', '.join(agents)}]",
        repr(study.envs[0].name or study.envs[0].id),
        f"sweep={_parameters(study)!r}",
        f"seeds={study.seeds}",
        f"steps={study.steps}",
        f"episodes={study.episodes}",
        "out='results'",
    ]
    lines = "".join(f"    {argument},\n" for argument in arguments)
    if study.envs[0].name is None:
        imports += (
            f"\n# {study.envs[0].id} has to be registered first, as in the program of this study"
        )
    return f"{imports}\ncompare(\n{lines})"


def _versions(study: Study) -> Iterator[tuple[str, str]]:
    """Give the versions of Python, of this project and of all packages that took part."""
    yield "Python", platform.python_version()
    yield "nchain-env", nchain_env.__version__
    modules = [module for agent in study.agents for module in agent.requires]
    if study.keras_backend is not None:
        modules.append(study.keras_backend)
    modules += [agent.path for agent in study.agents]
    modules += [str(env.module or gym.spec(env.id).entry_point) for env in study.envs]
    names = [re.split("[.:]", module)[0] for module in modules]
    names += [_BENEATH[name] for name in names if name in _BENEATH]
    for name in dict.fromkeys([*_PACKAGES, *names]):
        if name.startswith("nchain_"):
            continue
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:  # a module whose package has another name, or none
            continue
