"""Posterior sampling (Strens 2000; Osband, Russo & Van Roy 2013)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from nchain_agents.env_argument import EnvLike
from nchain_agents.tabular.dense import largest_reward, solved
from nchain_agents.tabular.loop import Settings, Transition
from nchain_agents.tabular.model_based import ModelBasedAgent, ModelTables, observe_by_episode
from nchain_agents.tabular.table_agent import Compiled
from nchain_agents.training_log import LogFolder
from nchain_env.checks import instance, real
from nchain_env.known_tables import known_table
from nchain_env.mdp import LARGEST_REWARD, BoolArray, FloatArray, TabularMDP

# The prior of the rewards where none is given, in units of the largest |reward| seen. Smaller hopes
# give up a large reward behind small ones too early in some seeds; larger ones explore for longer.
_MEAN, _SCALE = 10.0, 3.0


def update(
    tables: ModelTables, settings: Settings, transition: Transition, epsilon: float, rng: Any
) -> None:
    """Count what happened; a sample is also due after a longer period than the last.

    A period is longer than the last one by at most a step. Without this, an agent that keeps to a
    part of the model that it knows would sample only as often as its visits there double.

    Source: Ouyang, Gagrani, Nayyar & Jain 2017, Learning Unknown Markov Decision Processes: A
    Thompson Sampling Approach, section 3 (NeurIPS), for both rules without episodes.
    """
    observe_by_episode(tables, settings, transition, epsilon, rng)
    if tables.period[0] > tables.period[1]:
        tables.due[0] = 1


class PosteriorSampling(ModelBasedAgent):
    """Sample a model from the posterior, act by its optimal policy, and sample again.

    The outcomes of each state and action, the S states and the end of the episode, have a Dirichlet
    posterior. The rewards of each state and action are taken to be normal, with a mean and a
    variance that have a normal-gamma posterior. A model is sampled at the start of each episode,
    when a state and action has been visited as often since the last sample as before it, and when
    the last sample has been followed for one step more than the one before it. It needs no epsilon.

    By default the prior expects 10 times the largest |reward| seen so far, with the weight of a
    tenth of an observation: the agent does not know the size of the rewards, and tries what it has
    not seen. If all rewards are multiplied by the same positive number, it does the same.
    Osband et al. (2013) use `reward_mean=1, reward_scale=1, reward_strength=1`.

    `predict(deterministic=True)` takes the best action for the mean of the posterior, `q`;
    otherwise the best one for the sampled model. Time and memory grow with S^2 A: it is meant for
    small environments.

    Args:
        env: An environment with discrete observations and actions, or what `Agent` takes for one.
        gamma: The discount factor that models are solved with, in [0, 1).
        prior: The weight of the prior of each state and action's outcomes, as a number of
            observations spread evenly over them; positive.
        reward_mean: The prior mean of each state and action's mean reward; None: 10 times the
            largest |reward| seen.
        reward_scale: The prior scale of the rewards' standard deviation, positive; None: 3 times
            the largest |reward| seen. It counts as one observation.
        reward_strength: The weight of reward_mean, as a number of observations; positive.
        rewards: "learned", or "known": the mean reward of each state and action is read from the
            environment's table, which it must be known to sample (a TabularEnv, or toy-text's
            FrozenLake, CliffWalking or Taxi).
        seed: The seed of the agent and of its environment.
        compiled: True, False or "auto"; see `TableAgent`.
        tensorboard_log: A folder for TensorBoard's files; see `Agent`.

    Raises:
        ValueError: A space is not discrete, a parameter is outside its range, or rewards are to be
            known and the environment is not known to sample a table.
        ModuleNotFoundError: compiled is True and Numba is not installed.

    Source: Strens 2000, A Bayesian Framework for Reinforcement Learning, section 4 (ICML); Osband,
    Russo & Van Roy 2013, (More) Efficient Reinforcement Learning via Posterior Sampling, sections 3
    and 6 (NeurIPS), for sampling by episode, and for the priors.
    """

    parameters: ClassVar[tuple[str, ...]] = (
        "gamma",
        "prior",
        "reward_mean",
        "reward_scale",
        "reward_strength",
        "rewards",
        "compiled",
    )
    update = staticmethod(update)

    def __init__(
        self,
        env: EnvLike,
        *,
        gamma: float = 0.95,
        prior: float = 1.0,
        reward_mean: float | None = None,
        reward_scale: float | None = None,
        reward_strength: float = 0.1,
        rewards: Literal["learned", "known"] = "learned",
        seed: int | None = None,
        compiled: Compiled = "auto",
        tensorboard_log: LogFolder = None,
    ) -> None:
        real("gamma", gamma, 0, 1, open_high=True)
        super().__init__(
            env, gamma=gamma, seed=seed, compiled=compiled, tensorboard_log=tensorboard_log
        )
        self.prior = real("prior", prior, 0, open_low=True)
        if self._prior_weight < np.finfo(np.float64).tiny:
            raise ValueError(f"prior must be large enough to be shared out, got {prior!r}")
        self.reward_mean = (
            None
            if reward_mean is None
            else real("reward_mean", reward_mean, -LARGEST_REWARD, LARGEST_REWARD)
        )
        self.reward_scale = (
            None
            if reward_scale is None
            else real("reward_scale", reward_scale, 0, LARGEST_REWARD, open_low=True)
        )
        self.reward_strength = real("reward_strength", reward_strength, 0, open_low=True)
        self.rewards: str = instance("rewards", rewards, str, "'learned' or 'known'")
        if rewards not in ("learned", "known"):
            raise ValueError(f"rewards must be 'learned' or 'known', got {rewards!r}")
        self._known: FloatArray | None = None
        if rewards == "known":
            mdp = known_table(self.env)
            self._known = (mdp.probability * mdp.reward).sum(axis=2)

    def estimate(self) -> FloatArray:
        """Return the action values, (S, A), of the mean of the posterior."""
        weights = np.asarray(self.tables.counts + self._prior_weight, dtype=np.float64)
        reward = self._mean_rewards() if self._known is None else self._known
        return self._solved(_normalised(weights), reward)

    def sample_model(self) -> TabularMDP:
        """Return a model drawn from the posterior by the agent's generator.

        Its outcomes are those of the counts: the S states and the end of the episode.
        """
        probability, reward = self._sample()
        states, _, outcomes = probability.shape
        end: BoolArray = np.arange(outcomes) == states
        return TabularMDP(
            next_state=np.broadcast_to(np.where(end, 0, np.arange(outcomes)), probability.shape),
            probability=probability,
            reward=np.broadcast_to(reward[:, :, None], probability.shape),
            terminated=np.broadcast_to(end, probability.shape),
            initial=np.full(states, 1 / states),
        )

    def plan(self) -> FloatArray:
        """Sample a model, and return its action values, (S, A)."""
        return self._solved(*self._sample())

    def _sample(self) -> tuple[FloatArray, FloatArray]:
        """Draw the probabilities of the outcomes, (S, A, S + 1), and the mean rewards, (S, A)."""
        weights = self.np_random.standard_gamma(self.tables.counts + self._prior_weight)
        # a weight can underflow to 0, but not all of a row: the counts or the prior stop that
        weights += np.finfo(np.float64).tiny
        return _normalised(weights), self._sampled_rewards() if self._known is None else self._known

    def _sampled_rewards(self) -> FloatArray:
        """Draw the mean rewards, (S, A), from the normal-gamma posterior.

        The precision, 1 / variance, is Gamma((1 + n) / 2, rate b); given it, the mean is normal
        with a variance of 1 / ((reward_strength + n) precision). Roots are taken throughout,
        because the squares of large rewards overflow.
        """
        tables, (mean, scale) = self.tables, self._reward_prior()
        weight = self.reward_strength + tables.visits
        surprise = np.sqrt(self.reward_strength / weight * tables.visits)
        surprise *= np.abs(tables.reward_mean - mean)
        root_of_2b = np.hypot(np.hypot(scale, tables.reward_spread), surprise)
        draws = self.np_random.standard_gamma((1 + tables.visits) / 2) + np.finfo(np.float64).tiny
        with np.errstate(over="ignore"):  # bounded below
            deviation = root_of_2b / np.sqrt(2 * draws) / np.sqrt(weight)
            sampled = self._mean_rewards() + deviation * self.np_random.standard_normal(self._shape)
        largest = min(LARGEST_REWARD, largest_reward(self.gamma))
        bounded: FloatArray = np.maximum(np.minimum(sampled, largest), -largest)
        return bounded

    def _mean_rewards(self) -> FloatArray:
        """Return the posterior's centre of the mean rewards, (S, A)."""
        prior = self._reward_prior()[0]
        share = self.tables.visits / (self.reward_strength + self.tables.visits)
        return np.asarray(prior + share * (self.tables.reward_mean - prior))

    def _reward_prior(self) -> tuple[float, float]:
        """Return the prior mean and scale of the rewards."""
        largest = float(self.tables.largest_reward[0]) or 1.0  # a unit, while nothing is known
        return (
            _MEAN * largest if self.reward_mean is None else self.reward_mean,
            _SCALE * largest if self.reward_scale is None else self.reward_scale,
        )

    def _solved(self, probability: FloatArray, reward: FloatArray) -> FloatArray:
        return solved(probability[:, :, :-1], reward, self.gamma, self.tables.q)

    @property
    def _prior_weight(self) -> float:
        return self.prior / (self._shape[0] + 1)


def _normalised(weights: FloatArray) -> FloatArray:
    """Return the weights of the outcomes as probabilities."""
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))
