"""One training of an agent that may do anything, and what is left of it."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import TimeLimit

from nchain_agents.check.recorder import Recorder
from nchain_agents.study.failure import Failure
from nchain_env import TabularEnv, TabularMDP, chain_mdp

Make = Callable[[Any, int], Any]


class Problem(NamedTuple):
    """A table, and how its episodes end.

    Args:
        mdp: The table.
        time_limit: The number of steps after which an episode is truncated; None for never.
        where: The words for it, after which a sentence goes on.
    """

    mdp: TabularMDP
    time_limit: int | None
    where: str


def _chain(*, ends: bool) -> TabularMDP:
    """Return a chain without chance, so that all chance is the agent's.

    All rewards are positive: a greedy agent that begins with values of 0 never takes an action that
    it has not taken at first.
    """
    mdp = chain_mdp(n=3, slip=0.0, small=1.0, large=3.0)
    terminated = np.full_like(mdp.terminated, ends)
    return TabularMDP(mdp.next_state, mdp.probability, mdp.reward + 0.5, terminated, mdp.initial)


# A number that divides few numbers of steps: the training ends within an episode.
TIME_LIMIT = 23
LIMITED = Problem(
    _chain(ends=False), TIME_LIMIT, f"In a chain with a time limit of {TIME_LIMIT} steps,"
)
ENDLESS = Problem(_chain(ends=False), None, "Where episodes never end,")
ONE_STEP = Problem(_chain(ends=True), None, "Where every step terminates the episode,")


@dataclass
class Trial:
    """A training, and what is left of it.

    Args:
        problem: What it learned on.
        seed: The agent's seed.
        asked: The number of steps that it should take.
        recorder: The environment.
        agent: The agent; None if there is none with `learn` and `predict`.
        failure: Why the training has no end of its own, None if it has one.
        stopped: Whether it was stopped, because it went on for too long.
        global_generators: The names of the global generators whose state it changed.
    """

    problem: Problem
    seed: int
    asked: int
    recorder: Recorder
    agent: Any = None
    failure: Failure | None = None
    stopped: bool = False
    global_generators: tuple[str, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether the training came to an end of its own."""
        return self.failure is None and not self.stopped

    @property
    def steps(self) -> int:
        """The number of steps that were taken."""
        return self.recorder.steps

    @property
    def rollout(self) -> int:
        """The number of steps that the agent takes at a time, as stable-baselines3's agents do."""
        try:
            every = getattr(self.agent, "train_freq", 1)
            sizes = getattr(self.agent, "n_steps", 1), getattr(every, "frequency", every)
            largest = max([1, *(size for size in sizes if isinstance(size, int))])
            episodes = getattr(getattr(every, "unit", None), "value", None) == "episode"
        except Exception:  # the attributes are a user's
            return 1
        return largest * TIME_LIMIT if episodes else largest


def train(make: Make, problem: Problem, seed: int, steps: int, global_seed: int = 0) -> Trial:
    """Train a new agent, and return what is left of it, an exception included.

    It is stopped where it goes on for twice the steps, an episode and a rollout.

    Args:
        make: A function of an environment and a seed that returns the agent.
        problem: What it learns on.
        seed: The agent's seed.
        steps: The number of steps.
        global_seed: What the global generators are seeded with. Their state is restored later.
    """
    env: gym.Env[Any, Any] = TabularEnv(problem.mdp)
    if problem.time_limit is not None:
        env = TimeLimit(env, problem.time_limit)
    enough = 2 * steps + TIME_LIMIT

    def stop(taken: int) -> None:
        if taken >= enough and taken >= enough + this.rollout:
            raise _Stopped

    this = Trial(problem, seed, steps, Recorder(env, stop))
    with global_generators(global_seed) as changed:
        try:
            this.agent = _checked(make(this.recorder, seed))
            this.agent.learn(total_timesteps=steps)
        except _Stopped:
            this.stopped = True
        except _UnusableError as error:
            this.failure = Failure(str(error))
        except (Exception, SystemExit) as error:
            this.failure = Failure.of(error)
        this.global_generators = changed()
    return this


class _UnusableError(Exception):
    """There is nothing to learn or predict with."""


class _Stopped(BaseException):
    """Ends a training that goes on for too long; no Exception, which the agent may handle."""


def _checked(agent: Any) -> Any:
    for name in ("learn", "predict"):
        if not callable(getattr(agent, name, None)):
            raise _UnusableError(f"{type(agent).__name__} has no method `{name}`.")
    try:
        signature = inspect.signature(agent.learn)
    except ValueError:  # a compiled method may have none
        return agent
    try:
        signature.bind(total_timesteps=1)
    except TypeError:
        parameters = ", ".join(signature.parameters)
        raise _UnusableError(
            f"{type(agent).__name__} has `learn({parameters})`, which cannot be called as "
            "`learn(total_timesteps=...)`."
        ) from None
    return agent


# The global generator of NumPy is its legacy one.
@contextmanager
def global_generators(seed: int) -> Iterator[Callable[[], tuple[str, ...]]]:
    """Seed the generators of `random` and `numpy.random`; restore their state at the end.

    Yields:
        A function that returns the names of those whose state has changed since.
    """
    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002

    def states() -> dict[str, Any]:
        legacy: Any = np.random.get_state(legacy=False)  # noqa: NPY002
        key, position = legacy["state"]["key"], legacy["state"]["pos"]
        return {"random": random.getstate(), "numpy.random": (key.tobytes(), position)}

    seeded = states()
    try:
        yield lambda: tuple(name for name, now in states().items() if now != seeded[name])
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
