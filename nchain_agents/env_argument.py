"""The parameter `env` of agents, of `score` and of `compare`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import VectorEnv

from nchain_env import TabularEnv, TabularMDP

Env = gym.Env[Any, Any]
# An environment, or what one is made from: a label, a spec, a table, or a function
EnvLike = Env | str | EnvSpec | TabularMDP | Callable[..., Env]


def environment(env: Any) -> Any:
    """Return the environment, or the vector environment, that was given or is described.

    It may be described by a label such as `NChain-v0 n=8`, or by what `as_spec` takes.

    Raises:
        ValueError: It is not, or it cannot be made.
    """
    if isinstance(env, gym.Env | VectorEnv):
        return env
    try:
        if not isinstance(env, str):
            return gym.make(as_spec(env))
        env_id, parameters = parsed(env)
        return gym.make(env_id, **parameters)
    except gym.error.Error as error:
        raise ValueError(f"env must be the id of an environment, got {env!r}: {error}") from error
    except TypeError as error:  # a function that makes something else, or a parameter that is none
        raise ValueError(f"env must be one that can be made, got {env!r}: {error}") from error


def as_spec(env: Any) -> EnvSpec:
    """Return how `gym.make` makes an environment: of a spec, a `TabularMDP`, or a function.

    Raises:
        ValueError: It is something else.
    """
    if isinstance(env, EnvSpec):
        return env
    if isinstance(env, TabularMDP):
        return EnvSpec("TabularMDP", partial(TabularEnv, env))
    if any(base.__module__.startswith("stable_baselines3.") for base in type(env).__mro__):
        raise ValueError(
            f"env must be an environment of Gymnasium's, got stable-baselines3's "
            f"{type(env).__name__}; use gymnasium.make_vec(id, num_envs=...), or "
            "gymnasium.vector.SyncVectorEnv with the functions that make the environments"
        )
    if not callable(env):
        raise ValueError(
            "env must be an environment of Gymnasium's, the id of one, its EnvSpec, a function "
            f"that makes one, or a TabularMDP, got {env!r}"
        )
    name = getattr(env, "__name__", "")
    return EnvSpec(name if re.fullmatch(r"\w+", name) else "environment", env)


def parsed(label: str) -> tuple[str, dict[str, Any]]:
    """Return the id and the parameters of a label.

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


def label(env: Env) -> str:
    """Return the label of an environment that `gym.make` made: what differs from its registration.

    It is the inverse of `parsed`.
    """
    assert env.spec is not None
    known = gym.registry.get(env.spec.id)
    registered = {} if known is None else known.kwargs
    given = {
        name: value
        for name, value in env.spec.kwargs.items()
        if name != "render_mode" and (name not in registered or registered[name] != value)
    }
    return labelled(env.spec.id, given)


def shown(env: Env) -> Any:
    """Return what shows an environment in a few words: its label, or itself without one."""
    spec = env.spec
    made = spec is not None and isinstance(spec.entry_point, str) and isinstance(env, gym.Env)
    return label(env) if made else env.unwrapped


def labelled(env_id: str, parameters: Mapping[str, Any]) -> str:
    """Return the label of an id with parameters."""
    return " ".join([env_id, *(f"{name}={as_text(v)}" for name, v in parameters.items())])


def as_text(value: Any) -> str:
    """Return a parameter's value as it stands in a label."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def from_text(value: str) -> Any:
    """Return the value of a text as JSON, or the text itself where it is not JSON."""
    try:
        return json.loads(value)
    except ValueError:
        return value
