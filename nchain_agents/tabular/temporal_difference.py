"""The hyperparameters and the update that the temporal-difference learners share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from nchain_agents.env_argument import EnvLike
from nchain_agents.exploration import choose
from nchain_agents.schedules import EpsilonLike, epsilon_schedule
from nchain_agents.tabular.loop import Act, Settings, Transition
from nchain_agents.tabular.table_agent import Compiled, TableAgent
from nchain_agents.training_log import LogFolder
from nchain_env.checks import real
from nchain_env.mdp import LARGEST_REWARD, FloatArray, IntArray

# The step sizes of as many visits are kept: 8 MiB, of which only what is used takes memory.
_KEPT = 2**20

InitialQ = float | tuple[float, float]


class Tables(NamedTuple):
    """What a learner with one table knows: the action values and the visits, both (S, A)."""

    q: FloatArray
    visits: IntArray


def act(tables: Tables, settings: Settings, state: int, epsilon: float, rng: Any) -> int:
    """Explore, or take an action by its value."""
    return choose(tables.q, state, epsilon, settings.temperature, rng)


def step_size(settings: Settings, visits: IntArray, state: int, action: int) -> float:
    """Count a visit and return learning_rate / N(s, a)^visit_power.

    Source: Even-Dar & Mansour 2003, Learning Rates for Q-learning, JMLR 5, section 4.
    """
    if settings.visit_power == 0.0:
        return settings.learning_rate
    visits[state, action] += 1
    n = visits[state, action]
    if n >= settings.step_sizes.shape[0]:
        return settings.learning_rate / math.pow(n, settings.visit_power)
    if settings.step_sizes[n] == 0.0:
        settings.step_sizes[n] = settings.learning_rate / math.pow(n, settings.visit_power)
    alpha: float = settings.step_sizes[n]
    return alpha


@lru_cache(maxsize=8)
def step_sizes(learning_rate: float, visit_power: float) -> FloatArray:
    """Return the table in which agents of this process share the step sizes that they computed.

    Reading one takes a fraction of the time of `math.pow`. Agents in several threads may compute
    the same one, which is the same number.
    """
    return np.zeros(_KEPT if visit_power > 0.0 else 0)


def move(
    q: FloatArray, visits: IntArray, settings: Settings, transition: Transition, bootstrap: float
) -> None:
    """Q(S, A) <- Q(S, A) + alpha [R + gamma bootstrap - Q(S, A)], with the step size's visits."""
    state, action = transition.state, transition.action
    alpha = step_size(settings, visits, state, action)
    q[state, action] += alpha * (transition.reward + settings.gamma * bootstrap - q[state, action])


class TemporalDifferenceAgent(TableAgent):
    """A learner that moves Q(s, a) towards the reward and the discounted value of the next state.

    Args:
        env: An environment with discrete observations and actions, or what `Agent` takes for one.
        gamma: The discount factor, in [0, 1].
        learning_rate: The step size, in (0, 1]; with visit_power, that of the first visit.
        visit_power: The step size is learning_rate / N(s, a)^visit_power, N being how often a was
            taken in s: 0 (constant), or in (0.5, 1], with which the table converges.
        epsilon: The probability of a random action: a number (0 is the greedy learner),
            `{initial, decay}` by episode, or `{initial, final, fraction}` over the steps.
        temperature: With 0, the greedy action is taken when not exploring, ties broken at random;
            above, an action with probability proportional to exp(Q / temperature).
        initial_q: Where the table begins: a number (a high one is optimistic), or the bounds of
            uniformly random ones.
        seed: The seed of the agent and of its environment.
        compiled: True, False or "auto"; see `TableAgent`.
        tensorboard_log: A folder for TensorBoard's files; see `Agent`.

    Raises:
        ValueError: A space is not discrete, or a parameter is outside its range.
        ModuleNotFoundError: compiled is True and Numba is not installed.
    """

    parameters: ClassVar[tuple[str, ...]] = (
        "gamma",
        "learning_rate",
        "visit_power",
        "epsilon",
        "temperature",
        "initial_q",
        "compiled",
    )
    act: ClassVar[Act] = staticmethod(act)

    def __init__(
        self,
        env: EnvLike,
        *,
        gamma: float = 0.95,
        learning_rate: float = 0.1,
        visit_power: float = 0.0,
        epsilon: EpsilonLike = 0.1,
        temperature: float = 0.0,
        initial_q: InitialQ = 0.0,
        seed: int | None = None,
        compiled: Compiled = "auto",
        tensorboard_log: LogFolder = None,
    ) -> None:
        super().__init__(
            env, gamma=gamma, seed=seed, compiled=compiled, tensorboard_log=tensorboard_log
        )
        self.learning_rate = real("learning_rate", learning_rate, 0, 1, open_low=True)
        self.visit_power = real("visit_power", visit_power, 0, 1)
        if 0 < self.visit_power <= 0.5:  # the squares of the step sizes would not sum
            raise ValueError(f"visit_power must be 0 or in (0.5, 1], got {visit_power!r}")
        self._schedule = epsilon_schedule(epsilon)
        self.epsilon: EpsilonLike
        if isinstance(epsilon, Mapping):  # of Python's own numbers, which can be saved
            self.epsilon = {name: float(value) for name, value in epsilon.items()}
        else:
            self.epsilon = float(epsilon)
        self.temperature = real("temperature", temperature, 0)
        self.initial_q = _initial_q(initial_q)
        self.tables = self._initial_tables()

    @property
    def _settings(self) -> Settings:
        sizes = step_sizes(self.learning_rate, self.visit_power)
        return Settings(self.gamma, self.learning_rate, self.visit_power, self.temperature, sizes)

    @staticmethod
    def _bytes_per_pair(states: int) -> int:
        return 16

    def _statistics(self) -> dict[str, float]:
        return {"rollout/exploration_rate": self._epsilon()}

    def _initial_tables(self) -> Any:
        return Tables(self._initial_table(), np.zeros(self._shape, dtype=np.int64))

    def _initial_table(self) -> FloatArray:
        if isinstance(self.initial_q, tuple):
            return self.np_random.uniform(*self.initial_q, size=self._shape)
        return np.full(self._shape, self.initial_q)


def _initial_q(given: Any) -> InitialQ:
    """Return a number or two bounds, checked."""
    if not isinstance(given, list | tuple):
        return _value(given)
    if len(given) != 2:
        raise ValueError(f"initial_q must be a number or (low, high), got {given!r}")
    low, high = _value(given[0]), _value(given[1])
    if low > high:
        raise ValueError(f"initial_q must be (low, high), got {given!r}")
    return low, high


def _value(given: Any) -> float:
    """Return a value that can be added to rewards."""
    real("initial_q", given)
    return real("initial_q", given, -LARGEST_REWARD, LARGEST_REWARD)
