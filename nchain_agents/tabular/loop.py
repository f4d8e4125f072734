"""The loop on an outcome table.

The functions here and the rules they call are plain Python. Compiled by `compiler.compiled`, they
draw the same random numbers in the same order and compute the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nchain_agents.schedules import decay_factor, linear
from nchain_env.mdp import BoolArray, FloatArray, IntArray, TabularMDP


class OutcomeArrays(NamedTuple):
    """The outcome table as the loop reads it: flat, outcome k of (s, a) at (s A + a) K + k."""

    next_state: IntArray
    cumulative: FloatArray
    reward: FloatArray
    terminated: BoolArray
    cumulative_initial: FloatArray
    num_actions: int
    num_outcomes: int

    @classmethod
    def of(cls, mdp: TabularMDP) -> OutcomeArrays:
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
    """The hyperparameters that the rules read."""

    gamma: float
    learning_rate: float
    visit_power: float
    temperature: float
    # learning_rate / n^visit_power at n where that is known already, else 0
    step_sizes: FloatArray = np.empty(0)


class Epsilon(NamedTuple):
    """Epsilon as the loop computes it; see `EpsilonSchedule`."""

    initial: float
    final: float
    slope: float
    decay: float


class Transition(NamedTuple):
    """One step of the environment."""

    state: int
    action: int
    reward: float
    next_state: int
    terminated: bool
    truncated: bool


Act = Callable[..., int]  # as `act` below
Update = Callable[..., None]  # as `update` below
Due = Callable[..., bool]  # as `due` below


def act(tables: Any, settings: Settings, state: int, epsilon: float, rng: Any) -> int:
    """Choose an action; each agent puts its own rule here."""
    raise NotImplementedError


def update(
    tables: Any, settings: Settings, transition: Transition, epsilon: float, rng: Any
) -> None:
    """Learn from a transition; each agent puts its own rule here."""
    raise NotImplementedError


def due(tables: Any) -> bool:
    """Return whether the agent must plan before the next step; those that plan put a rule here."""
    return False


def run(
    table: OutcomeArrays,
    tables: Any,
    settings: Settings,
    schedule: Epsilon,
    counters: IntArray,
    steps: int,
    max_episode_steps: int,
    returns: FloatArray,
    lengths: IntArray,
    agent_rng: np.random.Generator,
    env_rng: np.random.Generator,
) -> int:
    """Learn on an outcome table for `steps` steps; return the number of episodes that ended.

    The loop returns earlier when `returns` is full, or when a plan is due.

    Progress goes in and comes out by arrays. Numba would create a tuple to be returned by calling
    Python, which crashes the process when a KeyboardInterrupt is raised at that moment.

    Args:
        table: The outcomes.
        tables: What is learned, a tuple of arrays that the rules change.
        settings: The hyperparameters that the rules read.
        schedule: Epsilon over steps and episodes.
        counters: The state, the number of steps since the reset, of episodes that have ended, and
            of steps in all.
        steps: The largest number of steps.
        max_episode_steps: An episode is truncated after so many.
        returns: (E + 1,) begins with the return so far of the present episode. It takes the returns
            of up to E episodes that end, and then the return so far of the next one.
        lengths: (E + 1,) the same for the numbers of their steps.
        agent_rng: The agent's generator.
        env_rng: The environment's generator: one number a step and one a reset.
    """
    state, elapsed, episode, step = counters[0], counters[1], counters[2], counters[3]
    episode_return, episode_length = returns[0], lengths[0]
    ended = 0
    scale = decay_factor(schedule.decay, episode)
    while steps > 0 and ended < len(returns) - 1 and not due(tables):
        epsilon = scale * linear(schedule.initial, schedule.final, step * schedule.slope)
        action = act(tables, settings, state, epsilon, agent_rng)
        k = sample_outcome(table, state, action, env_rng.random())
        reward, next_state, terminated = table.reward[k], table.next_state[k], table.terminated[k]
        elapsed += 1
        truncated = elapsed >= max_episode_steps
        transition = Transition(state, action, reward, next_state, terminated, truncated)
        update(tables, settings, transition, epsilon, agent_rng)
        state = next_state
        episode_return += reward
        episode_length += 1
        step += 1
        steps -= 1
        if terminated or truncated:
            returns[ended], lengths[ended] = episode_return, episode_length
            ended += 1
            episode_return, episode_length = 0.0, 0
            elapsed = 0
            episode += 1
            scale = decay_factor(schedule.decay, episode)
            state = sample_start(table.cumulative_initial, env_rng.random())
    counters[0], counters[1], counters[2], counters[3] = state, elapsed, episode, step
    returns[ended], lengths[ended] = episode_return, episode_length
    return ended


def sample_outcome(table: OutcomeArrays, state: int, action: int, u: float) -> int:
    """Return the index of the first outcome whose cumulative probability exceeds u."""
    first = (state * table.num_actions + action) * table.num_outcomes
    if table.num_outcomes == 2 and table.cumulative[first + 1] > u:
        return first + int(table.cumulative[first] <= u)  # no branch depends on u, which is random
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
