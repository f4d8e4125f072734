"""A statistical test of whether an environment follows its outcome table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from itertools import cycle
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Discrete

from nchain_env.mdp import FloatArray, IntArray, TabularMDP

# The probability of rejecting an environment that follows its table is at most this.
LEVEL = 1e-6
# The number of steps for each state and action, and the smallest and largest number in all.
_STEPS_EACH, _FEWEST, _MOST = 10, 2_000, 10_000
# The explorer's discount factor, the sweeps of each plan, and the steps between plans.
_DISCOUNT, _SWEEPS, _PLAN_EVERY = 0.99, 10, 40


class Check(NamedTuple):
    """The result of a check."""

    steps: int
    difference: str | None  # the first that was found; None: there is none


class _Outcome(NamedTuple):
    """One outcome of a state and action."""

    state: int
    reward: float
    terminated: bool

    def like(self, other: _Outcome) -> bool:
        """Whether both are the same but for the rounding of the reward."""
        same = (self.state, self.terminated) == (other.state, other.terminated)
        return same and math.isclose(self.reward, other.reward, rel_tol=1e-6, abs_tol=1e-9)

    def __str__(self) -> str:
        ends = " and the end of the episode" if self.terminated else ""
        return f"state {self.state} with reward {self.reward:g}{ends}"


class _Differs(Exception):  # noqa: N818  (found, not gone wrong)
    """The environment does not follow its table."""


def check_model(env: gym.Env[Any, Any], mdp: TabularMDP, max_episode_steps: int) -> Check:
    """Take steps in an environment and compare them with its table.

    Each outcome, and each start state, must have a positive probability in the table. Their
    frequencies are tested at the level `LEVEL`, see `evidence`. The steps are directed to the
    states and actions that were tried least, by the table; what they do not reach is not checked.

    Args:
        env: The environment. A copy of it is stepped; where none can be made, itself.
        mdp: Its table.
        max_episode_steps: Episodes must be truncated after this number of steps, and not before.
    """
    with suppress(Exception):  # an open window or file cannot be copied
        env = deepcopy(env)
    if not (
        _counts(env.observation_space, mdp.num_states)
        and _counts(env.action_space, mdp.num_actions)
    ):
        told = (
            f"its observations are {env.observation_space} and its actions {env.action_space}, "
            f"and its table has {mdp.num_states} states and {mdp.num_actions} actions"
        )
        return Check(0, told)
    steps = min(max(_STEPS_EACH * mdp.num_states * mdp.num_actions, _FEWEST), _MOST)
    seen = _Seen(mdp)
    try:
        with _undrawn(env):
            _take(env, seen, _Explorer(mdp), steps, max_episode_steps)
        seen.compare_frequencies()
    except _Differs as difference:
        return Check(steps, str(difference))
    except Exception as error:  # of the environment's, or of its copy's
        return Check(steps, f"a step raised {type(error).__name__}: {error}")
    return Check(steps, None)


def _counts(space: Any, size: int) -> bool:
    return isinstance(space, Discrete) and (int(space.n), int(space.start)) == (size, 0)


def _take(
    env: gym.Env[Any, Any], seen: _Seen, explorer: _Explorer, steps: int, max_episode_steps: int
) -> None:
    # Long episodes, for what happens late or far away, and short ones, for many starts.
    lengths = cycle((steps // 4, steps // 40))
    state, elapsed, cut = seen.start(env.reset(seed=0)[0]), 0, next(lengths)
    for _ in range(steps):
        action = explorer.action(state)
        observation, reward, terminated, truncated, _ = env.step(action)
        elapsed += 1
        next_state = seen.step(state, action, observation, float(reward), bool(terminated))
        if truncated and not terminated and elapsed < max_episode_steps:
            raise _Differs(
                f"an episode was cut off after {elapsed} steps, and its time limit is "
                f"{max_episode_steps}"
            )
        state = next_state
        if terminated or truncated or elapsed >= min(max_episode_steps, cut):
            state, elapsed, cut = seen.start(env.reset()[0]), 0, next(lengths)


@contextmanager
def _undrawn(env: gym.Env[Any, Any]) -> Iterator[None]:
    """Switch off the rendering of an environment."""
    model, mode = env.unwrapped, env.unwrapped.render_mode
    model.render_mode = None
    try:
        yield
    finally:
        model.render_mode = mode


class _Explorer:
    """Plans on the table for a bonus that falls with the number of times an action was tried."""

    def __init__(self, mdp: TabularMDP) -> None:
        self._mdp = mdp
        self._tried = np.zeros(mdp.next_state.shape[:2], dtype=np.int64)
        self._bonus = np.ones(self._tried.shape)
        self._value = np.zeros(mdp.num_states)
        self._steps = 0

    def action(self, state: int) -> int:
        """Return the next action."""
        if self._steps % _PLAN_EVERY == 0:
            for _ in range(_SWEEPS):
                self._value = self._action_values(slice(None)).max(axis=-1)
        self._steps += 1
        action = int(self._action_values(state).argmax())
        self._tried[state, action] += 1
        self._bonus[state, action] = 1.0 / (1.0 + self._tried[state, action]) ** 2
        return action

    def _action_values(self, state: Any) -> FloatArray:
        mdp, value = self._mdp, self._value
        # after the end of an episode it goes on from a start
        restart = value @ mdp.initial
        ahead = np.where(mdp.terminated[state], restart, value[mdp.next_state[state]])
        ahead = (mdp.probability[state] * ahead).sum(axis=-1)
        return np.asarray(self._bonus[state] + _DISCOUNT * ahead, dtype=np.float64)


class _Seen:
    """Counts start states and outcomes, beside their probabilities in the table."""

    def __init__(self, mdp: TabularMDP) -> None:
        self._mdp = mdp
        self._starts = np.zeros(mdp.num_states, dtype=np.int64)
        self._rows: dict[tuple[int, int], tuple[list[_Outcome], FloatArray, IntArray]] = {}

    def start(self, observation: Any) -> int:
        """Count a start state, and return it."""
        state = self._state(observation)
        if not self._mdp.initial[state] > 0:
            raise _Differs(f"an episode began in state {state}, where by its table none begins")
        self._starts[state] += 1
        return state

    def step(
        self, state: int, action: int, observation: Any, reward: float, terminated: bool
    ) -> int:
        """Count the outcome of a step, and return the next state."""
        happened = _Outcome(self._state(observation), reward, terminated)
        outcomes, _, counts = self._row(state, action)
        found = [k for k, outcome in enumerate(outcomes) if outcome.like(happened)]
        if not found:
            known = ", or to ".join(map(str, outcomes))
            raise _Differs(
                f"action {action} in state {state} led to {happened}; by its table to {known}"
            )
        counts[found[0]] += 1
        return happened.state

    def compare_frequencies(self) -> None:
        """Raise _Differs if the counts are too improbable by the table."""
        possible = self._mdp.initial > 0
        tests = [("start states", self._mdp.initial[possible], self._starts[possible])]
        # Rows of equal probabilities are tested together, too: one fault often changes all of them.
        alike: dict[bytes, IntArray] = {}
        for (state, action), (_, probability, counts) in self._rows.items():
            tests.append((f"outcomes of action {action} in state {state}", probability, counts))
            key = probability.tobytes()
            alike[key] = alike.get(key, np.zeros_like(counts)) + counts
        for key, counts in alike.items():
            probability = np.frombuffer(key)
            tests.append((f"outcomes of {len(counts)} kinds", probability, counts))
        allowed = math.log((1 + 2 * self._mdp.num_states * self._mdp.num_actions) / LEVEL)
        for what, probability, counts in tests:
            if evidence(probability, counts) > allowed:
                by_table = ", ".join(f"{p:.3g}" for p in probability)
                shares = ", ".join(f"{share:.3g}" for share in counts / counts.sum())
                raise _Differs(
                    f"the {what} came with frequencies {shares} of {counts.sum()}; "
                    f"by its table with probabilities {by_table}"
                )

    def _state(self, observation: Any) -> int:
        state = np.asarray(observation)
        if state.shape != () or state.dtype.kind not in "iu" or not 0 <= state < len(self._starts):
            raise _Differs(f"the observation {observation!r} is no state of its table")
        return int(state)

    def _row(self, state: int, action: int) -> tuple[list[_Outcome], FloatArray, IntArray]:
        if (state, action) not in self._rows:
            mdp, at = self._mdp, (state, action)
            columns = (mdp.next_state, mdp.reward, mdp.terminated, mdp.probability)
            outcomes: list[_Outcome] = []
            mass: list[float] = []
            for *parts, p in zip(*(column[at].tolist() for column in columns), strict=True):
                outcome = _Outcome(*parts)
                same = [k for k, other in enumerate(outcomes) if other.like(outcome)]
                if p > 0 and same:
                    mass[same[0]] += p
                elif p > 0:
                    outcomes.append(outcome)
                    mass.append(p)
            counts = np.zeros(len(mass), dtype=np.int64)
            self._rows[at] = outcomes, np.array(mass), counts
        return self._rows[state, action]


def evidence(probability: FloatArray, counts: npt.NDArray[np.int64]) -> float:
    """Return the log likelihood ratio of the mixture of all probabilities and the table's.

    The mixture has a Dirichlet(1/2, ...) prior (Krichevsky & Trofimov 1981). If the table is right,
    the ratio has mean 1 however the steps are chosen, so it exceeds x with probability at most 1/x.
    """
    kinds, total = len(counts), int(counts.sum())
    mixture = math.lgamma(kinds / 2) - math.lgamma(total + kinds / 2)
    mixture += sum(math.lgamma(count + 0.5) - math.lgamma(0.5) for count in counts.tolist())
    return mixture - float(counts @ np.log(probability))
