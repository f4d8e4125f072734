"""One run: an agent learning with one seed, evaluated at checkpoints."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import gymnasium as gym
import numpy as np

from nchain_agents.agent import Agent
from nchain_agents.callbacks import AtTimesteps
from nchain_agents.deep import fast_cpu
from nchain_agents.quiet import import_quietly
from nchain_agents.study.checkpoint import (
    Checkpoint,
    CheckpointEvaluator,
    discount_of,
    values_of,
)
from nchain_agents.study.failure import Failure
from nchain_agents.study.plan import RunKey, Task
from nchain_agents.study.regret import ExpectedRegret

# The final table of values is kept up to this size.
_TABLE = 10_000


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


class Stop(Exception):  # noqa: N818 - it is no error
    """Raised by a function that sees the checkpoints of a run: the run ends there."""


class _Observer(gym.Wrapper[Any, Any, Any, Any]):
    """Counts the steps and the rewards of a learner that may be of any class."""

    def __init__(self, env: gym.Env[Any, Any], record: Any, looks: Iterable[int]) -> None:
        super().__init__(env)
        self._record, self._looks = record, frozenset(looks)
        self.steps = 0
        self.reward = self.earned = self._episode_return = 0.0
        self.episodes = 0

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, count, and record at the looks."""
        result = super().step(action)
        self.steps += 1
        self.reward += float(result[1])
        self._episode_return += float(result[1])
        if result[2] or result[3]:
            self.episodes += 1
            self.earned += self._episode_return
            self._episode_return = 0.0
        if self.steps in self._looks:
            self._record()
        return result


def train(task: Task, see: Callable[[Checkpoint], None] | None = None) -> Run:
    """Make one run; an exception in it becomes its failure.

    Args:
        task: The run.
        see: Called with each checkpoint; it may raise `Stop`.
    """
    checkpoints: list[Checkpoint] = []
    policy = q = failure = gamma = traceback = None
    evaluating = 0.0
    start = time.perf_counter()
    try:
        import_quietly(task.agent.requires)
        evaluator = _checkpoint_evaluator(task.env, task.episodes)
        start = time.perf_counter()

        def record(*counted: Any) -> None:
            nonlocal evaluating
            begin = time.perf_counter()
            # a second evaluation of the same step replaces the first
            if checkpoints and checkpoints[-1].step == counted[0]:
                checkpoints.pop()
            checkpoints.append(evaluator.checkpoint(model, expected, *counted))
            evaluating += time.perf_counter() - begin
            if see is not None:
                see(checkpoints[-1])

        def first_look() -> ExpectedRegret:
            nonlocal evaluating
            begin = time.perf_counter()
            looked = evaluator.first_look(model)
            evaluating += time.perf_counter() - begin
            return looked

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

            expected = first_look()
            ours.learn(task.steps, AtTimesteps(task.looks, record_ours))
        else:

            def record_any() -> None:
                record(observer.steps, observer.reward, observer.episodes, observer.earned)

            observer = _Observer(env, record_any, task.looks)
            model = task.agent.make(observer, task.seed)
            expected = first_look()
            model.learn(total_timesteps=task.steps)
            if observer.steps == 0:
                raise ValueError("learn took no step in the environment it was given")
            record_any()
        gamma = discount_of(model)
        actions = evaluator.policy(model)
        if evaluator.exact is not None and actions is not None:
            policy = actions.tolist()
            values = values_of(model, evaluator.exact.mdp.num_states)
            q = values.tolist() if values is not None and values.size <= _TABLE else None
        env.close()
    except Stop:
        pass
    except Exception as error:
        ended = Failure.of(error)
        failure, traceback = ended.reason, ended.traceback
    seconds = time.perf_counter() - start - evaluating
    return Run(task.key, tuple(checkpoints), policy, q, failure, seconds, gamma, traceback)


# The next run in this process uses the same evaluator, and its cached answers.
_checkpoint_evaluator = lru_cache(maxsize=8)(CheckpointEvaluator)
