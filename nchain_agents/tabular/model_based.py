"""What the learners of a model share: the counts, the rewards, and when they plan."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from nchain_agents.env_argument import EnvLike
from nchain_agents.exploration import greedy
from nchain_agents.storage import LARGEST, Saved
from nchain_agents.tabular.dense import solved
from nchain_agents.tabular.loop import Act, Due, Settings, Transition, Update
from nchain_agents.tabular.table_agent import Compiled, TableAgent
from nchain_agents.training_log import LogFolder
from nchain_env.mdp import FloatArray, IntArray


class ModelTables(NamedTuple):
    """What was seen, and the action values that were planned from it.

    q: (S, A) the values that actions are chosen by.
    counts: (S, A, S + 1) how often each outcome occurred; the last is the end of the episode.
    visits: (S, A) the sums of the counts.
    reward_mean: (S, A) the mean reward.
    reward_spread: (S, A) the root of the sum of the squared deviations from the mean reward, which
        unlike the sum itself does not overflow.
    largest_reward: (1,) the largest |reward|.
    visits_left: (S, A) after so many more visits the agent plans again.
    period: (2,) the number of steps since the last plan, and between the last two.
    due: (1,) 1 if the agent plans before the next step, else 0.
    """

    q: FloatArray
    counts: IntArray
    visits: IntArray
    reward_mean: FloatArray
    reward_spread: FloatArray
    largest_reward: FloatArray
    visits_left: IntArray
    period: IntArray
    due: IntArray


def act(tables: ModelTables, settings: Settings, state: int, epsilon: float, rng: Any) -> int:
    """Take the best action of the plan, among equals one at random."""
    return greedy(tables.q, state, rng)


def plan_is_due(tables: ModelTables) -> bool:
    """Return whether the agent must plan before the next step."""
    return bool(tables.due[0] != 0)


def observe(
    tables: ModelTables, settings: Settings, transition: Transition, epsilon: float, rng: Any
) -> None:
    """Count the outcome and the reward; a plan is due when a pair's visits left are used up.

    Source: Welford 1962, for the mean and the squared deviations.
    """
    state, action, reward, next_state, terminated, _ = transition
    outcome = tables.counts.shape[2] - 1 if terminated else next_state
    tables.counts[state, action, outcome] += 1
    tables.visits[state, action] += 1
    n = tables.visits[state, action]
    deviation = reward - tables.reward_mean[state, action]
    tables.reward_mean[state, action] += deviation / n
    tables.reward_spread[state, action] = root_of_squares(
        tables.reward_spread[state, action], deviation * math.sqrt((n - 1) / n)
    )
    tables.largest_reward[0] = max(tables.largest_reward[0], abs(reward))
    tables.period[0] += 1
    tables.visits_left[state, action] -= 1
    if tables.visits_left[state, action] == 0:
        tables.due[0] = 1


def observe_by_episode(
    tables: ModelTables, settings: Settings, transition: Transition, epsilon: float, rng: Any
) -> None:
    """Count what happened; a plan is also due at an episode's end."""
    observe(tables, settings, transition, epsilon, rng)
    if transition.terminated or transition.truncated:
        tables.due[0] = 1


def root_of_squares(a: float, b: float) -> float:
    """Return sqrt(a^2 + b^2) without overflow, by operations with the same bits everywhere."""
    large, small = max(abs(a), abs(b)), min(abs(a), abs(b))
    if small == 0.0:
        return large
    ratio = small / large
    return large * math.sqrt(1.0 + ratio * ratio)


def frequencies(tables: ModelTables) -> FloatArray:
    """Return the frequencies of the outcomes, (S, A, S + 1); zeros where nothing was seen."""
    return np.asarray(tables.counts / np.maximum(tables.visits, 1)[:, :, None])


class Outcomes(NamedTuple):
    """The outcomes seen, without the many that were not: K is the most of any state and action.

    state: (S, A, K) the next states; S is the end of the episode.
    probability: (S, A, K) their frequencies; zeros where there are fewer than K.
    """

    state: IntArray
    probability: FloatArray


def outcomes(tables: ModelTables) -> Outcomes:
    """Return the outcomes seen, which are few of the S + 1 in most environments."""
    seen = tables.counts > 0
    most = max(1, int(seen.sum(axis=2).max()))
    state = np.argsort(~seen, axis=2, kind="stable")[:, :, :most]
    count = np.take_along_axis(tables.counts, state, axis=2)
    return Outcomes(state, count / np.maximum(tables.visits, 1)[:, :, None])


class ModelBasedAgent(TableAgent):
    """A learner that estimates the model and acts by a plan made from it.

    A new plan is made at the start of each episode, and when a state and action has been visited as
    often since the last plan as before it, or for the first time: its evidence has doubled. A
    subclass makes it in `plan`.

    `predict(deterministic=True)` takes the best action by `q`; otherwise the best one of the plan,
    as in training.

    Time and memory grow with S^2 A: these agents are meant for small environments.

    Args:
        env: An environment with discrete observations and actions, or what `Agent` takes for one.
        gamma: The discount factor, in [0, 1).
        seed: The seed of the agent and of its environment.
        compiled: True, False or "auto"; see `TableAgent`. Plans are always made with NumPy.
        tensorboard_log: A folder for TensorBoard's files; see `Agent`.

    Raises:
        ValueError: A space is not discrete, or a parameter is outside its range.
        ModuleNotFoundError: compiled is True and Numba is not installed.

    Source: Jaksch, Ortner & Auer 2010, Near-optimal Regret Bounds for Reinforcement Learning,
        figure 1 (JMLR 11), for the doubling.
    """

    act: ClassVar[Act] = staticmethod(act)
    update: ClassVar[Update] = staticmethod(observe_by_episode)
    due: ClassVar[Due] = staticmethod(plan_is_due)
    tables: ModelTables

    def __init__(
        self,
        env: EnvLike,
        *,
        gamma: float = 0.95,
        seed: int | None = None,
        compiled: Compiled = "auto",
        tensorboard_log: LogFolder = None,
    ) -> None:
        super().__init__(
            env, gamma=gamma, seed=seed, compiled=compiled, tensorboard_log=tensorboard_log
        )
        states, actions = self._shape
        self.tables = ModelTables(
            q=np.zeros(self._shape),
            counts=np.zeros((states, actions, states + 1), dtype=np.int64),
            visits=np.zeros(self._shape, dtype=np.int64),
            reward_mean=np.zeros(self._shape),
            reward_spread=np.zeros(self._shape),
            largest_reward=np.zeros(1),
            visits_left=np.zeros(self._shape, dtype=np.int64),
            period=np.zeros(2, dtype=np.int64),
            due=np.ones(1, dtype=np.int64),
        )

        self._estimate: tuple[int, FloatArray] | None = None

    @staticmethod
    def _bytes_per_pair(states: int) -> int:
        return 48 + 32 * (states + 1)  # a plan takes three more arrays of the counts' size

    @property
    def q(self) -> FloatArray:
        """The action values, (S, A), of the model as it is estimated, without exploration."""
        if self._estimate is None or self._estimate[0] != self.num_timesteps:
            self._estimate = self.num_timesteps, self.estimate()
        return self._estimate[1]

    def estimate(self) -> FloatArray:
        """Return the action values, (S, A), of the frequencies and the mean rewards seen.

        A state and action that was never visited is taken to end the episode with a reward of 0.
        """
        tables = self.tables
        return solved(frequencies(tables)[:, :, :-1], tables.reward_mean, self.gamma, tables.q)

    @abstractmethod
    def plan(self) -> FloatArray:
        """Return the action values, (S, A), by which actions are chosen until the next plan."""

    def visits_until_plan(self) -> IntArray:
        """Return after how many more visits, (S, A), there is a new plan: as many as there were."""
        return np.maximum(self.tables.visits, 1)

    def _plan(self) -> None:
        self.tables.q[...] = self.plan()
        self.tables.visits_left[...] = self.visits_until_plan()
        self.tables.period[...] = 0, self.tables.period[0]
        self.tables.due[0] = 0

    def _exploring_values(self, observation: npt.ArrayLike) -> FloatArray:
        return self._rows(self.tables.q, observation)

    def _bounds(self, name: str) -> tuple[int, int]:
        return (-LARGEST, LARGEST) if name == "visits_left" else super()._bounds(name)

    def _restore(self, saved: Saved) -> None:
        super()._restore(saved)
        tables = self.tables
        if (tables.visits != tables.counts.sum(axis=2)).any():
            raise ValueError("visits must be the sums of the counts, got others")
        for name in ("reward_mean", "reward_spread", "largest_reward"):
            if not np.isfinite(getattr(tables, name)).all():
                raise ValueError(f"{name} must hold finite numbers, got others")

    def _leave_episode(self) -> None:
        super()._leave_episode()
        self.tables.due[0] = 1
        self._estimate = None  # steps may be counted from 0 again
