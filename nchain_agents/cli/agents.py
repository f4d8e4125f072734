"""`nchain agents`: what can be compared in an environment."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nchain_agents.cli.options import EnvOption

if TYPE_CHECKING:
    from nchain_agents.presets import Preset

_DEFAULT = "compared by default"


def agents(
    env: EnvOption = "NChain-v0",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the agents that there are for an environment, with their hyperparameters.

    These are the presets, and the agents of installed packages. Each has a line.
    """
    from nchain_agents.presets.custom import installed
    from nchain_agents.study.environments import environments
    from nchain_agents.study.plan import known_presets

    choice = environments(env, {}, {})
    known = known_presets(choice)
    plug_ins = (one for name, one in installed().items() if name not in known)
    found = [*known.values(), *(replace(one, by_name_only=True) for one in plug_ins)]
    if as_json:
        print(json.dumps([_entry(preset) for preset in found]))
        return
    widths = [max(map(len, column)) for column in zip(*map(_names, found), strict=True)]
    by_remark: dict[str, list[str]] = {}
    for preset in found:
        names = (name.ljust(width) for name, width in zip(_names(preset), widths, strict=True))
        line = "  ".join([*names, _parameters(preset)]).rstrip()
        by_remark.setdefault(_remark(preset), []).append(line)
    for remark, lines in sorted(by_remark.items(), key=lambda group: group[0] != _DEFAULT):
        print(f"{remark}:", *lines, "", sep="\n")


def _names(preset: Preset) -> tuple[str, str]:
    return preset.name, preset.path.rpartition(":")[2]


def _entry(preset: Preset) -> dict[str, Any]:
    return {
        "name": preset.name,
        "agent": preset.path,
        "parameters": preset.parameters,
        "installed": preset.installed,
        "by_name_only": preset.by_name_only,
        "tuned_for_the_chain": preset.borrowed,
    }


def _parameters(preset: Preset) -> str:
    from nchain_agents.env_argument import as_text

    return " ".join(f"{name}={as_text(value)}" for name, value in preset.parameters.items())


def _remark(preset: Preset) -> str:
    """Say when `nchain compare` trains a preset, and what it needs."""
    if not preset.installed:
        return f"needs {preset.install_command}"
    settings = ", with the settings for the chain" if preset.borrowed else ""
    return f"by name{settings}" if preset.by_name_only else f"{_DEFAULT}{settings}"
