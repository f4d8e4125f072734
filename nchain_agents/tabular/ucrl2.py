"""UCRL2 (Jaksch, Ortner & Auer 2010): optimism in the face of uncertainty, without discounting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from nchain_agents.env_argument import EnvLike
from nchain_agents.tabular.model_based import ModelBasedAgent, Outcomes, outcomes
from nchain_agents.tabular.table_agent import Compiled
from nchain_agents.training_log import LogFolder
from nchain_env.checks import one_of, real
from nchain_env.mdp import LARGEST_REWARD, FloatArray

# The largest number of sweeps of a plan.
_SWEEPS = 1000


class UCRL2(ModelBasedAgent):
    """Act optimally for the best model that the evidence leaves plausible.

    Plausible are the models in which each mean reward and each distribution of outcomes lie within
    a distance from those seen, which falls with the root of the number of visits. The best policy
    of the best of them has the largest long-run reward per step (extended value iteration). A plan
    is followed until the visits of a state and action have doubled, or an episode has ended.

    Values are sums of rewards without discounting, over as many steps as the iteration took. After
    the end of an episode the reward is taken to be 0 in all further steps.
    `predict(deterministic=True)` takes the best action by `q`, the values of what was seen.

    Args:
        env: An environment with discrete observations and actions, or what `Agent` takes for one.
        delta: The probability with which the true model may be implausible, in (0, 1).
        min_reward: The smallest reward.
        max_reward: The largest reward, above min_reward.
        variant: How far from the frequencies seen a distribution may be in step t, in the 1-norm:
            "jaksch2010", the root of 14 S log(2 A t / delta) / N; or "osband2013", the root of
            14 log(2 S A t / delta) / N, as in the program of Osband et al., which explores less.
        seed: The seed of the agent and of its environment.
        compiled: True, False or "auto"; see `TableAgent`.
        tensorboard_log: A folder for TensorBoard's files; see `Agent`.

    Raises:
        ValueError: A space is not discrete, or a parameter is outside its range.
        ModuleNotFoundError: compiled is True and Numba is not installed.

    Source: Jaksch, Ortner & Auer 2010, Near-optimal Regret Bounds for Reinforcement Learning,
        figures 1 and 2 (JMLR 11).
    """

    parameters: ClassVar[tuple[str, ...]] = (
        "delta",
        "min_reward",
        "max_reward",
        "variant",
        "compiled",
    )

    def __init__(
        self,
        env: EnvLike,
        *,
        delta: float = 0.05,
        min_reward: float = 0.0,
        max_reward: float = 1.0,
        variant: str = "jaksch2010",
        seed: int | None = None,
        compiled: Compiled = "auto",
        tensorboard_log: LogFolder = None,
    ) -> None:
        super().__init__(
            env, gamma=1.0, seed=seed, compiled=compiled, tensorboard_log=tensorboard_log
        )
        self.delta = real("delta", delta, 0, 1, open_low=True, open_high=True)
        self.min_reward = real("min_reward", min_reward, -LARGEST_REWARD, LARGEST_REWARD)
        self.max_reward = real("max_reward", max_reward, -LARGEST_REWARD, LARGEST_REWARD)
        if self.min_reward >= self.max_reward:
            raise ValueError(
                f"min_reward must be below max_reward, got {self.min_reward} and {self.max_reward}"
            )
        self.variant = one_of("variant", variant, ("jaksch2010", "osband2013"))

    def plan(self) -> FloatArray:
        """Return the values, (S, A), of the best plausible model."""
        reward, seen, radius = self.plausible()
        return self._iterated(lambda v: reward + optimistic_value(seen, radius, v))

    def estimate(self) -> FloatArray:
        """Return the values, (S, A), of the frequencies and the mean rewards seen.

        A state and action that was never visited is taken to end the episode with a reward of 0.
        """
        reward, seen = self.tables.reward_mean, outcomes(self.tables)
        return self._iterated(
            lambda v: reward + (seen.probability * np.append(v, 0.0)[seen.state]).sum(axis=2)
        )

    def _iterated(self, backup: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """Return the values when all states gain the same in a sweep, to 1 / sqrt(t)."""
        tolerance = (self.max_reward - self.min_reward) / math.sqrt(self.num_timesteps + 1)
        v = np.zeros(self._shape[0])
        for _ in range(_SWEEPS):
            q = backup(v)
            change = q.max(axis=1) - v
            v = q.max(axis=1)
            if np.ptp(change) < tolerance:
                break
        return q

    def plausible(self) -> tuple[FloatArray, Outcomes, FloatArray]:
        """Return which models are plausible, after the steps so far.

        Returns:
            The largest plausible mean rewards, (S, A); the outcomes seen, with their frequencies;
            and the largest plausible distance from these, (S, A), in the 1-norm.
        """
        tables, (states, actions) = self.tables, self._shape
        visits = np.maximum(tables.visits, 1)
        many = math.log(2 * states * actions * (self.num_timesteps + 1)) - math.log(self.delta)
        spread = self.max_reward - self.min_reward
        mean = np.where(tables.visits > 0, tables.reward_mean, self.min_reward)
        reward = mean + spread * np.sqrt(7 * many / (2 * visits))
        if self.variant == "osband2013":
            radius = np.sqrt(14 * many / visits)
        else:
            radius = np.sqrt(14 * states * (many - math.log(states)) / visits)
        return reward, outcomes(tables), radius


def optimistic_value(seen: Outcomes, radius: FloatArray, v: FloatArray) -> FloatArray:
    """Return the largest expected next value of all plausible distributions.

    The best state gets half the radius more, and the worst states lose as much. What was never
    seen, a row of zeros, leads to the best state.

    Args:
        seen: The outcomes and their frequencies.
        radius: (S, A) the largest distance, in the 1-norm.
        v: (S,) the values of the states. The end has the value 0, and is not taken for the best.

    Returns:
        The values, (S, A).

    Source: Jaksch, Ortner & Auer 2010, figure 2.
    """
    best = int(v.argmax())
    to_best = (seen.probability * (seen.state == best)).sum(axis=2)
    visited = seen.probability.any(axis=2)
    more = np.where(visited, np.minimum(1.0, to_best + radius / 2), 1.0) - to_best
    p = np.concatenate((seen.probability, more[:, :, None]), axis=2)
    value = np.full(p.shape, v[best])
    value[:, :, :-1] = np.append(v, 0.0)[seen.state]
    worst_first = value.argsort(axis=2)
    value.sort(axis=2)
    # of the values up to each: the probability, less what the worst of them lose
    up_to = np.take_along_axis(p, worst_first, axis=2).cumsum(axis=2)
    up_to = np.maximum(up_to - (up_to[:, :, -1:] - 1.0), 0.0)
    # the largest value, less each step down from it with the probability of going so far down
    steps_down = value[:, :, 1:] - value[:, :, :-1]
    expected: FloatArray = value[:, :, -1] - (steps_down * up_to[:, :, :-1]).sum(axis=2)
    return expected
