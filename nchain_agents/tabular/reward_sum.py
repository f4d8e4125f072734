"""The naive learner: add up the rewards."""

from __future__ import annotations

from nchain_agents.exploration import greedy
from nchain_agents.tabular.table_agent import TableAgent
from nchain_env.mdp import FloatArray


class RewardSum(TableAgent):
    """Sum the rewards of each state and action, and take the action with the larger sum.

    It knows nothing of what comes later, so the near reward wins: on the chain it goes backward
    for ever. The tutorial's first agent, there to be beaten.

    Args:
        env: An environment with discrete observations and actions, or the id of one.
        gamma: Not used: the sum does not look ahead.
        seed: Makes everything that follows repeatable.

    Raises:
        ValueError: A space is not discrete.
    """

    def _act(self, observation: int, progress: float) -> int:
        return greedy(self.q[observation], self.np_random)

    def _choose(self, q: FloatArray) -> int:
        return greedy(q, self.np_random)

    def _learn(
        self, observation: int, action: int, reward: float, reached: int, terminated: bool
    ) -> None:
        self.q[observation, action] += reward
