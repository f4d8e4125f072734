"""Environments that are known to sample their outcome table, so that the table can replace them.

An environment that offers a table need not follow it: a subclass may override `step`, and a wrapper
may change the rewards. Known are only environments whose functions are our own or toy-text's, by
identity.
"""

from __future__ import annotations

import sys
from functools import cache, lru_cache
from inspect import getattr_static
from typing import Any

import gymnasium as gym
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from nchain_env.mdp import TabularMDP
from nchain_env.tabular_env import TabularEnv

# Wrappers that change nothing for an agent, except for the time limit, which is read.
_TRANSPARENT = (OrderEnforcing, PassiveEnvChecker, TimeLimit)


class NotKnown(ValueError):  # noqa: N818  (a fact, not a fault)
    """An environment is not known to sample a table; the message says why."""


def known_table(env: gym.Env[Any, Any]) -> TabularMDP:
    """Return the table that an environment is known to sample.

    Known are TabularEnv and toy-text's FrozenLake, CliffWalking and Taxi (without a fickle
    passenger), and subclasses that leave `step`, `reset` and what these read as they are; with no
    wrappers but those that `gym.make` adds.

    Raises:
        NotKnown: It is not known to; the message says why.
        ValueError: Its table is not valid.
    """
    layer = inner_env(env)
    kind = next((one for one in type(layer).__mro__ if one in _samplers()), None)
    if kind is None:
        try:
            TabularMDP.from_env(layer)  # without a table that is what to say
        except ValueError as error:
            raise NotKnown(str(error)) from None
        raise NotKnown(
            f"env must be known to sample its table, as TabularEnv and toy-text's do; "
            f"{type(layer).__name__} is not, so it must be stepped"
        )
    _refuse_changes(layer, kind)
    if getattr(layer, "fickle_passenger", False):  # who changes his mind outside Taxi's table
        raise NotKnown("env has a fickle passenger, who is not in its table")
    model: Any = layer
    if kind is TabularEnv or not all(hasattr(model, n) for n in ("P", "initial_state_distrib")):
        return TabularMDP.from_env(model)
    return TabularMDP.from_P(model.P, model.initial_state_distrib)


def inner_env(env: gym.Env[Any, Any]) -> Any:
    """Return the environment under wrappers that change nothing; NotKnown for other wrappers."""
    layer = env
    while isinstance(layer, gym.Wrapper):
        if type(layer) not in _TRANSPARENT:
            raise NotKnown(f"env wears {type(layer).__name__}, which may change what is seen")
        _refuse_changes(layer, type(layer))
        layer = layer.env
    return layer


def time_limits(env: gym.Env[Any, Any]) -> list[Any]:
    """Return the TimeLimit wrappers of an environment, the outermost first."""
    limits, layer = [], env
    while isinstance(layer, gym.Wrapper):
        if isinstance(layer, TimeLimit):
            limits.append(layer)
        layer = layer.env
    return limits


def time_limit(env: gym.Env[Any, Any]) -> int | None:
    """Return the number of steps after which TimeLimit wrappers truncate; None without them."""
    return min((limit._max_episode_steps for limit in time_limits(env)), default=None)


@cache
def _samplers() -> tuple[type, ...]:
    from gymnasium.envs.toy_text import CliffWalkingEnv, FrozenLakeEnv, TaxiEnv

    return TabularEnv, FrozenLakeEnv, CliffWalkingEnv, TaxiEnv


def _refuse_changes(layer: Any, kind: type) -> None:
    """Refuse an instance that has functions of its own which `step` or `reset` of `kind` call.

    Data in the instance (`P`, `s`) is what they sample.
    """
    given: Any = type(layer)
    for name in _functions(given, kind, given.step, given.reset) & vars(layer).keys():
        raise NotKnown(_changed(given, name, kind))


@lru_cache(maxsize=64)
def _functions(given: type, kind: type, step: Any, reset: Any) -> frozenset[str]:
    """Return `step`, `reset` and the functions that they call, by the names in their code.

    They are those of `kind`, else NotKnown is raised. `step` and `reset` belong to the cache's key,
    because a class may be changed later.
    """
    if given.__mro__[-len(kind.__mro__) :] != kind.__mro__:
        raise NotKnown(
            f"env may do something else than its table says: {given.__name__} puts another class "
            f"between {kind.__name__} and its base"
        )
    names = {"step", "reset"}
    for name in ("step", "reset"):
        if not as_written(kind, name):
            raise NotKnown(_changed(kind, name, kind))
        names |= set(vars(kind)[name].__code__.co_names)
    names -= {"render", "outcome_info"}  # what is drawn and told is not sampled
    for name in sorted(names):
        if getattr_static(given, name, None) is not getattr_static(kind, name, None):
            raise NotKnown(_changed(given, name, kind))
    return frozenset(name for name in names if callable(getattr_static(kind, name, None)))


def _changed(given: type, name: str, kind: type) -> str:
    return (
        f"env may do something else than its table says: {given.__name__}.{name} is not that of "
        f"{kind.__module__}.{kind.__qualname__}"
    )


def as_written(kind: type, name: str) -> bool:
    """Return whether a method is the one in the class's source, and no function put over it."""
    function = vars(kind).get(name)
    code = getattr(function, "__code__", None)
    return (
        code is not None
        and code.co_qualname == f"{kind.__qualname__}.{name}"
        and function.__globals__ is vars(sys.modules[kind.__module__])  # type: ignore[union-attr]
    )
