"""R-max (Brafman & Tennenholtz 2002): what is not known yet is taken to be as good as can be."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nchain_agents.env_argument import EnvLike
from nchain_agents.tabular.dense import solved
from nchain_agents.tabular.model_based import ModelBasedAgent, frequencies, observe
from nchain_agents.tabular.table_agent import Compiled
from nchain_agents.training_log import LogFolder
from nchain_env.checks import count, real
from nchain_env.mdp import LARGEST_REWARD, FloatArray, IntArray


class RMax(ModelBasedAgent):
    """Act optimally for a model in which what is not known yet has the largest value possible.

    A state and action is known after `known_after` visits; then its frequencies and its mean reward
    are taken for the truth. One that is not known has the value max_reward / (1 - gamma). A plan is
    made when a state and action becomes known.

    `predict(deterministic=True)` takes the best action by `q`, the values of what was seen.

    Args:
        env: An environment with discrete observations and actions, or what `Agent` takes for one.
        gamma: The discount factor, in [0, 1).
        known_after: The number of visits after which a state and action is known, at least 1.
        max_reward: The largest reward.
        seed: The seed of the agent and of its environment.
        compiled: True, False or "auto"; see `TableAgent`.
        tensorboard_log: A folder for TensorBoard's files; see `Agent`.

    Raises:
        ValueError: A space is not discrete, or a parameter is outside its range.
        ModuleNotFoundError: compiled is True and Numba is not installed.

    Source: Brafman & Tennenholtz 2002, R-max: A General Polynomial Time Algorithm for Near-optimal
        Reinforcement Learning (JMLR 3); in the discounted form of Strehl, Li & Littman 2009,
        Reinforcement Learning in Finite MDPs: PAC Analysis (JMLR 10).
    """

    parameters: ClassVar[tuple[str, ...]] = ("gamma", "known_after", "max_reward", "compiled")
    update = staticmethod(observe)

    def __init__(
        self,
        env: EnvLike,
        *,
        gamma: float = 0.95,
        known_after: int = 10,
        max_reward: float = 1.0,
        seed: int | None = None,
        compiled: Compiled = "auto",
        tensorboard_log: LogFolder = None,
    ) -> None:
        real("gamma", gamma, 0, 1, open_high=True)
        super().__init__(
            env, gamma=gamma, seed=seed, compiled=compiled, tensorboard_log=tensorboard_log
        )
        self.known_after = count("known_after", known_after)
        self.max_reward = real("max_reward", max_reward, -LARGEST_REWARD, LARGEST_REWARD)

    def plan(self) -> FloatArray:
        """Return the action values, (S, A), of the model in which the unknown is best."""
        tables = self.tables
        known = tables.visits >= self.known_after
        probability = frequencies(tables)[:, :, :-1]
        # the unknown ends with its value as the reward
        reward = np.where(known, tables.reward_mean, self.max_reward / (1 - self.gamma))
        return solved(probability * known[:, :, None], reward, self.gamma, tables.q)

    def visits_until_plan(self) -> IntArray:
        """Return after how many more visits, (S, A), each becomes known; 0 or less: it is."""
        return self.known_after - self.tables.visits
