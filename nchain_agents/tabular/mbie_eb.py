"""MBIE-EB (Strehl & Littman 2008): model-based interval estimation with an exploration bonus."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nchain_agents.env_argument import EnvLike
from nchain_agents.tabular.dense import solved
from nchain_agents.tabular.model_based import ModelBasedAgent, frequencies
from nchain_agents.tabular.table_agent import Compiled
from nchain_agents.training_log import LogFolder
from nchain_env.checks import real
from nchain_env.mdp import LARGEST_REWARD, FloatArray


class MBIEEB(ModelBasedAgent):
    """Act optimally for the model seen, with a bonus of beta max_reward / sqrt(N) on each reward.

    N is the number of visits of the state and action. One that was never visited has the value
    max_reward / (1 - gamma). A plan is followed until the visits of a state and action have
    doubled, or an episode has ended; Strehl & Littman plan in each step.

    `predict(deterministic=True)` takes the best action by `q`, the values of what was seen, without
    bonuses.

    Args:
        env: An environment with discrete observations and actions, or what `Agent` takes for one.
        gamma: The discount factor, in [0, 1).
        beta: The bonus of the first visit in units of max_reward, in [0, 1000].
        max_reward: The largest reward, positive; rewards are at least 0.
        seed: The seed of the agent and of its environment.
        compiled: True, False or "auto"; see `TableAgent`.
        tensorboard_log: A folder for TensorBoard's files; see `Agent`.

    Raises:
        ValueError: A space is not discrete, or a parameter is outside its range.
        ModuleNotFoundError: compiled is True and Numba is not installed.

    Source: Strehl & Littman 2008, An analysis of model-based interval estimation for Markov
        decision processes (JCSS 74).
    """

    parameters: ClassVar[tuple[str, ...]] = ("gamma", "beta", "max_reward", "compiled")

    def __init__(
        self,
        env: EnvLike,
        *,
        gamma: float = 0.95,
        beta: float = 0.5,
        max_reward: float = 1.0,
        seed: int | None = None,
        compiled: Compiled = "auto",
        tensorboard_log: LogFolder = None,
    ) -> None:
        real("gamma", gamma, 0, 1, open_high=True)
        super().__init__(
            env, gamma=gamma, seed=seed, compiled=compiled, tensorboard_log=tensorboard_log
        )
        self.beta = real("beta", beta, 0, 1000)
        self.max_reward = real("max_reward", max_reward, 0, LARGEST_REWARD, open_low=True)

    def plan(self) -> FloatArray:
        """Return the action values, (S, A), with the bonuses."""
        tables = self.tables
        bonus = self.beta * self.max_reward / np.sqrt(np.maximum(tables.visits, 1))
        # the unvisited ends with its value as the reward: its counts are 0
        unvisited = self.max_reward / (1 - self.gamma)
        reward = np.where(tables.visits > 0, tables.reward_mean + bonus, unvisited)
        return solved(frequencies(tables)[:, :, :-1], reward, self.gamma, tables.q)
