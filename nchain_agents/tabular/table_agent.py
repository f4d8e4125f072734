"""What the table learners share: a table over discrete observations and actions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Discrete

from nchain_agents.agent import Agent, Env
from nchain_env.mdp import FloatArray


class TableAgent(Agent):
    """An agent whose knowledge is a table of shape (S, A), `agent.q`.

    Args:
        env: An environment with discrete observations and actions, or the id of one.
        gamma: The discount factor, in [0, 1].
        seed: Makes everything that follows repeatable.

    Raises:
        ValueError: A space is not discrete, or gamma is outside its range.
    """

    def __init__(self, env: Env | str, *, gamma: float = 0.95, seed: int | None = None) -> None:
        super().__init__(env, gamma=gamma, seed=seed)
        num_states = _size("observations", self.env.observation_space)
        num_actions = _size("actions", self.env.action_space)
        self.q: FloatArray = np.zeros((num_states, num_actions))

    def q_values(self, observation: npt.ArrayLike) -> FloatArray:
        """Return the row of the table for one observation, (A,), or the rows of a batch, (N, A).

        Raises:
            ValueError: The observation is not a state of the table.
        """
        states = np.asarray(observation)
        if (
            not np.issubdtype(states.dtype, np.integer)
            or states.ndim > 1
            or (states.size and not (states.min() >= 0 and states.max() < len(self.q)))
        ):
            raise ValueError(
                f"observation must be one or a batch of integers in [0, {len(self.q)}), "
                f"got {observation!r}"
            )
        rows: FloatArray = self.q[states]
        return rows.copy()

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"q": self.q}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        if arrays["q"].shape != self.q.shape:
            raise ValueError(
                f"env must have a table of shape {arrays['q'].shape} like the saved agent's, "
                f"this one has {self.q.shape}"
            )
        self.q = arrays["q"]


def _size(what: str, space: Any) -> int:
    if not isinstance(space, Discrete) or space.start != 0:
        raise ValueError(
            f"env must have discrete {what} numbered from 0 for a table, got {space}; "
            "KerasDQN takes other observations"
        )
    return int(space.n)
