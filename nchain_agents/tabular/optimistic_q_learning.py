"""Optimistic Q-learning (Jin et al. 2018), in its discounted form (Dong et al. 2019)."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import numpy as np

from nchain_agents.env_argument import EnvLike
from nchain_agents.exploration import best_value, greedy
from nchain_agents.tabular.loop import Transition
from nchain_agents.tabular.table_agent import Compiled, TableAgent
from nchain_agents.training_log import LogFolder
from nchain_env.checks import real
from nchain_env.mdp import LARGEST_REWARD, FloatArray, IntArray


class OptimisticTables(NamedTuple):
    """The values that actions are chosen by, those that were learned, and the visits, all (S, A).

    q is the smallest of the values that were learned so far.
    """

    q: FloatArray
    learned: FloatArray
    visits: IntArray


class OptimisticSettings(NamedTuple):
    """The hyperparameters that the rules read."""

    gamma: float
    horizon: float
    bonus: float
    log_pairs: float  # log(S A / delta)
    temperature: float = 0.0


def act(
    tables: OptimisticTables, settings: OptimisticSettings, state: int, epsilon: float, rng: Any
) -> int:
    """Take the action of the largest value, among equals one at random."""
    return greedy(tables.q, state, rng)


def update(
    tables: OptimisticTables,
    settings: OptimisticSettings,
    transition: Transition,
    epsilon: float,
    rng: Any,
) -> None:
    """Q(S, A) <- Q(S, A) + alpha [R + bonus + gamma max_a q(S', a) - Q(S, A)]; q <- min(q, Q).

    With k visits, alpha = (H + 1) / (H + k) and bonus = c sqrt(H log(S A (k + 1) (k + 2) / delta) /
    k), H being the horizon.
    """
    state, action, horizon = transition.state, transition.action, settings.horizon
    tables.visits[state, action] += 1
    k = float(tables.visits[state, action])
    alpha = (horizon + 1.0) / (horizon + k)
    many = settings.log_pairs + math.log((k + 1.0) * (k + 2.0))
    target = transition.reward + settings.bonus * math.sqrt(horizon * many / k)
    if not transition.terminated:
        target += settings.gamma * best_value(tables.q, transition.next_state)
    tables.learned[state, action] += alpha * (target - tables.learned[state, action])
    tables.q[state, action] = min(tables.q[state, action], tables.learned[state, action])


class OptimisticQLearning(TableAgent):
    """Q-learning that begins with the largest value possible and adds a bonus to each reward.

    The bonus falls with the number of visits of the state and action. The values that actions are
    chosen by, `q`, never rise. It learns no model: a step takes constant time. The horizon H is
    1 / (1 - gamma); that of Dong et al. is longer by a logarithm of the accuracy.

    Args:
        env: An environment with discrete observations and actions, or what `Agent` takes for one.
        gamma: The discount factor, in (0, 1).
        bonus: The constant c of the bonus in units of max_reward / (1 - gamma), in [0, 1000]. Dong
            et al. prove their bound for 4 sqrt(2), with which the bonus exceeds the largest value
            for very long.
        delta: The probability with which the values may fall below the true ones, in (0, 1).
        max_reward: The largest reward, positive; rewards are at least 0.
        seed: The seed of the agent and of its environment.
        compiled: True, False or "auto"; see `TableAgent`.
        tensorboard_log: A folder for TensorBoard's files; see `Agent`.

    Raises:
        ValueError: A space is not discrete, or a parameter is outside its range.
        ModuleNotFoundError: compiled is True and Numba is not installed.

    Source: Jin, Allen-Zhu, Bubeck & Jordan 2018, Is Q-learning Provably Efficient?, algorithm 1
        (NeurIPS); Dong, Wang, Chen & Wang 2019, Q-learning with UCB Exploration is Sample Efficient
        for Infinite-Horizon MDP, algorithm 1.
    """

    parameters: ClassVar[tuple[str, ...]] = ("gamma", "bonus", "delta", "max_reward", "compiled")
    act = staticmethod(act)
    update = staticmethod(update)

    def __init__(
        self,
        env: EnvLike,
        *,
        gamma: float = 0.95,
        bonus: float = 0.001,
        delta: float = 0.05,
        max_reward: float = 1.0,
        seed: int | None = None,
        compiled: Compiled = "auto",
        tensorboard_log: LogFolder = None,
    ) -> None:
        real("gamma", gamma, 0, 1, open_low=True, open_high=True)
        super().__init__(
            env, gamma=gamma, seed=seed, compiled=compiled, tensorboard_log=tensorboard_log
        )
        self.bonus = real("bonus", bonus, 0, 1000)
        self.delta = real("delta", delta, 0, 1, open_low=True, open_high=True)
        self.max_reward = real("max_reward", max_reward, 0, LARGEST_REWARD, open_low=True)
        largest = self.max_reward / (1 - self.gamma)
        self.tables = OptimisticTables(
            np.full(self._shape, largest),
            np.full(self._shape, largest),
            np.zeros(self._shape, dtype=np.int64),
        )

    @staticmethod
    def _bytes_per_pair(states: int) -> int:
        return 24

    @property
    def _settings(self) -> OptimisticSettings:
        largest = self.max_reward / (1 - self.gamma)
        states, actions = self._shape
        return OptimisticSettings(
            self.gamma,
            1 / (1 - self.gamma),
            self.bonus * largest,
            math.log(states * actions) - math.log(self.delta),
        )
