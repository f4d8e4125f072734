"""Agents of others: installed plug-ins, classes by their path, and TOML files."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from nchain_agents.presets import Preset, named

GROUP = "nchain_agents.agents"


def agents_of(given: Any, known: Mapping[str, Preset]) -> list[Preset]:
    """Return the agents that a user means.

    Args:
        given: The name of a preset or of a plug-in, `module:Class`, a TOML file of agents (it ends
            with .toml), a class, or a `Preset`.
        known: The presets by name.

    Raises:
        ValueError: It is none of these, or a class that cannot learn and predict.
    """
    if isinstance(given, Preset):
        return [_checked(given)]
    if isinstance(given, type):
        return [_checked(Preset(given.__name__, _importable(given)))]
    if not isinstance(given, str):
        raise ValueError(f"agents must be names, classes or presets, got {given!r}")
    if given.endswith(".toml"):
        return from_file(Path(given), known)
    if ":" in given:
        return [_checked(Preset(given.rpartition(":")[2], given))]
    plug_ins = {**known, **installed()}
    preset = named(given, plug_ins)
    if not preset.installed:
        raise ValueError(f"agents: {preset.name} needs {preset.install_command}")
    return [preset if given in known else _checked(preset)]


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
        entries = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"agents: {path} is not TOML: {error}") from None
    if not entries:
        raise ValueError(f"agents: {path} must have a table for each agent, got none")
    return [
        _entry(name, entry, known, f"{path}, {_line(text, name)}")
        for name, entry in entries.items()
    ]


def _entry(name: str, entry: Any, known: Mapping[str, Preset], where: str) -> Preset:
    allowed = {"agent": str, "preset": str, "parameters": dict}
    if not isinstance(entry, dict):
        raise ValueError(f"agents: {where}: {name} must be a table, got {entry!r}")
    for key, value in entry.items():
        if key not in allowed:
            raise ValueError(f"agents: {where}: unknown key {key!r}; known: {', '.join(allowed)}")
        if not isinstance(value, allowed[key]):
            raise ValueError(
                f"agents: {where}: {key} must be a {allowed[key].__name__}, got {value!r}"
            )
    if ("agent" in entry) == ("preset" in entry):
        raise ValueError(f"agents: {where}: {name} must have an agent or a preset")
    parameters = entry.get("parameters", {})
    try:
        if "preset" in entry:
            (base,) = agents_of(entry["preset"], known)
            changed = replace(
                base,
                name=name,
                parameters={**base.parameters, **parameters},
                by_name_only=False,
                borrowed=base.borrowed and not parameters,
            )
            return _checked(changed)
        return _checked(Preset(name, entry["agent"], parameters))
    except ValueError as error:
        raise ValueError(f"agents: {where}: {str(error).removeprefix('agents: ')}") from None


def _line(text: str, name: str) -> str:
    """Say in which line of a TOML text something is defined, as nearly as can be told."""
    for number, line in enumerate(text.splitlines(), start=1):
        start = line.strip().lstrip("[ ").replace('"', "").replace("'", "")
        if start.startswith(name):
            return f"line {number}"
    return "line 1"


def _checked(preset: Preset) -> Preset:
    """Refuse what cannot learn and predict, before anything is trained."""
    try:
        kind = preset.load()
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"agents: {preset.path!r} cannot be imported: {error}") from None
    for method in ("learn", "predict"):
        if not callable(getattr(kind, method, None)):
            raise ValueError(f"agents: {preset.path} must have a method {method}, as agents do")
    try:
        inspect.signature(kind.learn).bind_partial(None, total_timesteps=1)
    except TypeError:
        raise ValueError(f"agents: {preset.path}.learn must take total_timesteps") from None
    try:
        inspect.signature(kind).bind_partial(env=None, **preset.parameters)
    except TypeError as error:
        raise ValueError(f"agents: {preset.path} does not take its parameters: {error}") from None
    homes = [one.__module__ for one in getattr(kind, "__mro__", ())]
    if "nchain_agents.deep.keras_dqn" in homes and "keras" not in preset.requires:
        return replace(preset, requires=(*preset.requires, "keras"))
    return preset


def _importable(kind: type) -> str | type:
    """Return where a class is, or the class itself if it cannot be found there by others."""
    module, name = kind.__module__, kind.__qualname__
    if module != "__main__" and getattr(import_module(module), name, None) is kind:
        return f"{module}:{name}"
    return kind
