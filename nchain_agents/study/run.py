"""One run: an agent learning with one seed, evaluated at checkpoints."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import gymnasium as gym
import numpy as np

from nchain_agents.agent import Agent
from nchain_agents.callbacks import EveryNTimesteps
from nchain_agents.deep import fast_cpu
from nchain_agents.evaluation import ExactEvaluator, evaluator_of, scaled
from nchain_agents.prediction import greedy_policy
from nchain_agents.quiet import import_quietly
from nchain_agents.study.environments import EnvChoice
from nchain_agents.study.failure import Failure
from nchain_agents.study.plan import CHECKPOINTS, RunKey, Task
from nchain_env.mdp import FloatArray, IntArray
from nchain_env.planning import evaluate_policy, policy_iteration

# The final table of values is kept up to this size.
_TABLE = 10_000


@dataclass(frozen=True)
class Checkpoint:
    """What an evaluation after a number of steps measured; docs/measures.md has the formulas."""

    step: int
    expected_return: float  # of one episode of the greedy policy
    standard_error: float  # of that; 0 where it is exact
    score: float
    reward_per_step: float  # earned while learning, since the start
    regret: float  # over the episodes finished while learning
    q_error: float  # the largest |Q - Q*|
    optimal: bool | None  # whether no policy has a larger discounted return from the start


@dataclass(frozen=True)
class Run:
    """The results of one run."""

    key: RunKey
    checkpoints: tuple[Checkpoint, ...]
    policy: list[int] | None  # the final greedy policy; None without a model, and if recurrent
    q: list[list[float]] | None  # the final values there, if the agent has any
    failure: str | None  # why it failed, if it did
    seconds: float  # spent in learning, without the evaluations
    gamma: float | None = None  # the discount that the agent learned for, if it has one
    traceback: str | None = None  # of the exception that ended it, if one did

    @classmethod
    def failed(cls, key: RunKey, failure: Failure) -> Run:
        """Return a run that failed before its first checkpoint was known."""
        return cls(key, (), None, None, failure.reason, 0.0, traceback=failure.traceback)

    @property
    def final(self) -> Checkpoint:
        """The last checkpoint."""
        return self.checkpoints[-1]

    @property
    def steps_per_second(self) -> float:
        """Training steps a second of wall-clock time."""
        return self.final.step / self.seconds

    @property
    def optimal_from(self) -> int | None:
        """The first checkpoint's step from which on the policy stays optimal."""
        first = None
        for point in reversed(self.checkpoints):
            if not point.optimal:
                break
            first = point.step
        return first

    def as_text(self) -> str:
        """Return all of it as JSON; every number comes back exactly."""
        return json.dumps(asdict(self) | {"key": self.key._asdict()})

    @classmethod
    def from_text(cls, text: str) -> Run:
        """Return the run that `as_text` wrote."""
        data = json.loads(text)
        data["key"] = RunKey(**data["key"])
        data["checkpoints"] = tuple(Checkpoint(**point) for point in data["checkpoints"])
        return cls(**data)


class CheckpointEvaluator:
    """Evaluates learners at checkpoints, with the exact answers of the environment if it has any.

    Args:
        env: The choice of environment.
        episodes: How many episodes an evaluation plays where there is no exact answer.
    """

    def __init__(self, env: EnvChoice, episodes: int) -> None:
        self.evaluator = evaluator_of(env.make(), episodes)
        self._returns: dict[bytes, float] = {}
        self._answers: dict[float, tuple[FloatArray, float]] = {}

    @property
    def exact(self) -> ExactEvaluator | None:
        """The exact evaluator, None where there is none."""
        return self.evaluator if isinstance(self.evaluator, ExactEvaluator) else None

    def checkpoint(
        self, model: Any, step: int, reward: float, episodes: int, earned: float
    ) -> Checkpoint:
        """Evaluate a learner.

        Args:
            model: The learner.
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
            key = policy.tobytes()
            if key not in self._returns:  # learners return to the same few policies
                self._returns[key] = self.exact.policy_return(policy)
            mean, standard_error = self._returns[key], 0.0
            gamma = _gamma(model)
            if gamma is not None:
                best, start = self._answer(gamma)
                value = evaluate_policy(self.exact.mdp, policy, gamma) @ self.exact.mdp.initial
                optimal = bool(value >= start - 1e-9 * max(1.0, abs(start)))
                q = _table(model, self.exact.mdp.num_states)
                if q is not None:
                    q_error = float(abs(q - best).max())
        return Checkpoint(
            step=step,
            expected_return=mean,
            standard_error=standard_error,
            score=scaled(self.evaluator, mean),
            reward_per_step=reward / step,
            regret=episodes * self.evaluator.optimal - earned,
            q_error=q_error,
            optimal=optimal,
        )

    def policy(self, model: Any) -> IntArray | None:
        """Return the greedy policy, (S,); None without a model, or of a recurrent agent."""
        return None if self.exact is None else greedy_policy(model, self.exact.mdp.num_states)

    def _answer(self, gamma: float) -> tuple[FloatArray, float]:
        """Return Q* and the largest discounted return from the start."""
        assert self.exact is not None
        if gamma not in self._answers:
            _, q = policy_iteration(self.exact.mdp, gamma)
            self._answers[gamma] = q, float(q.max(axis=1) @ self.exact.mdp.initial)
        return self._answers[gamma]


class _Observer(gym.Wrapper[Any, Any, Any, Any]):
    """Counts the steps and the rewards of a learner that may be of any class."""

    def __init__(self, env: gym.Env[Any, Any], record: Any, interval: int) -> None:
        super().__init__(env)
        self._record, self._interval = record, interval
        self.steps = 0
        self.reward = self.earned = self._episode_return = 0.0
        self.episodes = 0

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, count, and record every `interval` steps."""
        result = super().step(action)
        self.steps += 1
        self.reward += float(result[1])
        self._episode_return += float(result[1])
        if result[2] or result[3]:
            self.episodes += 1
            self.earned += self._episode_return
            self._episode_return = 0.0
        if self.steps % self._interval == 0:
            self._record()
        return result


def train(task: Task) -> Run:
    """Make one run; an exception in it becomes its failure."""
    checkpoints: list[Checkpoint] = []
    policy = q = failure = gamma = traceback = None
    evaluating = 0.0
    start = time.perf_counter()
    try:
        import_quietly(task.agent.requires)
        evaluator = _checkpoint_evaluator(task.env, task.episodes)
        interval = max(1, task.steps // CHECKPOINTS)
        start = time.perf_counter()

        def record(*counted: Any) -> None:
            nonlocal evaluating
            begin = time.perf_counter()
            # a second evaluation of the same step replaces the first
            if checkpoints and checkpoints[-1].step == counted[0]:
                checkpoints.pop()
            checkpoints.append(evaluator.checkpoint(model, *counted))
            evaluating += time.perf_counter() - begin

        env = task.env.make()
        kind = task.agent.load()
        if "nchain_agents.deep.keras_dqn" in sys.modules:  # KerasDQN, or derived from it
            fast_cpu()
        if isinstance(kind, type) and issubclass(kind, Agent):
            model = task.agent.make(env, task.seed)
            ours = model

            def record_ours(agent: Agent) -> None:
                returns = agent.episode_returns
                record(
                    agent.num_timesteps, agent.total_reward, len(returns), float(np.sum(returns))
                )

            ours.learn(task.steps, EveryNTimesteps(interval, record_ours))
        else:

            def record_any() -> None:
                record(observer.steps, observer.reward, observer.episodes, observer.earned)

            observer = _Observer(env, record_any, interval)
            model = task.agent.make(observer, task.seed)
            model.learn(total_timesteps=task.steps)
            if observer.steps == 0:
                raise ValueError("learn took no step in the environment it was given")
            record_any()
        gamma = _gamma(model)
        actions = evaluator.policy(model)
        if evaluator.exact is not None and actions is not None:
            policy = actions.tolist()
            values = _table(model, evaluator.exact.mdp.num_states)
            q = values.tolist() if values is not None and values.size <= _TABLE else None
        env.close()
    except Exception as error:
        ended = Failure.of(error)
        failure, traceback = ended.reason, ended.traceback
    seconds = time.perf_counter() - start - evaluating
    return Run(task.key, tuple(checkpoints), policy, q, failure, seconds, gamma, traceback)


# The next run in this process uses the same evaluator, and its cached answers.
_checkpoint_evaluator = lru_cache(maxsize=8)(CheckpointEvaluator)


def _gamma(model: Any) -> float | None:
    """Return the discount that a model learns for, None if it has none below 1."""
    gamma = getattr(model, "gamma", None)
    return float(gamma) if gamma is not None and 0 <= gamma < 1 else None


def _table(model: Any, num_states: int) -> FloatArray | None:
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
