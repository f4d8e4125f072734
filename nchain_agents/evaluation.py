"""What a policy is worth: exactly where the environment has a model, by episodes elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
import numpy.typing as npt

import nchain_env  # noqa: F401  (registers NChain-v0)
from nchain_env.checks import integer
from nchain_env.mdp import IntArray, TabularMDP
from nchain_env.planning import optimal_return, policy_return


class Model(Protocol):
    """Anything that predicts like stable-baselines3's models, ours among them."""

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        """Return the actions for one observation or a batch of them, and a state."""


class Worth(NamedTuple):
    """The expected return of one episode, and how far off that may be."""

    mean: float
    standard_error: float  # 0 where it is exact


class Yardstick(Protocol):
    """What policies are measured against."""

    @property
    def optimal(self) -> float:
        """The return that scores 100."""

    @property
    def random(self) -> float:
        """The expected return of one episode of uniformly random actions, which scores 0."""

    def worth(self, model: Model) -> Worth:
        """Return what a model's deterministic policy is worth."""


@dataclass(frozen=True)
class ExactYardstick:
    """Measures by the outcome table, without simulation.

    Args:
        mdp: The process.
        horizon: The number of steps after which an episode is cut off.
    """

    mdp: TabularMDP
    horizon: int

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

    def worth(self, model: Model) -> Worth:
        """Return what a model's deterministic policy is worth, exactly."""
        return Worth(self.policy_return(greedy_policy(model, self.mdp.num_states)), 0.0)


@dataclass(frozen=True)
class EpisodeYardstick:
    """Measures by playing episodes, always the same ones for the same policy.

    Args:
        env: The environment, which is reset.
        episodes: How many are played, at least 2.
        seed: Seeds the episodes.
    """

    env: gym.Env[Any, Any]
    episodes: int
    seed: int = 0

    @property
    def optimal(self) -> float:
        """The reward from which on the environment counts as solved; NaN if it names none."""
        threshold = self.env.spec.reward_threshold if self.env.spec is not None else None
        return float("nan") if threshold is None else float(threshold)

    @cached_property
    def random(self) -> float:
        """The mean return of an episode of uniformly random actions."""
        space = self.env.action_space
        space.seed(self.seed)
        return self._play(lambda observation: space.sample()).mean

    def worth(self, model: Model) -> Worth:
        """Return what a model's deterministic policy is worth, with a standard error."""
        discrete = isinstance(self.env.action_space, gym.spaces.Discrete)

        def act(observation: Any) -> Any:
            action, _ = model.predict(observation, deterministic=True)
            return int(action) if discrete else action

        return self._play(act)

    def _play(self, act: Any) -> Worth:
        returns = np.zeros(self.episodes)
        for episode in range(self.episodes):
            observation, _ = self.env.reset(seed=self.seed if episode == 0 else None)
            over = False
            while not over:
                observation, reward, terminated, truncated, _ = self.env.step(act(observation))
                returns[episode] += float(reward)
                over = terminated or truncated
        return Worth(float(returns.mean()), float(returns.std(ddof=1) / np.sqrt(self.episodes)))


def yardstick(env: gym.Env[Any, Any], episodes: int = 100) -> ExactYardstick | EpisodeYardstick:
    """Return what measures policies in an environment.

    Args:
        env: The environment; one without a model (`P`, as in toy-text) is stepped.
        episodes: How many episodes are played there, at least 2.

    Raises:
        ValueError: It has a model but no time limit.
    """
    integer("episodes", episodes, 2)
    if not hasattr(env.unwrapped, "P"):
        return EpisodeYardstick(env, episodes)
    horizon = env.spec.max_episode_steps if env.spec is not None else None
    if horizon is None:
        raise ValueError(
            "env must have a time limit, as gym.make(..., max_episode_steps=...) sets it; "
            "this one has none"
        )
    return ExactYardstick(TabularMDP.from_env(env), horizon)


def greedy_policy(model: Model, num_states: int) -> IntArray:
    """Return the model's deterministic action in every state, of shape (S,).

    Raises:
        ValueError: The model does not give one for each of a batch of observations.
    """
    try:
        actions, _ = model.predict(np.arange(num_states), deterministic=True)
        return np.asarray(actions, dtype=np.int64).reshape(num_states)
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise ValueError(
            "model.predict must take a batch of observations and deterministic=True, and return "
            f"one action for each, and a state: {error}"
        ) from error


def scaled(yardstick: Yardstick, expected_return: float) -> float:
    """Return where a return lies between random (0) and optimal (100).

    NaN where every policy earns the same, so that there is nothing to tell apart, and where it is
    not known what is optimal.
    """
    span = yardstick.optimal - yardstick.random
    if not span > 1e-9 * max(1.0, abs(yardstick.optimal)):
        return float("nan")
    return 100 * (expected_return - yardstick.random) / span


def score(model: Model, env: gym.Env[Any, Any] | str, episodes: int = 100) -> float:
    """Return how good a model's deterministic policy is: 100 = optimal, 0 = uniformly random.

    score = 100 (R - R_random) / (R_optimal - R_random), each R the expected undiscounted return of
    one episode, computed on the environment's outcome table without simulation. An environment
    without one is played instead, and 100 stands for the reward threshold that it is registered
    with.

    Args:
        model: Anything with stable-baselines3's `predict`.
        env: An environment, or the id of one.
        episodes: How many episodes are played if it has no model (`P`, as in toy-text).

    Returns:
        At most 100 where it is exact; below 0 if it is worse than chance; NaN where all policies
        earn the same.

    Raises:
        ValueError: The environment has a model but no time limit, or neither a model nor a reward
            threshold.
    """
    measure = yardstick(gym.make(env) if isinstance(env, str) else env, episodes)
    if np.isnan(measure.optimal):
        raise ValueError("env must have a model (P, as in toy-text) or a reward threshold")
    return scaled(measure, measure.worth(model).mean)
