"""The tutorial's naive learner: it adds up rewards."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from nchain_agents.env_argument import EnvLike
from nchain_agents.exploration import greedy
from nchain_agents.tabular.loop import Settings, Transition
from nchain_agents.tabular.table_agent import Compiled, TableAgent
from nchain_agents.training_log import LogFolder
from nchain_env.mdp import FloatArray


class RewardTables(NamedTuple):
    """The sums of the rewards, (S, A)."""

    q: FloatArray


def act(tables: RewardTables, settings: Settings, state: int, epsilon: float, rng: Any) -> int:
    """Take the action of the largest sum, among equals one at random."""
    return greedy(tables.q, state, rng)


def update(
    tables: RewardTables, settings: Settings, transition: Transition, epsilon: float, rng: Any
) -> None:
    """Q(S, A) <- Q(S, A) + R."""
    tables.q[transition.state, transition.action] += transition.reward


class RewardSum(TableAgent):
    """Sum the rewards of each state and action, and take the action with the larger sum.

    It ignores later rewards, so on the chain it goes backward for ever. It is the tutorial's first
    agent, a baseline.

    Args:
        env: An environment with discrete observations and actions, or what `Agent` takes for one.
        seed: The seed of the agent and of its environment.
        compiled: True, False or "auto"; see `TableAgent`.
        tensorboard_log: A folder for TensorBoard's files; see `Agent`.

    Raises:
        ValueError: A space is not discrete.
        ModuleNotFoundError: compiled is True and Numba is not installed.
    """

    parameters: ClassVar[tuple[str, ...]] = ("compiled",)
    act = staticmethod(act)
    update = staticmethod(update)

    def __init__(
        self,
        env: EnvLike,
        *,
        seed: int | None = None,
        compiled: Compiled = "auto",
        tensorboard_log: LogFolder = None,
    ) -> None:
        super().__init__(env, seed=seed, compiled=compiled, tensorboard_log=tensorboard_log)
        self.tables = RewardTables(np.zeros(self._shape))
