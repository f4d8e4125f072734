"""`TableAgent`: a table over discrete observations and actions, learned stepped or compiled."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Discrete

from nchain_agents.agent import Agent, OnEpisode, Progress
from nchain_agents.env_argument import EnvLike
from nchain_agents.exploration import choose, probabilities
from nchain_agents.interrupts import Pace, requested
from nchain_agents.model_env import ModelEnv, model_env
from nchain_agents.schedules import EpsilonSchedule, epsilon_schedule
from nchain_agents.storage import LARGEST, Saved
from nchain_agents.tabular import loop, pcg64
from nchain_agents.tabular.compiler import compiled
from nchain_agents.tabular.loop import (
    Act,
    Due,
    Epsilon,
    OutcomeArrays,
    Settings,
    Transition,
    Update,
)
from nchain_agents.training_log import LogFolder
from nchain_env.checks import fits, one_of
from nchain_env.extras import install_command
from nchain_env.mdp import LARGEST_REWARD, FloatArray

Compiled = bool | Literal["auto"]

# The largest sum of rewards: less than the largest float, because differences and means are taken.
_LARGEST_SUM = 1e307

# The largest number of episodes in one call of the compiled loop.
_CHUNK_EPISODES = 100_000


class TableAgent(Agent):
    """An agent with a table of action values, `q`, of shape (S, A).

    A subclass states its rules as two functions, `act` and `update` (see `tabular.loop`), and what
    they change as a tuple of arrays, `tables`; those of integers are counts. One that plans states
    when a plan is due by a third, `due`, and makes it in `_plan`. The rules are run by stepping the
    environment, or compiled (by Numba) on its outcome table; the results are equal bit for bit.

    Args:
        env: An environment with discrete observations and actions, or what `Agent` takes for one.
        gamma: The discount factor, in [0, 1].
        seed: The seed of the agent and of its environment.
        compiled: True: on the outcome table; False: step the environment; "auto": on the table
            where Numba is installed and the environment is known to sample it: a TabularEnv, or
            toy-text's FrozenLake, CliffWalking or Taxi, unless `step` or `reset` are overridden
            or a wrapper may change what the agent sees.
        tensorboard_log: A folder for TensorBoard's files; see `Agent`.

    Raises:
        ValueError: A space is not discrete, a parameter is outside its range, or compiled is True
            and the environment is not known to sample a table.
        ModuleNotFoundError: compiled is True and Numba is not installed.
    """

    act: ClassVar[Act]
    update: ClassVar[Update]
    due: ClassVar[Due] = staticmethod(loop.due)
    tables: Any

    def __init__(
        self,
        env: EnvLike,
        *,
        gamma: float = 0.95,
        seed: int | None = None,
        compiled: Compiled = "auto",
        tensorboard_log: LogFolder = None,
    ) -> None:
        super().__init__(env, gamma=gamma, seed=seed, tensorboard_log=tensorboard_log)
        self._shape = (
            _size("observations", self.env.observation_space),
            _size("actions", self.env.action_space),
        )
        states, actions = self._shape
        tables = f"{states} states and {actions} actions"
        fits("env", tables, states * actions * self._bytes_per_pair(states))
        one_of("compiled", compiled, (True, False, "auto"))
        if compiled is True:
            if find_spec("numba") is None:
                raise ModuleNotFoundError(
                    f"compiled=True needs numba: {install_command('agents')}", name="numba"
                )
            self._checked(ModelEnv(self.env))  # refused now rather than when training begins
        self.compiled = compiled
        self._schedule: EpsilonSchedule = epsilon_schedule(0.0)
        self._pace = Pace(20_000)

    @property
    def _settings(self) -> Any:
        """The hyperparameters that the rules read: `Settings`, or a tuple of the agent's own."""
        return Settings(self.gamma, 1.0, 0.0, 0.0)

    def _checked(self, model: ModelEnv) -> ModelEnv:
        """Refuse a table of another shape or of too large rewards: compiled code checks nothing."""
        states, actions = model.mdp.num_states, model.mdp.num_actions
        if (states, actions) != self._shape:
            raise ValueError(f"env must have {self._shape} states and actions in its model, too")
        if np.abs(model.mdp.reward).max() > self._largest_reward:
            raise ValueError(
                f"env must have rewards of at most {self._largest_reward:.3g} in its model, which "
                f"can be added up over {self._end} steps"
            )
        return model

    @property
    def _largest_reward(self) -> float:
        """The largest reward whose sum over the training is finite."""
        return min(LARGEST_REWARD, _LARGEST_SUM / self._end)

    @staticmethod
    def _bytes_per_pair(states: int) -> int:
        """The memory that each state and action takes."""
        return 8

    @property
    def q(self) -> FloatArray:
        """The table of action values, (S, A)."""
        table: FloatArray = self.tables.q
        return table

    def q_values(self, observation: npt.ArrayLike) -> FloatArray:
        """Return the row of the table for one observation, (A,), or the rows of a batch, (N, A).

        Raises:
            ValueError: The observation is not a state of the table.
        """
        return self._rows(self.q, observation)

    def action_probabilities(self, observation: npt.ArrayLike) -> FloatArray:
        """Return the probabilities with which training chooses the actions at present.

        They are those of `exploration.choose`, by the values of the present plan in an agent that
        plans. An agent whose `act` chooses otherwise overrides this.

        Returns:
            (A,) for one observation, (N, A) for a batch.

        Raises:
            ValueError: The observation is not a state of the table.
        """
        values = self._exploring_values(observation)
        return probabilities(values, self._epsilon(), self._settings.temperature)

    def _rows(self, table: FloatArray, observation: npt.ArrayLike) -> FloatArray:
        states = np.asarray(observation)
        num_states = self._shape[0]
        if (
            not np.issubdtype(states.dtype, np.integer)
            or states.ndim > 1
            or (states.size and not (states.min() >= 0 and states.max() < num_states))
        ):
            raise ValueError(
                f"observation must be one or a batch of integers in [0, {num_states}), "
                f"got {observation!r}"
            )
        rows: FloatArray = table[states]
        return rows.copy()

    def knowledge(self) -> FloatArray:
        """Return the table."""
        return self.q

    def _choose(self, q: FloatArray) -> int:
        temperature = self._settings.temperature
        return int(choose(q[None], 0, self._epsilon(), temperature, self.np_random))

    def _epsilon(self) -> float:
        return self._schedule.epsilon(self.num_timesteps, self._end, len(self.episode_returns))

    def _train(self, until: int, on_episode: OnEpisode, progress: Progress) -> None:
        # a step at a time is taken sooner than compiled code begins
        model = None if self._step_by_step else self._model()
        if model is None:
            self._train_stepped(until, on_episode, progress)
        else:
            self._train_compiled(until, on_episode, progress, model)

    def _model(self) -> ModelEnv | None:
        """Return the environment for the compiled loop, None where it must be stepped."""
        if self.compiled is False or find_spec("numba") is None:
            return None
        try:
            return self._checked(model_env(self.env))
        except ValueError:
            if self.compiled is True:
                raise
            return None

    def _train_stepped(self, until: int, on_episode: OnEpisode, progress: Progress) -> None:
        act, update, due = type(self).act, type(self).update, type(self).due
        tables, settings, rng = self.tables, self._settings, self.np_random
        largest = self._largest_reward
        while self.num_timesteps < until:
            if due(tables):
                self._plan()
            state, epsilon = int(self._observation), self._epsilon()
            action = int(act(tables, settings, state, epsilon, rng))
            next_state, reward, terminated, truncated, _ = self.env.step(action)
            if not abs(float(reward)) <= largest:  # NaN, too
                self._leave_episode()
                raise ValueError(
                    f"env gave the reward {reward} at step {self.num_timesteps + 1}; it must be "
                    f"finite, and at most {largest:.3g}, and training has stopped there"
                )
            transition = Transition(
                state, action, float(reward), int(next_state), terminated, truncated
            )
            update(tables, settings, transition, epsilon, rng)
            self.num_timesteps += 1
            self._episode_return += float(reward)
            self._episode_length += 1
            self._observation = next_state
            if terminated or truncated:
                self.episode_returns.append(self._episode_return)
                self.episode_lengths.append(self._episode_length)
                self._episode_return, self._episode_length = 0.0, 0
                self._observation, _ = self.env.reset()
                progress()
                if on_episode is not None and not on_episode():
                    return
            if requested():
                return

    def _train_compiled(
        self, until: int, on_episode: OnEpisode, progress: Progress, model: ModelEnv
    ) -> None:
        due = type(self).due
        run = compiled(type(self).act, type(self).update, due)
        table, schedule = OutcomeArrays.of(model.mdp), self._schedule
        epsilon = Epsilon(
            schedule.initial, schedule.final, schedule.slope(self._end), schedule.decay
        )
        episodes = _CHUNK_EPISODES if on_episode is None else 1
        while self.num_timesteps < until:
            if due(self.tables):
                self._plan()
            start, begin = self.num_timesteps, time.perf_counter()
            steps = min(until - start, self._pace.steps)
            state, elapsed = model.position
            counters = np.array([state, elapsed, len(self.episode_returns), start], dtype=np.int64)
            returns = np.empty(min(episodes, steps) + 1)
            lengths = np.empty(len(returns), dtype=np.int64)
            returns[0], lengths[0] = self._episode_return, self._episode_length
            arguments = (
                table,
                self.tables,
                self._settings,
                epsilon,
                counters,
                steps,
                model.max_episode_steps,
                returns,
                lengths,
            )
            ended = pcg64.call(run, arguments, (self.np_random, model.np_random))
            state, elapsed, _, self.num_timesteps = counters.tolist()
            model.position = state, elapsed
            self._observation = state
            self._episode_return, self._episode_length = float(returns[ended]), int(lengths[ended])
            self.episode_returns.frombytes(returns[:ended].tobytes())
            self.episode_lengths.frombytes(lengths[:ended].tobytes())
            self._pace.took(self.num_timesteps - start, time.perf_counter() - begin)
            progress()
            if ended and on_episode is not None and not on_episode():
                return
            if requested():
                return

    def _plan(self) -> None:
        """Compute what `act` chooses by; called before a step when a plan is due."""

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return dict(self.tables._asdict())

    def _restore(self, saved: Saved) -> None:
        for name, array in self.tables._asdict().items():
            bounds = self._bounds(name) if array.dtype.kind == "i" else ()
            array[...] = saved.array(name, array.dtype, array.shape, *bounds)

    def _bounds(self, name: str) -> tuple[int, int]:
        """The smallest and the largest integer that a saved table may hold."""
        return 0, LARGEST


def _size(what: str, space: Any) -> int:
    if not isinstance(space, Discrete) or space.start != 0:
        raise ValueError(
            f"env must have discrete {what} numbered from 0 for a table, got {space}; "
            "KerasDQN takes other observations"
        )
    return int(space.n)
