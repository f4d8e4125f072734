"""Expected returns of policies: exact where the environment has a model, else by episodes."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, overload

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.wrappers import TimeLimit

from nchain_agents.env_argument import EnvLike, environment
from nchain_agents.model_check import check_model
from nchain_agents.prediction import Model, greedy_policy, player, returns_on_table
from nchain_agents.presets import tuned_max_episode_steps
from nchain_env.checks import integer
from nchain_env.known_tables import NotKnown, known_table, time_limit
from nchain_env.mdp import FloatArray, TabularMDP
from nchain_env.planning import optimal_gain, optimal_return, policy_return, restarting
from nchain_env.planning.elimination import DIRECT_STATES

_NO_MODEL = "the environment has no model"
# An episode that goes on for longer without a time limit is taken to have no end.
_ENDLESS = 100_000
_NO_LIMIT = (
    "env must have a time limit, as max_episode_steps=... of gym.make, or "
    "gymnasium.wrappers.TimeLimit, sets it; this one has none"
)


class ReturnEstimate(NamedTuple):
    """The expected return of one episode, and its standard error."""

    mean: float
    standard_error: float  # 0 where it is exact


@dataclass(frozen=True)
class ExactEvaluator:
    """Computes expected returns from the outcome table, without simulation.

    Each distinct policy is evaluated once.
    """

    mdp: TabularMDP
    horizon: int  # the number of steps after which an episode is cut off
    episodes: int = 100  # that a recurrent model plays, on the table
    checked: int = 0  # steps of the environment that agreed with the table; 0: it is known
    _known: dict[Any, float] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def how(self) -> str:
        """How returns are found, and why so, in words."""
        if not self.checked:
            return "computed exactly"
        return f"computed exactly on the model, with which {self.checked:,} steps agreed"

    @cached_property
    def optimal(self) -> float:
        """The best expected return of one episode."""
        return optimal_return(self.mdp, self.horizon)

    @cached_property
    def random(self) -> float:
        """The expected return of one episode of uniformly random actions."""
        states, actions = self.mdp.num_states, self.mdp.num_actions
        return self.policy_return(np.full((states, actions), 1 / actions))

    @cached_property
    def optimal_gain(self) -> float:
        """The largest long-run reward per step, where an episode that ends is followed by the next.

        Episodes are not cut off. NaN with more than 1,000 states, or too many start states.
        """
        if self.mdp.num_states > DIRECT_STATES:
            return float("nan")
        try:
            return optimal_gain(restarting(self.mdp))
        except ValueError:
            return float("nan")

    def policy_return(self, policy: npt.ArrayLike) -> float:
        """Return the expected return of one episode of a policy, (S,) or (S, A)."""
        return self._once("return", self.mdp, policy)

    def episode_length(self, policy: npt.ArrayLike) -> float:
        """Return the expected number of steps of one episode of a policy, (S,) or (S, A)."""
        if not self.mdp.terminated.any():
            return float(self.horizon)
        return self._once("length", self._counting, policy)

    @cached_property
    def _counting(self) -> TabularMDP:
        """The process with a reward of 1 a step."""
        return replace(self.mdp, reward=np.ones_like(self.mdp.reward))

    def _once(self, what: str, mdp: TabularMDP, policy: npt.ArrayLike) -> float:
        key = (what, fingerprint(policy))
        if key not in self._known:
            self._known[key] = policy_return(mdp, policy, self.horizon)
        return self._known[key]

    def evaluate(self, model: Model) -> ReturnEstimate:
        """Return the expected return of a model's deterministic policy.

        A recurrent model, one whose `predict` returns a state, plays episodes on the table.
        """
        policy = greedy_policy(model, self.mdp.num_states)
        if policy is not None:
            return ReturnEstimate(self.policy_return(policy), 0.0)
        return _mean(returns_on_table(model, self.mdp, self.horizon, self.episodes, seed=0))


@dataclass(frozen=True)
class EpisodeEvaluator:
    """Estimates expected returns by playing episodes, the same ones for the same policy."""

    env: gym.Env[Any, Any]  # its time limit is that of `max_episode_steps`
    episodes: int  # at least 2
    seed: int = 0
    reason: str = _NO_MODEL  # why there is no exact answer

    @property
    def how(self) -> str:
        """How returns are found, and why so, in words."""
        return f"estimated by {self.episodes} episodes, as {self.reason}"

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
        return self._play(lambda observation, first: space.sample()).mean

    def evaluate(self, model: Model) -> ReturnEstimate:
        """Return the mean return of a model's deterministic policy, with its standard error."""
        return self._play(player(model, isinstance(self.env.action_space, gym.spaces.Discrete)))

    def _play(self, act: Any) -> ReturnEstimate:
        limit, env = max_episode_steps(self.env), self.env
        if limit is not None and time_limit(env) is None:
            env = TimeLimit(env, limit)
        returns = np.zeros(self.episodes)
        for episode in range(self.episodes):
            observation, _ = env.reset(seed=self.seed if episode == 0 else None)
            first, over, steps = True, False, 0
            while not over:
                observation, reward, terminated, truncated, _ = env.step(act(observation, first))
                returns[episode] += float(reward)
                first, over, steps = False, terminated or truncated, steps + 1
                if limit is None and steps >= _ENDLESS:
                    raise ValueError(f"{_NO_LIMIT}, and an episode went on for {steps:,} steps")
        return _mean(returns)


# Both have `how`, `optimal` (the return that scores 100), `random` (0) and `evaluate`.
Evaluator = ExactEvaluator | EpisodeEvaluator


def fingerprint(policy: npt.ArrayLike) -> tuple[str, tuple[int, ...], bytes]:
    """Return a short key that equal policies share, and different ones do not."""
    array = np.ascontiguousarray(policy)
    return array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest()


def _mean(returns: FloatArray) -> ReturnEstimate:
    return ReturnEstimate(float(returns.mean()), float(returns.std(ddof=1) / np.sqrt(len(returns))))


def max_episode_steps(env: gym.Env[Any, Any]) -> int | None:
    """Return the number of steps after which an episode of an environment is cut off.

    That is the smallest of its TimeLimit wrappers; else what it is registered with
    (`max_episode_steps`); else what the presets learn it with, as for CliffWalking-v1, which has
    none of its own. None where there is none of all these.
    """
    limit = time_limit(env)
    if limit is not None:
        return limit
    if env.spec is None:
        return None
    registered = env.spec.max_episode_steps or 0
    return registered if registered > 0 else tuned_max_episode_steps(env.spec.id)


def evaluator_of(env: gym.Env[Any, Any], episodes: int = 100) -> Evaluator:
    """Return an evaluator of the policies in an environment.

    Exact are environments that are known to sample their table (see `known_table`). Others that
    offer one (`P` and `initial_state_distrib`, as in toy-text) are exact if some thousand steps
    agree with it (see `check_model`). In all others episodes are played.

    Args:
        env: The environment. It is reset where episodes are played, and where it must be checked
            and cannot be copied.
        episodes: How many episodes are played, at least 2.

    Raises:
        ValueError: It has a model but no time limit; see `max_episode_steps`.
    """
    integer("episodes", episodes, 2)
    try:
        return ExactEvaluator(known_table(env), needed_limit(env), episodes)
    except NotKnown:
        pass
    if not hasattr(env.unwrapped, "P"):
        return EpisodeEvaluator(env, episodes)
    try:
        mdp = TabularMDP.from_env(env)
    except ValueError as error:
        return EpisodeEvaluator(env, episodes, reason=f"its model cannot be read: {error}")
    limit = needed_limit(env)
    steps, difference = check_model(env, mdp, limit)
    if difference is not None:
        reason = f"its model does not describe it: {difference}"
        return EpisodeEvaluator(env, episodes, reason=reason)
    return ExactEvaluator(mdp, limit, episodes, steps)


def needed_limit(env: gym.Env[Any, Any]) -> int:
    """Return `max_episode_steps` of an environment whose returns are computed on its table.

    Raises:
        ValueError: It has none.
    """
    limit = max_episode_steps(env)
    if limit is None:
        raise ValueError(_NO_LIMIT)
    return limit


def how_found(evaluator: Evaluator, estimate: ReturnEstimate) -> str:
    """Return in words how a policy's return was found: a recurrent one's is never exact."""
    if isinstance(evaluator, EpisodeEvaluator) or estimate.standard_error == 0:
        return evaluator.how
    return f"estimated by {evaluator.episodes} episodes, as the agent is recurrent"


def scaled(evaluator: Evaluator, expected_return: float) -> float:
    """Return where a return lies between random (0) and optimal (100).

    NaN where every policy earns the same, so that there is nothing to tell apart, and where it is
    not known what is optimal.
    """
    span = evaluator.optimal - evaluator.random
    if not span > 1e-9 * max(1.0, abs(evaluator.optimal)):
        return float("nan")
    return 100 * (expected_return - evaluator.random) / span


@overload
def score(model: Model, env: EnvLike, episodes: int = 100) -> float: ...
@overload
def score(model: Sequence[Model], env: EnvLike, episodes: int = 100) -> FloatArray: ...
def score(model: Model | Sequence[Model], env: EnvLike, episodes: int = 100) -> float | FloatArray:
    """Return how good a model's deterministic policy is: 100 = optimal, 0 = uniformly random.

    score = 100 (R - R_random) / (R_optimal - R_random), each R the expected undiscounted return of
    one episode. They are computed on the environment's outcome table, without simulation, where it
    is known to sample it: a TabularEnv, or toy-text's FrozenLake, CliffWalking or Taxi. Another
    environment that offers a table (`P` and `initial_state_distrib`) is checked by some thousand
    steps first. All others are played, and 100 stands for the reward threshold that they are
    registered with. A recurrent model, one whose `predict` returns a state, plays episodes, too.

    An episode lasts as long as the environment's time limit; where it has none, as long as that
    which the presets learn it with (200 steps for CliffWalking-v1), as in `compare`.

    Args:
        model: Anything with stable-baselines3's `predict`, for a batch of observations or for one;
            or a list of these, of which equal policies are evaluated once where that is exact.
        env: An environment, its id with parameters as `NChain-v0 n=8`, its EnvSpec, a function that
            makes it, or a TabularMDP.
        episodes: How many episodes are played.

    Returns:
        At most 100 where it is exact; below 0 if it is worse than chance; NaN where all policies
        earn the same. For a list of models, an array of their scores.

    Raises:
        ValueError: The environment has a model but no time limit, or neither a model that describes
            it nor a reward threshold; or an episode without a time limit does not end.

    Warns:
        UserWarning: The environment offers a table that does not describe it, so it was played; the
            message says what differs.
    """
    evaluator = evaluator_of(environment(env), episodes)
    reason = evaluator.reason if isinstance(evaluator, EpisodeEvaluator) else _NO_MODEL
    if np.isnan(evaluator.optimal):
        raise ValueError(
            "env must have a model (P and initial_state_distrib, as in toy-text) that describes "
            f"it, or a reward threshold; {reason}"
        )
    if reason != _NO_MODEL:
        warnings.warn(f"the score is {evaluator.how}", stacklevel=2)
    if isinstance(model, Sequence):
        return np.array([scaled(evaluator, evaluator.evaluate(one).mean) for one in model])
    return scaled(evaluator, evaluator.evaluate(model).mean)
