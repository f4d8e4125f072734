"""One agent learning in one problem, with what it saw, did and learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nchain_agents.check.action_values import action_values
from nchain_agents.check.experience import Experience
from nchain_agents.check.problems import Problem
from nchain_agents.check.recorder import Recorder, VectorRecorder
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


@dataclass(frozen=True)
class Vector:
    """The vector environment that an agent learns in.

    Args:
        num_envs: The number of environments.
        autoreset_mode: "NextStep", "SameStep" or "Disabled".
    """

    num_envs: int
    autoreset_mode: str


def learn(
    make: Callable[[Any, int], Any],
    problem: Problem,
    seed: int,
    steps: int,
    q_values: Callable[[Any, Any], Any] | None = None,
    vector: Vector | None = None,
) -> Lesson:
    """Let an agent learn in a problem, and return what it did and learned.

    Args:
        make: A function of the environment and a seed that returns the agent.
        problem: The problem.
        seed: The seed.
        steps: The number of steps.
        q_values: See `action_values`.
        vector: The vector environment to learn in; None for a single environment.
    """
    states = problem.mdp.num_states
    every = max(1.0, steps / (2 * _LOOKS))
    looks: list[FloatArray] = []

    def look(step: int) -> None:
        if values is not None and step >= steps / 2 + every * (len(looks) + 1):
            looks.append(values(states))

    values = None
    env: Recorder | VectorRecorder
    if vector is None:
        env = Recorder(problem.make(), look)
    else:
        env = VectorRecorder(problem.make_vec(vector.num_envs, vector.autoreset_mode), look)
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
    return Lesson(
        problem,
        env.experience,
        greedy_policy(model, states),
        learned,
        _gamma(model),
        bool(getattr(model, "on_policy", False)),
    )


def _gamma(model: Any) -> float | None:
    """Return the discount factor that an agent says it has; None if that is no such number."""
    gamma = getattr(model, "gamma", None)
    return float(gamma) if isinstance(gamma, int | float) and 0 <= gamma <= 1 else None
