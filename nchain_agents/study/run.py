"""Training: one agent with one seed, and a whole study of them over all cores."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

import gymnasium as gym

import nchain_env  # noqa: F401  (registers NChain-v0)
from nchain_agents.evaluation import Yardstick, greedy_policy
from nchain_agents.presets import Preset
from nchain_agents.quiet import import_quietly

CHECKPOINTS = 20


@dataclass(frozen=True)
class Study:
    """What is compared.

    Args:
        agents: The presets to train.
        seeds: How many seeds each is trained with: 0, 1, ..., seeds - 1.
        steps: How many steps each is trained for.
        chain: The parameters of NChain-v0.
    """

    agents: tuple[Preset, ...]
    seeds: int = 5
    steps: int = 20_000
    chain: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """The state of the learning after a number of steps."""

    step: int
    expected_return: float  # of one episode of the greedy policy, exactly
    score: float
    reward_per_step: float  # earned while learning, since the start


@dataclass(frozen=True)
class Run:
    """What came of training one agent with one seed."""

    agent: str
    seed: int
    checkpoints: tuple[Checkpoint, ...]
    seconds: float  # spent in training, without the evaluations

    @property
    def final(self) -> Checkpoint:
        """The state at the end."""
        return self.checkpoints[-1]

    @property
    def steps_per_second(self) -> float:
        """Training steps a second of wall-clock time."""
        return self.final.step / self.seconds


class _Observer(gym.Wrapper[Any, Any, Any, Any]):
    """Looks at the learner from the environment's side, so it need not know what learns."""

    def __init__(self, env: gym.Env[Any, Any], interval: int) -> None:
        super().__init__(env)
        self.model: Any = None
        self.checkpoints: list[Checkpoint] = []
        self.seconds_evaluating = 0.0
        self._yardstick = Yardstick.of_env(env)
        self._returns: dict[bytes, float] = {}
        self._interval = interval
        self._steps = 0
        self._reward_sum = 0.0

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and evaluate the model every `interval` steps."""
        result = super().step(action)
        self._steps += 1
        self._reward_sum += float(result[1])
        if self._steps % self._interval == 0:
            self.evaluate()
        return result

    def evaluate(self) -> None:
        """Add a checkpoint; the last word on a step counts."""
        start = time.perf_counter()
        policy = greedy_policy(self.model, self._yardstick.mdp.num_states)
        key = policy.tobytes()
        if key not in self._returns:  # few policies come up, and often
            self._returns[key] = self._yardstick.policy_return(policy)
        expected = self._returns[key]
        if self.checkpoints and self.checkpoints[-1].step == self._steps:
            self.checkpoints.pop()
        self.checkpoints.append(
            Checkpoint(
                step=self._steps,
                expected_return=expected,
                score=self._yardstick.score(expected),
                reward_per_step=self._reward_sum / self._steps,
            )
        )
        self.seconds_evaluating += time.perf_counter() - start


def train(preset: Preset, seed: int, steps: int, chain: dict[str, Any]) -> Run:
    """Train one preset on NChain-v0 with one seed, evaluating its greedy policy as it goes."""
    import_quietly(preset.requires)
    env = _Observer(gym.make("NChain-v0", **chain), max(1, steps // CHECKPOINTS))
    env.model = preset.make(env, seed)
    start = time.perf_counter()
    env.model.learn(total_timesteps=steps)
    seconds = time.perf_counter() - start - env.seconds_evaluating
    env.evaluate()
    env.close()
    return Run(preset.name, seed, tuple(env.checkpoints), seconds)


def run_study(study: Study, jobs: int) -> Iterator[Run]:
    """Train all agents of a study with all seeds, `jobs` at a time; yield runs as they finish."""
    # New processes, because TensorFlow and torch do not bear being forked; and not joblib's, whose
    # pool can stop for ever when it replaces a worker that has grown, as TensorFlow's do.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        runs = [
            pool.submit(train, preset, seed, study.steps, study.chain)
            for seed in range(study.seeds)
            # the slow ones, which stand last, first: then no core waits for another at the end
            for preset in reversed(study.agents)
        ]
        try:
            for run in as_completed(runs):
                yield run.result()
        finally:
            pool.shutdown(cancel_futures=True)
