"""`study.toml`: a whole study in one file, which `nchain compare study.toml` makes again."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomlkit

from nchain_agents import toml
from nchain_agents.keras_backend import keras_backend
from nchain_agents.presets import Preset
from nchain_agents.presets.custom import from_tables
from nchain_agents.study.environments import EnvChoice, environments
from nchain_agents.study.plan import Study, Tuned, known_presets, needs_keras, not_tuned
from nchain_agents.study.versions import versions

NAME = "study.toml"
# What a study file has, and the types; those of _REQUIRED it must have.
_KEYS = {
    "seeds": object,  # their number, or the seeds
    "steps": int,
    "episodes": int,
    "looks": object,  # a number, a text or steps
    "keras_backend": str,
    "agents": dict,
    "envs": list,
    "versions": dict,
    "tuned": dict,
}
_REQUIRED = ("seeds", "steps", "agents", "envs")


def only_in_program(study: Study) -> list[str]:
    """Return the agents and environments that are defined in no module: a file cannot say them."""
    agents = [agent.name for agent in study.agents if not isinstance(agent.agent, str)]
    return agents + [env.label for env in study.envs if env.name is None]


def text_of(study: Study) -> str:
    """Return the file of a study: agents, environments, seeds, steps, looks, and versions.

    Raises:
        ValueError: TOML cannot say a parameter; the message names it.
    """
    document = tomlkit.document()
    document.add(tomlkit.comment(f"nchain compare {NAME}"))
    if missing := only_in_program(study):
        said = f"The program that made this study defines {', '.join(missing)}: start it instead."
        document.add(tomlkit.comment(said))
    document["seeds"] = list(study.seeds) if isinstance(study.seeds, tuple) else study.seeds
    document["steps"] = study.steps
    document["episodes"] = study.episodes
    document["looks"] = list(study.looks) if isinstance(study.looks, tuple) else study.looks
    if study.keras_backend is not None:
        document["keras_backend"] = study.keras_backend
    agents, envs = tomlkit.table(is_super_table=True), tomlkit.aot()
    for agent in study.agents:
        agents[agent.name] = entry = tomlkit.table()
        entry["agent"] = agent.path
        if agent.parameters:
            entry["parameters"] = toml.table(agent.parameters, agent.name)
    for env in study.envs:
        entry = tomlkit.table()
        entry["id"] = env.name or env.id
        if env.parameters:
            entry["parameters"] = toml.table(env.parameters, env.label)
        envs.append(entry)
    document["agents"], document["envs"] = agents, envs
    if study.tuned is not None:
        document["tuned"] = toml.table(vars(study.tuned), "tuned")
    document["versions"] = toml.table(versions(study), "versions")
    return tomlkit.dumps(document)


def read(path: Path) -> Study:
    """Return the study of a file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not such a file, or its study cannot be made; the message says why.
    """
    try:
        text = path.read_text(encoding="utf-8")
        entries = toml.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"study: {path} is not TOML: {error}") from None
    try:
        toml.check_keys(entries, _KEYS, _REQUIRED)
        envs = tuple(env for entry in entries["envs"] for env in _envs(entry))
        if not envs:
            raise ValueError("envs must be at least one, got none")
        agents = from_tables(entries["agents"], known_presets(envs), text)
        backend = keras_backend(entries.get("keras_backend")) if needs_keras(agents) else None
        study = Study(
            tuple(agents),
            envs,
            entries["seeds"],
            entries["steps"],
            entries.get("episodes", Study.episodes),
            entries.get("looks", Study.looks),
            backend,
            tuple(not_tuned(agents, envs)),
            _tuned(entries["tuned"], agents) if "tuned" in entries else None,
        )
    except ValueError as error:
        raise ValueError(f"study: {path}, {error}") from None
    remarks = (*study.remarks, *_other_versions(study, entries.get("versions", {})))
    return replace(study, remarks=remarks)


def _envs(entry: Any) -> tuple[EnvChoice, ...]:
    toml.check_keys(entry, {"id": str, "parameters": dict}, ["id"], "an environment")
    return environments(entry["id"], entry.get("parameters", {}), {})


def _tuned(entry: Any, agents: Sequence[Preset]) -> Tuned:
    keys = {"trials": int, "seeds": int, "parameters": dict}
    toml.check_keys(entry, keys, list(keys), "tuned")
    known = {agent.name: agent.parameters for agent in agents}
    for agent, names in entry["parameters"].items():
        if not isinstance(names, list) or not all(name in known.get(agent, ()) for name in names):
            raise ValueError(f"tuned must name parameters of {agent}, got {names!r}")
    parameters = {agent: tuple(names) for agent, names in entry["parameters"].items()}
    return Tuned(entry["trials"], entry["seeds"], parameters)


def _other_versions(study: Study, there: dict[str, Any]) -> Iterator[str]:
    """Say which versions the file was made with where they are not those that are installed."""
    here = versions(study)
    for name, version in there.items():
        if version != here.get(name):
            now = here.get(name, "none")
            yield f"made with {name} {version}, now {now}: the figures may differ"
