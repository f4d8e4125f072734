"""One agent learning in one problem, with what it saw, did and learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nchain_agents.check.action_values import action_values
from nchain_agents.check.experience import Experience
from nchain_agents.check.problems import Problem
from nchain_agents.check.recorder import Recorder
from nchain_agents.prediction import greedy_policy
from nchain_env.mdp import FloatArray, IntArray

# Looks at the values in the second half of the training.
_LOOKS = 200


@dataclass(frozen=True)
class Values:
    """Action values of shape (S, A): before the training, and means of its last two quarters."""

    initial: FloatArray
    earlier: FloatArray
    late: FloatArray


@dataclass(frozen=True)
class Lesson:
    """What one agent did and learned in one problem.

    Args:
        problem: The problem.
        experience: The transitions that it saw.
        actions: (S,) its deterministic actions at the end; None if they depend on more than the
            state.
        values: Its action values, where it has any.
        gamma: Its attribute gamma, where it has one.
        on_policy: Its attribute on_policy, where it has one.
    """

    problem: Problem
    experience: Experience
    actions: IntArray | None
    values: Values | None
    gamma: float | None
    on_policy: bool


def learn(
    make: Callable[[Any, int], Any],
    problem: Problem,
    seed: int,
    steps: int,
    q_values: Callable[[Any, Any], Any] | None = None,
) -> Lesson:
    """Let an agent learn in a problem, and return what it did and learned."""
    states = problem.mdp.num_states
    first, every = steps // 2, max(1, steps // (2 * _LOOKS))
    looks: list[FloatArray] = []

    def look(step: int) -> None:
        if values is not None and step > first and step % every == 0:
            looks.append(values(states))

    values = None
    env = Recorder(problem.make(), look)
    model = make(env, seed)
    values = action_values(model, q_values)
    initial = None if values is None else values(states)
    model.learn(total_timesteps=steps)
    if env.steps == 0:
        raise ValueError("learn took no step in the environment that it was given")
    learned = None
    if initial is not None and looks:
        half = len(looks) // 2
        learned = Values(
            initial, np.mean(looks[:half] or looks, axis=0), np.mean(looks[half:], axis=0)
        )
    gamma = getattr(model, "gamma", None)
    return Lesson(
        problem,
        env.experience,
        greedy_policy(model, states),
        learned,
        None if gamma is None else float(gamma),
        bool(getattr(model, "on_policy", False)),
    )
