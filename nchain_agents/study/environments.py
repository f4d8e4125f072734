"""Environments by what a user calls them: `NChain-v0 n=8 slip=0`."""

from __future__ import annotations

import inspect
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import gymnasium as gym

import nchain_env  # noqa: F401  (registers NChain-v0)
from nchain_agents.presets import time_limit


@dataclass(frozen=True)
class EnvChoice:
    """An environment to learn in.

    Args:
        id: What `gym.make` takes.
        parameters: Its keyword arguments.
    """

    id: str
    parameters: dict[str, Any] = field(default_factory=dict, hash=False)

    def make(self) -> gym.Env[Any, Any]:
        """Return a new environment."""
        return gym.make(self.id, **self.parameters)

    @property
    def label(self) -> str:
        """What it is called in results, and can be given as: `NChain-v0 n=8 slip=0`."""
        return _label(self.id, self.parameters)


def parsed(label: str) -> tuple[str, dict[str, Any]]:
    """Return the id and the parameters that a label stands for.

    Values are numbers, true, false or null as JSON has them; all else is text.

    Raises:
        ValueError: It is not like `NChain-v0 n=8 slip=0`.
    """
    env_id, *given = label.split() or [""]
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals or name in found:
            raise ValueError(f"env must be like 'NChain-v0 n=8 slip=0', got {label!r}")
        found[name] = from_text(value)
    return env_id, found


def together(
    given: Mapping[str, Any], more: Mapping[str, Any], sweep: Mapping[str, Sequence[Any]]
) -> dict[str, Any]:
    """Return the parameters that a label gives and those that are given beside it.

    Raises:
        ValueError: One is given twice, or swept too.
    """
    for name in given:
        if name in more:
            raise ValueError(
                f"{name} must be given once, got {name}={_as_text(given[name])} "
                f"and {name}={_as_text(more[name])}"
            )
    found = {**given, **more}
    for name in sweep:
        if name in found:
            raise ValueError(
                f"{name} must be given once, got {name}={_as_text(found[name])} and a sweep of it"
            )
    return found


def from_text(value: str) -> Any:
    """Return the number, truth value or text that a text stands for."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def label(env: gym.Env[Any, Any]) -> str:
    """Return what an environment that `gym.make` made can be given as."""
    assert env.spec is not None
    registered = gym.spec(env.spec.id).kwargs
    given = {
        name: value
        for name, value in env.spec.kwargs.items()
        if name != "render_mode" and (name not in registered or registered[name] != value)
    }
    return _label(env.spec.id, given)


def _label(env_id: str, parameters: Mapping[str, Any]) -> str:
    return " ".join([env_id, *(f"{name}={_as_text(v)}" for name, v in parameters.items())])


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def environments(
    env_id: str,
    parameters: Mapping[str, Any],
    sweep: Mapping[str, Sequence[Any]],
) -> tuple[EnvChoice, ...]:
    """Return an environment with every combination of the swept parameters.

    Args:
        env_id: What `gym.make` takes.
        parameters: Its keyword arguments that stay the same.
        sweep: The values of those that do not, by name.

    Raises:
        ValueError: There is no such environment, or it does not take these parameters.
    """
    try:
        spec = gym.spec(env_id)
    except (gym.error.Error, ModuleNotFoundError) as error:
        close = get_close_matches(env_id, gym.registry, n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else f": {error}"
        raise ValueError(
            f"env must be an environment of Gymnasium's, got {env_id!r}{hint}"
        ) from None
    for name, values in sweep.items():
        if len(values) == 0:
            raise ValueError(f"sweep must give {name} at least one value, got none")
    known = _parameters_of(spec)
    unknown = [name for name in (*parameters, *sweep) if known and name not in known]
    if unknown:
        raise ValueError(
            f"env: {env_id} has no parameter {unknown[0]!r}; it has {', '.join(known)}"
        )
    limit = time_limit(env_id) if spec.max_episode_steps is None else None
    if limit is not None:
        parameters = {"max_episode_steps": limit, **parameters}
    choices = []
    for values in itertools.product(*sweep.values()):
        given = {**parameters, **dict(zip(sweep, values, strict=True))}
        choice = EnvChoice(env_id, given)
        try:
            choice.make().close()
        except (ValueError, TypeError, KeyError, AssertionError, gym.error.Error) as error:
            raise ValueError(f"env must be one that can be made: {choice.label}: {error}") from None
        choices.append(choice)
    if len({choice.label for choice in choices}) < len(choices):
        raise ValueError(f"sweep must not repeat a value, got {json.dumps(dict(sweep))}")
    return tuple(choices)


def _parameters_of(spec: gym.envs.registration.EnvSpec) -> list[str]:
    """The names that `gym.make` takes for an environment; none if it takes any."""
    entry: Any = spec.entry_point
    if isinstance(entry, str):
        entry = gym.envs.registration.load_env_creator(entry)
    taken = inspect.signature(entry).parameters.values() if entry is not None else ()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken):
        return []
    names = (parameter.name for parameter in taken if parameter.name != "render_mode")
    return [*names, "max_episode_steps"]
