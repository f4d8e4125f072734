"""Posterior sampling (Strens 2000, A Bayesian Framework for Reinforcement Learning)."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from nchain_agents.agent import OnEpisode, Progress
from nchain_agents.env_argument import EnvLike
from nchain_agents.exploration import greedy
from nchain_agents.interrupts import requested
from nchain_agents.storage import Saved
from nchain_agents.tabular.loop import Settings, Transition
from nchain_agents.tabular.table_agent import Compiled, TableAgent
from nchain_env.checks import instance, integer, real
from nchain_env.known_tables import known_table
from nchain_env.mdp import BoolArray, FloatArray, IntArray, TabularMDP
from nchain_env.planning import policy_iteration


class PosteriorTables(NamedTuple):
    """The values of the sampled model, (S, A), and what was seen, (S, A, S + 1).

    The last of the S + 1 outcomes of a state and action is the end of the episode.
    """

    q: FloatArray
    counts: IntArray
    reward_sums: FloatArray


def act(tables: PosteriorTables, settings: Settings, state: int, epsilon: float, rng: Any) -> int:
    """Act optimally for the sampled model."""
    return greedy(tables.q, state, rng)


def update(
    tables: PosteriorTables, settings: Settings, transition: Transition, epsilon: float, rng: Any
) -> None:
    """Count what happened: the posterior is Dirichlet(prior + counts)."""
    state, action, reward, next_state, terminated, _ = transition
    outcome = tables.counts.shape[2] - 1 if terminated else next_state
    tables.counts[state, action, outcome] += 1
    tables.reward_sums[state, action, outcome] += reward


class PosteriorSampling(TableAgent):
    """Sample a model from the posterior, act by its optimal policy, and sample again.

    The outcomes of each state and action, the S states and the end of the episode, have a Dirichlet
    posterior. A model is sampled at the start of each episode and then after every `resample_every`
    steps. The reward of a seen outcome is the mean of its rewards; that of an unseen one is drawn
    from Normal(0, largest |reward| seen). It explores by the uncertainty of the posterior and needs
    no epsilon. Time and memory grow with S^2 A: it is meant for small environments.

    `predict(deterministic=True)` takes the best action for the mean of the posterior, `q`;
    otherwise the best one for the sampled model.

    Args:
        env: An environment with discrete observations and actions, or what `Agent` takes for one.
        gamma: The discount factor that models are solved with, in [0, 1).
        prior: The weight of the prior of each state and action, as a number of observations spread
            evenly over the outcomes; positive.
        resample_every: The number of steps after which a new model is sampled, at least 1; None:
            the horizon 1 / (1 - gamma).
        rewards: "learned", or "known": read from the environment's table, which it must be known
            to sample (a TabularEnv, or toy-text's FrozenLake, CliffWalking or Taxi).
        seed: The seed of the agent and of its environment.
        compiled: True, False or "auto"; see `TableAgent`.

    Raises:
        ValueError: A space is not discrete, a parameter is outside its range, or rewards are to be
            known and the environment is not known to sample a table.
        ModuleNotFoundError: compiled is True and Numba is not installed.

    Source: Strens 2000, section 4 (ICML); Osband, Russo & Van Roy 2013, (More) Efficient
    Reinforcement Learning via Posterior Sampling (NeurIPS), for sampling by episode.
    """

    parameters: ClassVar[tuple[str, ...]] = (
        "gamma",
        "prior",
        "resample_every",
        "rewards",
        "compiled",
    )
    act = staticmethod(act)
    update = staticmethod(update)

    def __init__(
        self,
        env: EnvLike,
        *,
        gamma: float = 0.95,
        prior: float = 1.0,
        resample_every: int | None = None,
        rewards: Literal["learned", "known"] = "learned",
        seed: int | None = None,
        compiled: Compiled = "auto",
    ) -> None:
        real("gamma", gamma, 0, 1, open_high=True)
        super().__init__(env, gamma=gamma, seed=seed, compiled=compiled)
        self.prior = real("prior", prior, 0, open_low=True)
        if self._prior_weight < np.finfo(np.float64).tiny:
            raise ValueError(f"prior must be large enough to be shared out, got {prior!r}")
        horizon = math.ceil(1 / (1 - self.gamma) - 1e-9)
        self.resample_every = (
            horizon if resample_every is None else integer("resample_every", resample_every, 1)
        )
        self.rewards: str = instance("rewards", rewards, str, "'learned' or 'known'")
        if rewards not in ("learned", "known"):
            raise ValueError(f"rewards must be 'learned' or 'known', got {rewards!r}")
        self._known = self._known_rewards() if rewards == "known" else None
        states, actions = self._shape
        self.tables = PosteriorTables(
            np.zeros(self._shape),
            np.zeros((states, actions, states + 1), dtype=np.int64),
            np.zeros((states, actions, states + 1)),
        )
        self._steps_in_episode = 0
        self._mean: tuple[int, FloatArray] | None = None

    @staticmethod
    def _bytes_per_pair(states: int) -> int:
        return 8 + 16 * (states + 1)

    @property
    def q(self) -> FloatArray:
        """The action values, (S, A), of the mean of the posterior."""
        if self._mean is None or self._mean[0] != self.num_timesteps:
            weights = self.tables.counts + self._prior_weight
            mean = _model(weights, self._mean_rewards(0.0))
            self._mean = self.num_timesteps, policy_iteration(mean, self.gamma)[1]
        return self._mean[1]

    def sample_model(self) -> TabularMDP:
        """Return a model drawn from the posterior by the agent's generator.

        Its outcomes are those of the counts: the S states and the end of the episode.
        """
        weights = self.np_random.standard_gamma(self.tables.counts + self._prior_weight)
        # a weight can underflow to 0, but not all of a row: the counts or the prior stop that
        weights += np.finfo(np.float64).tiny
        largest = np.abs(self._mean_rewards(0.0)).max()
        unseen = self.np_random.normal(0.0, 1.0, size=weights.shape) * largest
        return _model(weights, self._mean_rewards(unseen))

    @property
    def _prior_weight(self) -> float:
        return self.prior / (self._shape[0] + 1)

    def _exploring_values(self, observation: npt.ArrayLike) -> FloatArray:
        return self._rows(self.tables.q, observation)

    def _train(self, end: int, on_episode: OnEpisode, progress: Progress) -> None:
        while self.num_timesteps < end:
            step = self._steps_in_episode % self.resample_every
            if step == 0:
                self.tables.q[...] = policy_iteration(self.sample_model(), self.gamma)[1]
            start, episodes = self.num_timesteps, len(self.episode_returns)
            # until the next sample, or the end of the episode
            super()._train(min(end, start + self.resample_every - step), lambda: False, progress)
            self._steps_in_episode += self.num_timesteps - start
            if len(self.episode_returns) > episodes:
                self._steps_in_episode = 0
                if on_episode is not None and not on_episode():
                    return
            if requested():
                return

    def _mean_rewards(self, unseen: float | FloatArray) -> FloatArray:
        """Return the reward of each outcome, (S, A, S + 1)."""
        if self._known is not None:
            return self._known
        counts = self.tables.counts
        return np.where(counts > 0, self.tables.reward_sums / np.maximum(counts, 1), unseen)

    def _known_rewards(self) -> FloatArray:
        """Return the mean reward of each outcome in the environment's table, (S, A, S + 1)."""
        mdp = known_table(self.env)
        states, actions = self._shape
        outcome = np.where(mdp.terminated, states, mdp.next_state)
        at = (np.arange(states)[:, None, None], np.arange(actions)[None, :, None], outcome)
        mass = np.zeros((states, actions, states + 1))
        paid = np.zeros_like(mass)
        np.add.at(mass, at, mdp.probability)
        np.add.at(paid, at, mdp.probability * mdp.reward)
        return np.divide(paid, mass, out=np.zeros_like(paid), where=mass > 0)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {**super()._arrays(), "steps_in_episode": np.array(self._steps_in_episode)}

    def _restore(self, saved: Saved) -> None:
        super()._restore(saved)
        if not np.isfinite(self.tables.reward_sums).all():
            raise ValueError("reward_sums must hold finite numbers, got others")
        self._steps_in_episode = saved.number("steps_in_episode", 0)

    def _leave_episode(self) -> None:
        super()._leave_episode()
        self._steps_in_episode = 0


def _model(weights: FloatArray, rewards: FloatArray) -> TabularMDP:
    """The model with these weights and rewards of the outcomes, both (S, A, S + 1)."""
    states, _, outcomes = weights.shape
    end: BoolArray = np.arange(outcomes) == states
    return TabularMDP(
        next_state=np.broadcast_to(np.where(end, 0, np.arange(outcomes)), weights.shape),
        probability=weights / weights.sum(axis=-1, keepdims=True),
        reward=rewards,
        terminated=np.broadcast_to(end, weights.shape),
        initial=np.full(states, 1 / states),
    )
