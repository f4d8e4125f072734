"""Agents of others: installed plug-ins, classes with their parameters, and TOML files."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from nchain_agents import toml
from nchain_agents.env_argument import as_text
from nchain_agents.presets import Preset, named

GROUP = "nchain_agents.agents"

# An agent; or a pair of one and the parameters that it is to have besides its own
AgentLike = str | type | Preset | partial[Any] | tuple[Any, Mapping[str, Any]]
_KINDS = "names, classes, pairs (class, {parameters}), functools.partial or presets"


def agents_of(given: Any, known: Mapping[str, Preset]) -> list[Preset]:
    """Return the agents that a user means.

    Args:
        given: The name of a preset or of a plug-in, `module:Class`, a TOML file of agents (it ends
            with .toml), a class, or a `Preset`; a pair of one of these and a mapping of parameters;
            or a `functools.partial` of a class. The name of the last two says the parameters, as in
            `QLearning epsilon=0.1`.
        known: The presets by name.

    Raises:
        ValueError: It is none of these, or a class that cannot learn and predict.
    """
    if isinstance(given, partial):
        if given.args:
            raise ValueError(
                f"agents: functools.partial must have its parameters by name, got {given}"
            )
        given = (given.func, given.keywords)
    if isinstance(given, tuple):
        return [_of_pair(given, known)]
    if isinstance(given, type):
        given = Preset(given.__name__, given)
    if isinstance(given, Preset):
        return [_checked(replace(given, agent=_importable(given.agent)))]
    if not isinstance(given, str):
        raise ValueError(f"agents must be {_KINDS}, got {given!r}")
    if given.endswith(".toml"):
        return from_file(Path(given), known)
    if ":" in given:
        return [_checked(Preset(given.rpartition(":")[2], given))]
    plug_ins = {**known, **installed()}
    preset = named(given, plug_ins)
    if not preset.installed:
        raise ValueError(f"agents: {preset.name} needs {preset.install_command}")
    return [preset if given in known else _checked(preset)]


def as_list(agents: AgentLike | Iterable[AgentLike]) -> list[Any]:
    """Return agents, or a single one, as a list.

    Raises:
        ValueError: They are neither.
    """
    if isinstance(agents, str | type | Preset | partial):
        return [agents]
    try:
        return list(agents)
    except TypeError:
        raise ValueError(f"agents must be {_KINDS}, got {agents!r}") from None


def installed() -> dict[str, Preset]:
    """Return the agents that installed packages offer by the entry-point group GROUP, by name."""
    return {point.name: Preset(point.name, point.value) for point in entry_points(group=GROUP)}


def from_file(path: Path, known: Mapping[str, Preset]) -> list[Preset]:
    """Read agents from a TOML file: a table for each, of its class and its hyperparameters.

        [my-agent]
        agent = "my_package:MyAgent"
        parameters = { learning_rate = 0.1 }

    A table with `preset` instead of `agent` changes some hyperparameters of a preset.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not such a file; the message names the line.
    """
    text = path.read_text(encoding="utf-8")
    try:
        entries = toml.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"agents: {path} is not TOML: {error}") from None
    if not entries:
        raise ValueError(f"agents: {path} must have a table for each agent, got none")
    try:
        return from_tables(entries, known, text)
    except ValueError as error:
        raise ValueError(f"agents: {path}, {error}") from None


def from_tables(tables: Mapping[str, Any], known: Mapping[str, Preset], text: str) -> list[Preset]:
    """Return the agents of a TOML file's tables, as `from_file` describes them.

    Args:
        tables: The tables by the agents' names.
        known: The presets by name.
        text: What the file contains, for an error's line.

    Raises:
        ValueError: A table is not such a one; the message names the line.
    """
    agents = []
    for name, entry in tables.items():
        try:
            agents.append(_agent(name, entry, known))
        except ValueError as error:
            said = str(error).removeprefix("agents: ")
            raise ValueError(f"{_line(text, name)}: {said}") from None
    return agents


def _agent(name: str, entry: Any, known: Mapping[str, Preset]) -> Preset:
    toml.check_keys(entry, {"agent": str, "preset": str, "parameters": dict}, what=name)
    if ("agent" in entry) == ("preset" in entry):
        raise ValueError(f"{name} must have an agent or a preset")
    parameters = entry.get("parameters", {})
    if "agent" in entry:
        return _checked(Preset(name, entry["agent"], parameters))
    (base,) = agents_of(entry["preset"], known)
    return _checked(_changed(base, name, parameters))


def _of_pair(pair: tuple[Any, ...], known: Mapping[str, Preset]) -> Preset:
    """Return the agent of a pair: another agent, some of whose parameters differ."""
    if len(pair) != 2 or not isinstance(pair[1], Mapping):
        raise ValueError(f"agents: a tuple must be a pair (class, {{parameters}}), got {pair!r}")
    base, *others = agents_of(pair[0], known)
    if others:
        raise ValueError(f"agents: a pair must have one agent, got {1 + len(others)} in {pair[0]}")
    # a function or a class by its name, which is the same each time
    texts = {name: as_text(getattr(value, "__name__", value)) for name, value in pair[1].items()}
    given = (f"{name}={text}" for name, text in texts.items())
    return _checked(_changed(base, " ".join([base.name, *given]), pair[1]))


def _changed(base: Preset, name: str, parameters: Mapping[str, Any]) -> Preset:
    return replace(
        base,
        name=name,
        parameters={**base.parameters, **parameters},
        by_name_only=False,
        borrowed=base.borrowed and not parameters,
    )


def _line(text: str, name: str) -> str:
    """Say in which line of a TOML text an agent is defined, as nearly as can be told."""
    for number, line in enumerate(text.splitlines(), start=1):
        start = line.strip().lstrip("[ ").removeprefix("agents.").lstrip("\"'")
        if start.startswith(name):
            return f"line {number}"
    return "line 1"


def _checked(preset: Preset) -> Preset:
    """Refuse what cannot learn and predict, before anything is trained."""
    try:
        kind = preset.load()
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        said = f"{type(error).__name__}: {error}".removeprefix("ValueError: ")
        raise ValueError(f"agents: {preset.path!r} cannot be imported: {said}") from None
    # what a function of env returns is known when it is called
    if not (inspect.isfunction(kind) and "env" in inspect.signature(kind).parameters):
        _check_methods(preset.path, kind)
    for name in ("env", "seed"):
        if name in preset.parameters:
            raise ValueError(f"agents: {preset.path} must be given no {name}: a run gives it one")
    signature = inspect.signature(kind)
    try:
        signature.bind_partial(env=None)
    except TypeError:
        raise ValueError(
            f"agents: {preset.path} must take its environment as env, got {signature}"
        ) from None
    try:
        signature.bind_partial(env=None, **preset.parameters)
    except TypeError as error:
        raise ValueError(f"agents: {preset.path} does not take its parameters: {error}") from None
    homes = [one.__module__ for one in getattr(kind, "__mro__", ())]
    if "nchain_agents.deep.keras_dqn" in homes and "keras" not in preset.requires:
        return replace(preset, requires=(*preset.requires, "keras"))
    return preset


def check_complete(preset: Preset) -> None:
    """Refuse an agent that needs more than an environment, a seed and its parameters.

    Raises:
        ValueError: It does; the message names what is missing.
        ModuleNotFoundError: The extra is not installed.
    """
    try:
        inspect.signature(preset.load()).bind(**preset.arguments(env=None, seed=0))
    except TypeError as error:
        raise ValueError(
            f"agents: {preset.path}: {error}; give (class, {{parameters}}), a TOML file, or a "
            "function of env and seed"
        ) from None


def _check_methods(path: str, kind: Any) -> None:
    for method in ("learn", "predict"):
        if not callable(getattr(kind, method, None)):
            raise ValueError(f"agents: {path} must have a method {method}, as agents do")
    try:
        inspect.signature(kind.learn).bind_partial(None, total_timesteps=1)
    except TypeError:
        raise ValueError(f"agents: {path}.learn must take total_timesteps") from None


def _importable(kind: str | type) -> str | type:
    """Return where a class is, or the class itself if it cannot be found there by others."""
    if isinstance(kind, str):
        return kind
    module, name = kind.__module__, kind.__qualname__
    if module != "__main__" and getattr(import_module(module), name, None) is kind:
        return f"{module}:{name}"
    return kind
