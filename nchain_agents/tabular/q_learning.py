"""Q-learning (Watkins 1989; Sutton & Barto 2018, section 6.5)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nchain_agents.agent import Env
from nchain_agents.exploration import EpsilonLike, epsilon_greedy, epsilon_schedule
from nchain_agents.tabular.table_agent import TableAgent
from nchain_env.checks import real
from nchain_env.mdp import FloatArray, IntArray


class QLearning(TableAgent):
    """Off-policy temporal-difference control with a table.

    After each step, Q(s, a) moves towards r + gamma max Q(s', .) by the step size
    learning_rate / N(s, a)^visit_power, N being the number of times a was taken in s. With
    visit_power in (0.5, 1] and learning_rate 1 the table converges to q* (Even-Dar & Mansour 2003,
    Learning Rates for Q-learning, JMLR 5); with 0, the default, the step size is constant and it
    goes on trembling around q*.

    Args:
        env: An environment with discrete observations and actions, or the id of one.
        gamma: The discount factor, in [0, 1].
        learning_rate: The step size at the first visit, in (0, 1].
        visit_power: How fast the step size falls with the visits: 0, or in (0.5, 1].
        epsilon: The probability of a random action: a number (0 is the greedy learner),
            `{initial, decay}` by episode, or `{initial, final, fraction}` over the steps.
        seed: Makes everything that follows repeatable.

    Raises:
        ValueError: A space is not discrete, or a parameter is outside its range.
    """

    parameters: ClassVar[tuple[str, ...]] = ("gamma", "learning_rate", "visit_power", "epsilon")

    def __init__(
        self,
        env: Env | str,
        *,
        gamma: float = 0.95,
        learning_rate: float = 0.1,
        visit_power: float = 0.0,
        epsilon: EpsilonLike = 0.1,
        seed: int | None = None,
    ) -> None:
        super().__init__(env, gamma=gamma, seed=seed)
        self.learning_rate = real("learning_rate", learning_rate, 0, 1, open_low=True)
        self.visit_power = real("visit_power", visit_power, 0, 1)
        if 0 < self.visit_power <= 0.5:  # the step sizes' squares would not sum
            raise ValueError(f"visit_power must be 0 or in (0.5, 1], got {visit_power!r}")
        self._schedule = epsilon_schedule(epsilon)
        self._epsilon = self._schedule(0.0, 0)
        self.visits: IntArray = np.zeros(self.q.shape, dtype=np.int64)

    @property
    def epsilon(self) -> dict[str, float]:
        """The fields of the epsilon schedule."""
        return asdict(self._schedule)

    def _act(self, observation: int, progress: float) -> int:
        self._epsilon = self._schedule(progress, len(self.episode_returns))
        return epsilon_greedy(self.q[observation], self._epsilon, self.np_random)

    def _choose(self, q: FloatArray) -> int:
        return epsilon_greedy(q, self._epsilon, self.np_random)

    def _learn(
        self, observation: int, action: int, reward: float, reached: int, terminated: bool
    ) -> None:
        self.visits[observation, action] += 1
        step_size = self.learning_rate / self.visits[observation, action] ** self.visit_power
        following = 0.0 if terminated else self.q[reached].max()
        target = reward + self.gamma * following
        self.q[observation, action] += step_size * (target - self.q[observation, action])

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {**super()._arrays(), "visits": self.visits}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        super()._restore(arrays)
        self.visits = arrays["visits"]
