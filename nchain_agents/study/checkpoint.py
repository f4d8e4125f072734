"""What is measured at a checkpoint of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nchain_agents.agent import Agent
from nchain_agents.evaluation import ExactEvaluator, evaluator_of, fingerprint, scaled
from nchain_agents.prediction import greedy_policy
from nchain_agents.study.environments import EnvChoice
from nchain_agents.study.regret import ExpectedRegret, gain_regret, realised_regret
from nchain_env.mdp import FloatArray, IntArray
from nchain_env.planning import evaluate_policy, policy_iteration


@dataclass(frozen=True)
class Checkpoint:
    """What an evaluation after a number of steps measured; docs/measures.md has the formulas."""

    step: int
    expected_return: float  # of one episode of the greedy policy
    standard_error: float  # of that; 0 where it is exact
    score: float
    reward_per_step: float  # earned while learning, since the start
    realised_regret: float  # over the episodes finished while learning
    expected_regret: float  # of the policies followed while learning
    gain_regret: float  # against the optimal gain
    q_error: float  # the largest |Q - Q*|
    optimal: bool | None  # whether no policy has a larger discounted return from the start


class CheckpointEvaluator:
    """Evaluates learners at checkpoints, with the exact answers of the environment if it has any.

    Args:
        env: The choice of environment.
        episodes: How many episodes an evaluation plays where there is no exact answer.
    """

    def __init__(self, env: EnvChoice, episodes: int) -> None:
        self.evaluator = evaluator_of(env.make(), episodes)
        self._optimal: dict[Any, bool] = {}
        self._answers: dict[float, tuple[FloatArray, float]] = {}

    @property
    def exact(self) -> ExactEvaluator | None:
        """The exact evaluator, None where there is none."""
        return self.evaluator if isinstance(self.evaluator, ExactEvaluator) else None

    def first_look(self, model: Any) -> ExpectedRegret:
        """Return the expected regret of a learner, before its first step.

        Raises:
            ValueError: What it begins with is not finite.
        """
        _check_finite(model)
        return ExpectedRegret(self.evaluator, model)

    def checkpoint(
        self,
        model: Any,
        expected: ExpectedRegret,
        step: int,
        reward: float,
        episodes: int,
        earned: float,
    ) -> Checkpoint:
        """Evaluate a learner.

        Args:
            model: The learner.
            expected: Its expected regret up to the last checkpoint.
            step: How many steps it has taken.
            reward: The sum of all rewards so far.
            episodes: How many episodes are finished.
            earned: The sum of their returns.

        Raises:
            ValueError: What it learned is not finite, or it predicts something that is no action.
        """
        _check_finite(model)
        q_error, optimal = float("nan"), None
        policy = self.policy(model)
        if self.exact is None or policy is None:
            mean, standard_error = self.evaluator.evaluate(model)
        else:
            mean, standard_error = self.exact.policy_return(policy), 0.0
            gamma = discount_of(model)
            if gamma is not None:
                optimal = self._is_optimal(policy, gamma)
                q = values_of(model, self.exact.mdp.num_states)
                if q is not None:
                    q_error = float(abs(q - self._answer(gamma)[0]).max())
        return Checkpoint(
            step=step,
            expected_return=mean,
            standard_error=standard_error,
            score=scaled(self.evaluator, mean),
            reward_per_step=reward / step,
            realised_regret=realised_regret(self.evaluator, episodes, earned),
            expected_regret=expected.at(model, step),
            gain_regret=gain_regret(self.evaluator, step, reward),
            q_error=q_error,
            optimal=optimal,
        )

    def policy(self, model: Any) -> IntArray | None:
        """Return the greedy policy, (S,); None without a model, or of a recurrent agent."""
        return None if self.exact is None else greedy_policy(model, self.exact.mdp.num_states)

    def _is_optimal(self, policy: IntArray, gamma: float) -> bool:
        """Return whether no policy has a larger discounted return from the start."""
        key = gamma, fingerprint(policy)
        if key not in self._optimal:  # learners return to the same few policies
            assert self.exact is not None
            mdp, (_, best) = self.exact.mdp, self._answer(gamma)
            value = evaluate_policy(mdp, policy, gamma) @ mdp.initial
            self._optimal[key] = bool(value >= best - 1e-9 * max(1.0, abs(best)))
        return self._optimal[key]

    def _answer(self, gamma: float) -> tuple[FloatArray, float]:
        """Return Q* and the largest discounted return from the start."""
        assert self.exact is not None
        if gamma not in self._answers:
            _, q = policy_iteration(self.exact.mdp, gamma)
            self._answers[gamma] = q, float(q.max(axis=1) @ self.exact.mdp.initial)
        return self._answers[gamma]


def discount_of(model: Any) -> float | None:
    """Return the discount that a model learns for, None if it has none below 1."""
    gamma = getattr(model, "gamma", None)
    return float(gamma) if gamma is not None and 0 <= gamma < 1 else None


def values_of(model: Any, num_states: int) -> FloatArray | None:
    """Return the model's values, (S, A), None if it has none."""
    values = getattr(model, "q_values", None)
    return None if values is None else np.asarray(values(np.arange(num_states)), dtype=np.float64)


def _check_finite(model: Any) -> None:
    """Refuse a learner that has diverged: the argmax of NaN would look like a policy."""
    if isinstance(model, Agent):
        arrays = [model.knowledge()]
    else:  # a torch model as stable-baselines3 keeps it
        parameters = getattr(getattr(model, "policy", None), "parameters", None)
        found = parameters() if callable(parameters) else ()
        arrays = [one.detach().cpu().numpy() for one in found if hasattr(one, "detach")]
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("what it learned is no longer finite")
