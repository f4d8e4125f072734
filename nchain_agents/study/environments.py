"""The environments of a study, and the labels that name them: `NChain-v0 n=8 slip=0`."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from hashlib import sha256
from importlib import import_module
from numbers import Real
from typing import Any, NamedTuple

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, load_env_creator

from nchain_agents.env_argument import as_spec, as_text, labelled, parsed
from nchain_agents.presets import tuned_max_episode_steps
from nchain_env import TabularMDP

# Packages whose environments are registered in every process that imports this module.
_KNOWN = ("gymnasium", "nchain_env")


@dataclass(frozen=True)
class EnvChoice:
    """An environment to learn in; pickled by cloudpickle it can be made in any process.

    Args:
        id: Its id in Gymnasium's registry.
        parameters: Its keyword arguments.
        module: The module that registers it, which a process imports before it makes one; None
            where Gymnasium or nchain_env does, or a program that is no module.
        spec: How it was registered; None: as the process has it.
    """

    id: str
    parameters: dict[str, Any] = field(default_factory=dict, hash=False)
    module: str | None = field(default=None, compare=False)
    spec: EnvSpec | None = field(default=None, compare=False, repr=False)

    def make(self) -> gym.Env[Any, Any]:
        """Return a new environment."""
        if self.module is not None:
            import_module(self.module)
        return gym.make(self.id if self.spec is None else self.spec, **self.parameters)

    def as_data(self) -> dict[str, Any]:
        """Return what it is, as JSON-ready data; a table that was given by its digest."""
        data = {"id": self.id, "parameters": self.parameters}
        entry = None if self.spec is None else self.spec.entry_point
        if isinstance(entry, partial) and isinstance(table := entry.args[0], TabularMDP):
            arrays = (getattr(table, one.name) for one in dataclasses.fields(table))
            data["table"] = sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
        return data

    @property
    def registration(self) -> EnvSpec:
        """How it is registered, or would be."""
        return gym.spec(self.id) if self.spec is None else self.spec

    @property
    def label(self) -> str:
        """Its name in results: `NChain-v0 n=8 slip=0`."""
        return labelled(self.id, self.parameters)

    @property
    def name(self) -> str | None:
        """The id, or `module:Id`, by which any process can make it; None where no module has it."""
        if self.module is not None:
            return f"{self.module}:{self.id}"
        entry = None if self.spec is None else self.spec.entry_point
        return None if callable(entry) else self.id


def together(
    given: Mapping[str, Any], more: Mapping[str, Any], sweep: Mapping[str, Sequence[Any]]
) -> dict[str, Any]:
    """Return the parameters of a label together with those of other arguments.

    Raises:
        ValueError: One is given twice, or swept too.
    """
    for name in given:
        if name in more:
            raise ValueError(
                f"{name} must be given once, got {name}={as_text(given[name])} "
                f"and {name}={as_text(more[name])}"
            )
    found = {**given, **more}
    for name in sweep:
        if name in found:
            raise ValueError(
                f"{name} must be given once, got {name}={as_text(found[name])} and a sweep of it"
            )
    return found


class Apart(NamedTuple):
    """What tells the environments of a study apart."""

    common: str  # their label as far as it is the same
    what: str  # what differs: a parameter, or "environment"
    names: tuple[str, ...]  # what it is in each
    numbers: tuple[float, ...] | None  # the same, if it is one parameter and a number in each


def apart(envs: Sequence[EnvChoice]) -> Apart:
    """Return what tells environments apart: a swept parameter, parameters, or their labels."""
    given = [env.parameters for env in envs]
    known = list(dict.fromkeys(name for parameters in given for name in parameters))
    texts = {name: [as_text(one[name]) if name in one else "" for one in given] for name in known}
    differing = [name for name in known if len(set(texts[name])) > 1]
    if len({env.id for env in envs}) > 1 or not differing:
        return Apart("", "environment", tuple(env.label for env in envs), None)
    common = labelled(envs[0].id, {n: v for n, v in given[0].items() if n not in differing})
    if len(differing) > 1 or not all(differing[0] in parameters for parameters in given):
        names = (labelled("", {n: one[n] for n in differing if n in one}).strip() for one in given)
        return Apart(common, "environment", tuple(name or "default" for name in names), None)
    (name,) = differing
    values = [parameters[name] for parameters in given]
    numeric = all(isinstance(value, Real) and not isinstance(value, bool) for value in values)
    numbers = tuple(float(value) for value in values) if numeric else None
    return Apart(common, name, tuple(texts[name]), numbers)


def environments(
    env: Any,
    parameters: Mapping[str, Any],
    sweep: Mapping[str, Sequence[Any]],
) -> tuple[EnvChoice, ...]:
    """Return an environment with every combination of the swept parameters.

    Args:
        env: A label, whose id may be `module:Id`; or what `as_spec` takes.
        parameters: Its keyword arguments that stay the same, besides those of the label.
        sweep: The values of those that do not, by name.

    Raises:
        ValueError: There is no such environment, or it does not take these parameters.
    """
    if isinstance(env, str):
        env, given = parsed(env)
        parameters = together(given, parameters, sweep)
    spec, module = registered(env)
    for name, values in sweep.items():
        if len(values) == 0:
            raise ValueError(f"sweep must give {name} at least one value, got none")
    known = _parameters_of(spec)
    unknown = [name for name in (*parameters, *sweep) if known and name not in known]
    if unknown:
        raise ValueError(
            f"env: {spec.id} has no parameter {unknown[0]!r}; it has {', '.join(known)}"
        )
    limit = tuned_max_episode_steps(spec.id) if spec.max_episode_steps is None else None
    if limit is not None:
        parameters = {"max_episode_steps": limit, **parameters}
    choices = []
    for values in itertools.product(*sweep.values()):
        given = {**parameters, **dict(zip(sweep, values, strict=True))}
        choice = EnvChoice(spec.id, given, module, spec)
        try:
            choice.make().close()
        except (ValueError, TypeError, KeyError, AssertionError, gym.error.Error) as error:
            raise ValueError(f"env must be one that can be made: {choice.label}: {error}") from None
        choices.append(choice)
    if len({choice.label for choice in choices}) < len(choices):
        raise ValueError(f"sweep must not repeat a value, got {json.dumps(dict(sweep))}")
    return tuple(choices)


def registered(env: Any) -> tuple[EnvSpec, str | None]:
    """Return how an environment was registered, and the module that registers it.

    That module is the one that was given. Without one it is the module of the entry point: where
    that does not register it, the spec is enough to make one.

    Raises:
        ValueError: There is no such environment.
    """
    if not isinstance(env, str):
        return as_spec(env), None
    module, _, name = env.rpartition(":")
    try:
        if module:
            import_module(module)
        spec = gym.spec(name)
    except Exception as error:  # whatever a user's module raises
        close = get_close_matches(name, gym.registry, n=3)
        known = isinstance(error, gym.error.Error)
        hint = f"; did you mean {' or '.join(close)}?" if known and close else f": {error}"
        raise ValueError(
            f"env must be an environment of Gymnasium's, or module:Id, got {env!r}{hint}"
        ) from None
    entry = spec.entry_point
    if isinstance(entry, str):
        home, _, kind = entry.partition(":")
    else:
        home, kind = getattr(entry, "__module__", ""), ""
    if home == "__main__" and kind:  # other processes have another, so they get the class itself
        spec = copy.copy(spec)
        spec.entry_point = getattr(import_module(home), kind)
    if (module or home).partition(".")[0] in (*_KNOWN, "__main__", ""):
        return spec, None
    return spec, module or home


def _parameters_of(spec: EnvSpec) -> list[str]:
    """The names that `gym.make` takes for an environment; none if it takes any."""
    entry: Any = spec.entry_point
    if isinstance(entry, str):
        entry = load_env_creator(entry)
    taken = inspect.signature(entry).parameters.values() if entry is not None else ()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken):
        return []
    names = (parameter.name for parameter in taken if parameter.name != "render_mode")
    return [*names, "max_episode_steps"]
