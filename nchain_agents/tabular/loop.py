"""The loop on an outcome table, and what its rules are told.

The functions here and the rules they call are plain Python. `compiled` makes machine code of them,
which draws the same random numbers in the same order and gives the same bits.
"""

from __future__ import annotations

import hashlib
import marshal
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from nchain_agents.exploration import decay_factor, linear
from nchain_env.mdp import BoolArray, FloatArray, IntArray, TabularMDP


class Table(NamedTuple):
    """The outcome table as the loop reads it: flat, outcome k of (s, a) at (s A + a) K + k."""

    next_state: IntArray
    cumulative: FloatArray
    reward: FloatArray
    terminated: BoolArray
    cumulative_initial: FloatArray
    num_actions: int
    num_outcomes: int

    @classmethod
    def of(cls, mdp: TabularMDP) -> Table:
        """Return the table of a process."""
        return cls(
            mdp.next_state.ravel(),
            mdp.cumulative.ravel(),
            mdp.reward.ravel(),
            mdp.terminated.ravel(),
            mdp.cumulative_initial,
            mdp.num_actions,
            mdp.next_state.shape[2],
        )


class Settings(NamedTuple):
    """The numbers that the rules are told."""

    gamma: float
    learning_rate: float
    visit_power: float
    temperature: float


class Epsilon(NamedTuple):
    """Epsilon as the loop computes it; see `EpsilonSchedule`."""

    initial: float
    final: float
    slope: float
    decay: float


def act(memory: Any, settings: Settings, state: int, epsilon: float, rng: Any) -> int:
    """Choose an action; each agent puts its own rule here."""
    raise NotImplementedError


def update(
    memory: Any,
    settings: Settings,
    state: int,
    action: int,
    reward: float,
    reached: int,
    terminated: bool,
    epsilon: float,
    rng: Any,
) -> int:
    """Learn from a step; return the next action if it is chosen already, else -1."""
    raise NotImplementedError


def run(
    table: Table,
    memory: Any,
    settings: Settings,
    schedule: Epsilon,
    place: IntArray,
    steps: int,
    max_episode_steps: int,
    returns: FloatArray,
    agent_rng: np.random.Generator,
    env_rng: np.random.Generator,
) -> int:
    """Learn on an outcome table for `steps` steps, or until as many episodes ended as fit.

    Where learning stands goes in and comes out by arrays. Numba would make a tuple to be returned
    by calling Python, which crashes the process when a KeyboardInterrupt is raised just then.

    Args:
        table: The outcomes.
        memory: What is learned, a tuple of arrays that the rules change.
        settings: The numbers that the rules are told.
        schedule: Epsilon over steps and episodes.
        place: Where learning stands: the state, the action if it is chosen already (else -1), the
            steps since the reset, the episodes that have ended, and the steps in all.
        steps: The largest number of steps.
        max_episode_steps: An episode is truncated after so many.
        returns: (E + 1,) begins with the return so far of the present episode. It takes the returns
            of up to E episodes that end, and then the return so far of the next one.
        agent_rng: The agent's generator.
        env_rng: The environment's generator: one number a step and one a reset.

    Returns:
        How many episodes ended.
    """
    state, action, elapsed, episode, step = place[0], place[1], place[2], place[3], place[4]
    episode_return = returns[0]
    ended = 0
    scale = decay_factor(schedule.decay, episode)
    while steps > 0 and ended < len(returns) - 1:
        epsilon = scale * linear(schedule.initial, schedule.final, schedule.slope, step)
        if action < 0:
            action = act(memory, settings, state, epsilon, agent_rng)
        k = sample_outcome(table, state, action, env_rng.random())
        reward = table.reward[k]
        reached = table.next_state[k]
        terminated = table.terminated[k]
        action = update(
            memory, settings, state, action, reward, reached, terminated, epsilon, agent_rng
        )
        state = reached
        episode_return += reward
        elapsed += 1
        step += 1
        steps -= 1
        if terminated or elapsed >= max_episode_steps:
            returns[ended] = episode_return
            ended += 1
            episode_return = 0.0
            elapsed = 0
            episode += 1
            scale = decay_factor(schedule.decay, episode)
            state = sample_start(table.cumulative_initial, env_rng.random())
            action = -1
    place[0], place[1], place[2], place[3], place[4] = state, action, elapsed, episode, step
    returns[ended] = episode_return
    return ended


def sample_outcome(table: Table, state: int, action: int, u: float) -> int:
    """Return the place of the first outcome whose cumulative probability exceeds u."""
    first = (state * table.num_actions + action) * table.num_outcomes
    for k in range(first, first + table.num_outcomes):
        if table.cumulative[k] > u:
            return k
    return first  # where rounding leaves the last below u, toy-text takes the first


def sample_start(cumulative: FloatArray, u: float) -> int:
    """Return the first state whose cumulative probability exceeds u."""
    for state in range(cumulative.shape[0]):
        if cumulative[state] > u:
            return state
    return 0


Rule = Callable[..., int]


@cache
def compiled(act: Rule, update: Rule) -> Callable[..., int]:
    """Return `run` with an agent's rules as machine code, kept on disk for later processes.

    Raises:
        ModuleNotFoundError: Numba is not installed.
    """
    machine_code: Callable[..., int] = _compile(run, {"act": act, "update": update})[0]
    return machine_code


def _compile(function: Callable[..., Any], rules: dict[str, Any]) -> tuple[Any, str]:
    """Compile a function and all that it calls; return it with a digest of its whole code.

    Numba takes the functions that are called from the globals, so the function is built anew with
    compiled ones there. Its name carries the digest, because Numba's cache on disk knows the file
    of a function, but neither its globals nor the files of the functions that it calls.
    """
    import numba

    assert isinstance(function, FunctionType)
    names = {**function.__globals__, **rules}
    digest = hashlib.sha256(marshal.dumps(function.__code__))
    for name in function.__code__.co_names:
        if isinstance(names.get(name), FunctionType):
            names[name], called = _compile(names[name], {})
            digest.update(called.encode())
    whole = digest.hexdigest()[:16]
    anew = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    anew.__qualname__ = f"{function.__name__}_{whole}"
    # forceinline and the NumPy error model (no check for division by zero) double the speed
    options = {"cache": True} if rules else {"forceinline": True}
    return numba.njit(nogil=True, error_model="numpy", **options)(anew), whole
