"""The regret of a run, by three definitions; docs/measures.md has the formulas."""

from __future__ import annotations

from typing import Any

from nchain_agents.evaluation import Evaluator, ExactEvaluator
from nchain_agents.prediction import exploring_policy


def realised_regret(evaluator: Evaluator, episodes: int, earned: float) -> float:
    """Return the optimal return of the finished episodes, less what was earned in them."""
    return episodes * evaluator.optimal - earned


def gain_regret(evaluator: Evaluator, step: int, reward: float) -> float:
    """Return the optimal long-run reward of all steps, less the sum of the rewards.

    NaN where the environment has no table.

    Source: Jaksch, Ortner & Auer 2010, Near-optimal Regret Bounds for Reinforcement Learning,
    section 1 (JMLR 11).
    """
    if not isinstance(evaluator, ExactEvaluator):
        return float("nan")
    return step * evaluator.optimal_gain - reward


class ExpectedRegret:
    """What the policies of a training lose in expectation, exploration included.

    The loss per step of a policy is the optimal return of an episode, less the policy's, by the
    expected length of its episodes. Between two looks it is taken to be linear. It is NaN where the
    environment has no table, or the model no method `action_probabilities`.

    Args:
        evaluator: The evaluator of the environment.
        model: The learner, before its first step.

    Source: Osband, Russo & Van Roy 2013, (More) Efficient Reinforcement Learning via Posterior
    Sampling, section 2 (NeurIPS).
    """

    def __init__(self, evaluator: Evaluator, model: Any) -> None:
        self._evaluator = evaluator
        self._step, self._loss = 0, self._loss_per_step(model)
        self._total = 0.0

    def at(self, model: Any, step: int) -> float:
        """Look at the learner after a number of steps, and return the regret up to there."""
        loss = self._loss_per_step(model)
        self._total += (step - self._step) * (self._loss + loss) / 2
        self._step, self._loss = step, loss
        return self._total

    def _loss_per_step(self, model: Any) -> float:
        evaluator = self._evaluator
        if not isinstance(evaluator, ExactEvaluator):
            return float("nan")
        policy = exploring_policy(model, evaluator.mdp.num_states)
        if policy is None:
            return float("nan")
        lost = evaluator.optimal - evaluator.policy_return(policy)
        return lost / evaluator.episode_length(policy)
