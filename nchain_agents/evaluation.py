"""What a policy is worth, exactly, where the environment has a model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import numpy.typing as npt

import nchain_env  # noqa: F401  (registers NChain-v0)
from nchain_env.mdp import IntArray, TabularMDP
from nchain_env.planning import optimal_return, policy_return


class Model(Protocol):
    """Anything that predicts like stable-baselines3's models, ours among them."""

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        """Return the actions for a batch of observations, and a state."""


@dataclass(frozen=True)
class Yardstick:
    """The exact returns that policies are measured against.

    Args:
        mdp: The process.
        horizon: The number of steps after which an episode is cut off.
    """

    mdp: TabularMDP
    horizon: int

    @classmethod
    def of_env(cls, env: gym.Env[Any, Any]) -> Yardstick:
        """Measure with an environment's model and time limit.

        Raises:
            ValueError: The environment has no model, or no time limit.
        """
        horizon = env.spec.max_episode_steps if env.spec is not None else None
        if horizon is None:
            raise ValueError("env must have a time limit, as gym.make sets it; this one has none")
        return cls(TabularMDP.from_env(env), horizon)

    @cached_property
    def optimal(self) -> float:
        """The best expected return of one episode."""
        return optimal_return(self.mdp, self.horizon)

    @cached_property
    def random(self) -> float:
        """The expected return of one episode of uniformly random actions."""
        states, actions = self.mdp.num_states, self.mdp.num_actions
        return policy_return(self.mdp, np.full((states, actions), 1 / actions), self.horizon)

    def policy_return(self, policy: npt.ArrayLike) -> float:
        """Return the expected return of one episode of a policy, (S,) or (S, A)."""
        return policy_return(self.mdp, policy, self.horizon)

    def score(self, expected_return: float) -> float:
        """Return where a return lies between random (0) and optimal (100).

        NaN where every policy earns the same, so that there is nothing to tell apart.
        """
        span = self.optimal - self.random
        if span <= 1e-9 * max(1.0, abs(self.optimal)):
            return float("nan")
        return 100 * (expected_return - self.random) / span


def greedy_policy(model: Model, num_states: int) -> IntArray:
    """Return the model's deterministic action in every state, of shape (S,)."""
    actions, _ = model.predict(np.arange(num_states), deterministic=True)
    return np.asarray(actions, dtype=np.int64).reshape(num_states)


def score(model: Model, env: gym.Env[Any, Any] | str) -> float:
    """Return how good a model's deterministic policy is: 100 = optimal, 0 = uniformly random.

    score = 100 (R - R_random) / (R_optimal - R_random), each R the expected undiscounted return of
    one episode, computed on the environment's outcome table without simulation.

    Args:
        model: Anything with stable-baselines3's `predict`.
        env: An environment with a model (`P`, as in toy-text) and a time limit, or the id of one.

    Returns:
        At most 100; below 0 if it is worse than chance; NaN where all policies earn the same.

    Raises:
        ValueError: The environment has no model, or no time limit.
    """
    yardstick = Yardstick.of_env(gym.make(env) if isinstance(env, str) else env)
    policy = greedy_policy(model, yardstick.mdp.num_states)
    return yardstick.score(yardstick.policy_return(policy))
