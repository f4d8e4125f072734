"""How a saved agent says which environment it learns in."""

from __future__ import annotations

import json
from typing import Any

import gymnasium as gym

from nchain_agents import storage
from nchain_agents.env_argument import Env
from nchain_env.checks import integer

# A larger argument of an environment in a file must not exceed the size of the file's arrays.
_LARGE = 2**20


def recipe_of(env: Env) -> dict[str, Any] | None:
    """Return how to make such an environment, None where its id and JSON do not suffice."""
    spec = env.spec
    if spec is None or spec.additional_wrappers or isinstance(env, gym.vector.VectorEnv):
        return None
    kwargs = {name: value for name, value in spec.kwargs.items() if name != "render_mode"}
    recipe = {"id": spec.id, "max_episode_steps": spec.max_episode_steps, "kwargs": kwargs}
    try:
        return recipe if json.loads(json.dumps(recipe)) == recipe else None
    except (TypeError, ValueError):
        return None


def made_by(recipe: dict[str, Any] | None, size: int) -> Env:
    """Make the environment of a recipe, if it is registered: a file names no code to run.

    The file's arrays have `size` bytes.
    """
    if recipe is None:
        raise ValueError("env must be given: the file does not say how to make it")
    if set(recipe) != {"id", "max_episode_steps", "kwargs"}:
        raise ValueError("env must say id, max_episode_steps and kwargs")
    name, steps = storage.typed("id", recipe["id"], str), recipe["max_episode_steps"]
    if steps is not None:
        integer("max_episode_steps", steps, -1, storage.LARGEST)
    kwargs = storage.typed("kwargs", recipe["kwargs"], dict)
    if name not in gym.registry:
        raise ValueError(f"env must be given: the file names {name!r}, which is not registered")
    # An environment of a million states has a table of as many rows in the file.
    for argument, value in kwargs.items():
        if type(value) is int and abs(value) > max(_LARGE, size):
            raise ValueError(
                f"env must be given: the file makes {name} with {argument}={value}, "
                "more than it holds itself"
            )
    kwargs = {argument: value for argument, value in kwargs.items() if argument != "render_mode"}
    try:
        return gym.make(name, max_episode_steps=steps, **kwargs)
    except Exception as error:  # whatever the environment says of such arguments
        raise ValueError(f"{name} cannot be made with {kwargs}: {error}") from error
