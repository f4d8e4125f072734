"""`Agent`: learn, predict, save and load, with stable-baselines3's names."""

from __future__ import annotations

import os
import sys
import time
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from nchain_agents import storage
from nchain_agents.env_argument import Env, EnvLike, environment, shown
from nchain_agents.env_recipe import made_by, recipe_of
from nchain_agents.interrupts import answer, held
from nchain_agents.listeners import Listeners
from nchain_agents.model_env import ModelEnv, model_env
from nchain_agents.progress import training_progress
from nchain_agents.public_names import MODULES, public
from nchain_agents.sb3 import vec_env
from nchain_agents.training_log import LogFolder, TrainingLog, log_folder
from nchain_env.checks import integer, real, whole_steps
from nchain_env.mdp import BoolArray, FloatArray
from nchain_env.representation import call

Callback = Callable[["Agent"], bool | None]
OnEpisode = Callable[[], bool] | None  # called at the end of an episode; False stops the training
Progress = Callable[[], None]

# Means are taken over so many of the last episodes.
_WINDOW = 100


class Agent(ABC):
    """A learner; each call of `learn` continues where the last one ended.

    Args:
        env: An environment, or what one is made from: an id with parameters as `NChain-v0 n=8`, an
            EnvSpec, a function, or a TabularMDP.
        gamma: The discount factor, in [0, 1].
        seed: The seed of the agent and of its environment, whose generators are separate.
        tensorboard_log: A folder for TensorBoard's files, in which each training has a folder of
            its own; None: nothing is written. It is an attribute, too, and is not saved.

    Raises:
        ValueError: A parameter is outside its range.
    """

    # The hyperparameters, which are attributes and arguments of the constructor by the same name.
    parameters: ClassVar[tuple[str, ...]] = ("gamma",)

    def __init__(
        self,
        env: EnvLike,
        *,
        gamma: float = 0.95,
        seed: int | None = None,
        tensorboard_log: LogFolder = None,
    ) -> None:
        self._env: Env = environment(env)
        self.gamma = real("gamma", gamma, 0, 1)
        if seed is not None:
            seed = integer("seed", seed, 0)
        # with the same seed, both would draw the same numbers
        agent_seed, env_seed = np.random.SeedSequence(seed).generate_state(2)
        self.np_random = np.random.default_rng(agent_seed)
        self._env_seed = int(env_seed)
        # The last observation; None before the first reset.
        self._observation: Any = None
        self._episode_return = 0.0
        self._episode_length = 0
        self.num_timesteps = 0
        self._end = 1  # the number of steps at the end of the training, for schedules
        self.episode_returns = array("d")  # of every finished episode
        self.episode_lengths = array("q")  # the numbers of their steps
        self.tensorboard_log = log_folder(tensorboard_log)
        self._log = TrainingLog()
        # when the present call of `learn` began, and at which step
        self._learning_since = time.perf_counter(), 0
        self._vec_env: Any = None
        # whether a callback is called after each step
        self._step_by_step = False

    def __repr__(self) -> str:
        values = {name: getattr(self, name) for name in self.parameters}
        made = call(self, {"env": shown(self.env), **values})
        return f"<{made} after {self.num_timesteps:,} steps>" if self.num_timesteps else made

    @property
    def env(self) -> Env:
        """The environment.

        It can be replaced by another one with the same spaces. Then the next call of `learn` begins
        a new episode there, with a seed derived from the agent's.
        """
        return self._env

    @env.setter
    def env(self, env: EnvLike) -> None:
        self._set_env(environment(env))

    def _set_env(self, env: Env) -> None:
        """Go on in another environment, which must have the same spaces."""
        for name in ("observation_space", "action_space"):
            ours, theirs = getattr(self._env, name), getattr(env, name)
            if ours != theirs:
                raise ValueError(f"env must have the {name} {ours}, got {theirs}")
        self._env, self._vec_env = env, None
        if self._observation is not None:
            self._leave_episode()

    def set_env(self, env: EnvLike) -> None:
        """Learn in another environment from now on, as by assigning `env`.

        Raises:
            ValueError: It has other spaces.
        """
        self.env = env

    def get_env(self) -> Any:
        """Return the environment as stable-baselines3 has it: a `VecEnv` that holds `env`.

        A Gymnasium vector environment is returned as it is.

        Raises:
            ModuleNotFoundError: stable-baselines3 is not installed.
        """
        if self._vec_env is None:
            self._vec_env = vec_env(self.env)
        return self._vec_env

    def get_vec_normalize_env(self) -> None:
        """Return None, as no environment is normalised; stable-baselines3's callbacks ask."""
        return None

    def _leave_episode(self) -> None:
        """Begin a new episode, with a new seed, when learning goes on; this one does not count."""
        self._observation = None
        self._episode_return, self._episode_length = 0.0, 0
        seeds = np.random.SeedSequence([self._env_seed, self.num_timesteps])
        self._env_seed = int(seeds.generate_state(1)[0])

    def learn(
        self,
        total_timesteps: float,
        callback: Any = None,
        log_interval: int | None = 4,
        tb_log_name: str | None = None,
        reset_num_timesteps: bool = False,
        progress_bar: bool = False,
    ) -> Self:
        """Learn for a number of steps, going on where the last call ended.

        Ctrl-C (SIGINT, or a notebook's "interrupt") raises KeyboardInterrupt after the present
        step, or chunk of compiled steps. The agent keeps what it learned: called again for the
        steps that are left, it learns what it would have learned uninterrupted. Pressed again,
        Ctrl-C is answered at once, for an environment or a callback that hangs; then the step that
        was interrupted may be lost in part.

        Args:
            total_timesteps: The number of environment steps, at least 1; a whole float such as 1e5
                will do. Schedules are laid over these and all that went before.
            callback: A function of the agent, called at the end of each episode; False stops the
                training. With an attribute `n_steps`, a number of at least 1, it is called at every
                multiple of so many steps and at the end of the training instead; see
                `EveryNTimesteps`. With an attribute `at_timesteps`, a list of increasing numbers,
                it is called at these steps and at the end; see `callbacks.AtTimesteps`. A callback
                of stable-baselines3's is called after each step, and a list of callbacks one after
                the other.
            log_interval: With `tensorboard_log`, or a logger of your own, statistics are written
                each time so many episodes have ended; None: only callbacks write some.
            tb_log_name: The name of the run: its folder is `NAME_1`, `NAME_2`, ...; None: that of
                the class.
            reset_num_timesteps: Count steps and episodes from 0 again, with schedules laid over
                these steps only, a new episode and a new folder of the log. What was learned stays.
            progress_bar: Show the steps a second and the return of the last episode.

        Raises:
            ValueError: total_timesteps or log_interval is not such a number, or callback not such a
                function; or, from a network, a reward or an observation is NaN or infinite: then
                the agent keeps what it had learned, and begins a new episode when it learns on.
            ModuleNotFoundError: tensorboard_log is given, and TensorBoard is not installed.
            KeyboardInterrupt: It was interrupted.
        """
        steps = whole_steps("total_timesteps", total_timesteps)
        if log_interval is not None:
            integer("log_interval", log_interval, 1)
        listeners = Listeners(callback)
        name = type(self).__name__ if tb_log_name is None else tb_log_name
        new_run = reset_num_timesteps or self.num_timesteps == 0
        log = self._log.run(self.tensorboard_log, name, new_run)
        with held(), log, training_progress(steps, progress_bar) as show:
            if reset_num_timesteps:
                self._count_from_zero()
            start = self.num_timesteps
            self._end = end = start + steps
            self._begin()
            self._learning_since = time.perf_counter(), start
            interval = log_interval if self._log.writes else None
            logged = len(self.episode_returns)

            def progress() -> None:
                if self.episode_returns:
                    show(self.num_timesteps - start, self.episode_returns[-1])

            def log_is_due() -> bool:
                ended = len(self.episode_returns)
                return interval is not None and ended // interval > logged // interval

            def episode_ended() -> bool:
                return listeners.episode(self) and not log_is_due()

            on_episode = episode_ended if interval or listeners.at_episodes else None
            arguments = {
                "self": self,
                "total_timesteps": end,
                "callback": callback,
                "log_interval": log_interval,
                "tb_log_name": name,
                "reset_num_timesteps": reset_num_timesteps,
                "progress_bar": progress_bar,
            }
            self._step_by_step = listeners.each_step
            listeners.begin(self, arguments)
            while self.num_timesteps < end and listeners.go_on:
                self._train(listeners.next_step(self.num_timesteps, end), on_episode, progress)
                listeners.step(self, end)
                if log_is_due():
                    self.dump_logs()
                    logged = len(self.episode_returns)
                answer()
            listeners.end()
        return self

    def _begin(self) -> None:
        """Begin an episode where none is going on."""
        if self._observation is None:
            self._observation, _ = self.env.reset(seed=self._env_seed)

    def _count_from_zero(self) -> None:
        """Count steps and episodes from 0 again, and leave the present episode."""
        if self.num_timesteps:
            self._leave_episode()
            self.num_timesteps = 0
            self.episode_returns, self.episode_lengths = array("d"), array("q")

    @property
    def logger(self) -> Any:
        """What training and callbacks report to: a `Logger`, or what `set_logger` was given."""
        return self._log.logger

    def set_logger(self, logger: Any) -> None:
        """Report to another logger, in place of `tensorboard_log`.

        Args:
            logger: One of stable-baselines3's, or another with its methods `record` and `dump`.

        Raises:
            ValueError: It is something else.
        """
        self._log.use(logger)

    def dump_logs(self) -> None:
        """Write the statistics of the training to `logger`, under stable-baselines3's names."""
        record, (since, start) = self.logger.record, self._learning_since
        elapsed = max(time.perf_counter() - since, sys.float_info.epsilon)
        if self.episode_returns:
            record("rollout/ep_rew_mean", float(np.mean(self.episode_returns[-_WINDOW:])))
        if self.episode_lengths:
            record("rollout/ep_len_mean", float(np.mean(self.episode_lengths[-_WINDOW:])))
        for name, value in self._statistics().items():
            record(name, value)
        record("time/fps", int((self.num_timesteps - start) / elapsed))
        # which the axes of TensorBoard show
        record("time/episodes", len(self.episode_returns), exclude="tensorboard")
        record("time/time_elapsed", int(elapsed), exclude="tensorboard")
        record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        self.logger.dump(self.num_timesteps)

    def _statistics(self) -> dict[str, float]:
        """Return what is reported beside episodes and time."""
        return {}

    @property
    def dones(self) -> BoolArray:
        """Which environments' episodes the last step ended, (N,)."""
        return np.array([self.num_timesteps > 0 and self._episode_length == 0])

    @property
    def total_reward(self) -> float:
        """The sum of all rewards so far."""
        return float(np.sum(self.episode_returns)) + self._episode_return

    @abstractmethod
    def _train(self, until: int, on_episode: OnEpisode, progress: Progress) -> None:
        """Learn until `num_timesteps` is `until`, or `on_episode` returns False after an episode.

        It also returns after a step, or a chunk of compiled steps, when `interrupts.requested()`.
        `progress` is called after episodes, or chunks. Schedules end at `_end`, which may be later.
        """

    def predict(
        self,
        observation: npt.ArrayLike,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        """Return what the agent would do.

        Args:
            observation: One observation, or a batch of them.
            state: Returned unchanged; for the signature of recurrent agents.
            episode_start: Not used; for the signature of recurrent agents.
            deterministic: Take the greedy action, the lowest among equals; else explore as in
                training, drawing from the agent's generator.

        Returns:
            The action (an int64 for one observation, an int64 array for a batch) and `state`.

        Raises:
            ValueError: The observation does not fit the environment's space.
        """
        q = self.q_values(observation) if deterministic else self._exploring_values(observation)
        rows = q.reshape(-1, q.shape[-1])
        if deterministic:
            actions = rows.argmax(axis=1).astype(np.int64)
        else:
            actions = np.array([self._choose(row) for row in rows], dtype=np.int64)
        return (actions[0] if q.ndim == 1 else actions), state

    @abstractmethod
    def q_values(self, observation: npt.ArrayLike) -> FloatArray:
        """Return the values of the actions, (A,) for one observation and (N, A) for a batch."""

    def _exploring_values(self, observation: npt.ArrayLike) -> FloatArray:
        """Return the values that actions are chosen by in training, as `q_values` does."""
        return self.q_values(observation)

    def knowledge(self) -> FloatArray:
        """Return the numbers that learning changes, as one array; see `StopAtConvergence`."""
        arrays = (array for array in self._arrays().values() if array.dtype.kind == "f")
        return np.concatenate([array.ravel() for array in arrays])

    @abstractmethod
    def _choose(self, q: FloatArray) -> int:
        """Choose an action from its values, (A,), as in training."""

    @abstractmethod
    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what was learned, as named arrays."""

    @abstractmethod
    def _restore(self, saved: storage.Saved) -> None:
        """Restore what `_arrays` returned."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the agent to one file, without pickle.

        If the environment is known to sample a table, its state is saved too, and a loaded agent
        continues as if it had never stopped. Otherwise it begins a new episode.

        Args:
            path: The file to write. It appears whole or not at all; folders are made for it.

        Raises:
            OSError: The file cannot be written.
        """
        episodes = {
            "episode_returns": np.asarray(self.episode_returns),
            "episode_lengths": np.asarray(self.episode_lengths),
        }
        storage.write(path, self._header(), {**self._arrays(), **episodes})

    def _header(self) -> dict[str, Any]:
        """Return what is saved beside `_arrays`, ready for JSON."""
        return {
            "class": type(self).__name__,
            "env": recipe_of(self.env),
            "env_seed": self._env_seed,
            "place": self._episode_state(),
            "parameters": {name: getattr(self, name) for name in self.parameters},
            "num_timesteps": self.num_timesteps,
            "end": self._end,
            "generator": storage.generator_state("np_random", self.np_random),
        }

    def _episode_state(self) -> dict[str, Any] | None:
        """The state within an episode; None between episodes, {} where it is not known."""
        if self._observation is None:
            return None
        try:
            model = model_env(self.env)
            generator = storage.generator_state("env", model.np_random)
        except ValueError:
            return {}
        return {
            "position": model.position,
            "generator": generator,
            "episode_return": self._episode_return,
            "episode_length": self._episode_length,
        }

    @classmethod
    def load(cls, path: str | os.PathLike[str], env: EnvLike | None = None) -> Self:
        """Read an agent from a file.

        A file is not trusted: it contains numbers, which are checked, and runs no code. It names an
        environment, which is made with the file's arguments if it is registered; pass `env` to
        prevent that. A Keras model or optimizer of the user's own is built by Keras in its safe
        mode, which is trusted from version 3.13.2 on.

        Args:
            path: A file that `save` wrote.
            env: The environment to continue in, where a new episode begins; by default one like
                that of the saved agent, in the same state.

        Raises:
            OSError: The file cannot be read.
            ValueError: The file is not a saved agent of this class, or of another format.
        """
        return cls._loaded(storage.read(path), env)

    @classmethod
    def _loaded(cls, saved: storage.Saved, env: EnvLike | None) -> Self:
        with saved.named_in_errors():
            kind = saved.field("class", str)
            if kind != cls.__name__:
                raise ValueError(f"it holds a {kind}, not a {cls.__name__}")
            place = saved.field("place", dict, type(None))
            own: Env
            if env is None:
                own = made_by(saved.field("env", dict, type(None)), saved.size)
            else:
                own = environment(env)
            parameters = saved.field("parameters", dict)
            if set(parameters) != set(cls.parameters):
                raise ValueError(
                    f"a {cls.__name__} must have the parameters {', '.join(cls.parameters)}, "
                    f"got {', '.join(parameters)}"
                )
            agent = cls._built(own, storage.bounded("parameters", parameters), saved)
            agent.num_timesteps = saved.count("num_timesteps")
            agent._end = saved.count("end", 1)
            agent._env_seed = saved.count("env_seed", 0, 2**32)
            storage.set_generator("generator", agent.np_random, saved.field("generator", dict))
            returns = saved.array("episode_returns", np.float64, (None,))
            agent.episode_returns.frombytes(returns.tobytes())
            lengths = saved.array("episode_lengths", np.int64, (None,), 1, storage.LARGEST)
            agent.episode_lengths.frombytes(lengths.tobytes())
            agent._restore(saved)
            saved.nothing_left()
            if place and env is None:
                agent._restore_episode(place)
            elif place is not None:
                agent._leave_episode()
        return agent

    @classmethod
    def _built(cls, env: Env, parameters: dict[str, Any], saved: storage.Saved) -> Self:
        """Return an agent with these parameters, no larger than what the file holds."""
        return cls(env, **parameters)

    def _restore_episode(self, place: dict[str, Any]) -> None:
        model = ModelEnv(self.env)
        if set(place) != {"position", "generator", "episode_return", "episode_length"}:
            raise ValueError(
                "place must say position, generator and the episode's return and length so far"
            )
        position = storage.typed("position", place["position"], list)
        if len(position) != 2:
            raise ValueError(f"position must be a state and a number of steps, got {position}")
        # compiled code does not check that a state exists
        state = integer("state", position[0], 0, model.mdp.num_states)
        # an episode ends when it has as many steps as its limit
        elapsed = integer("elapsed", position[1], 0, model.max_episode_steps)
        episode_return = storage.typed("episode_return", place["episode_return"], float, int)
        episode_length = integer("episode_length", place["episode_length"], 0, storage.LARGEST)
        self.env.reset()
        model.position = state, elapsed
        storage.set_generator("generator", model.np_random, place["generator"])
        self._observation = state
        self._episode_return = float(episode_return)
        self._episode_length = episode_length


def load(path: str | os.PathLike[str], env: EnvLike | None = None) -> Agent:
    """Read a saved agent, whatever its class; `Agent.load` says what is trusted.

    Args:
        path: A file that `save` wrote.
        env: The environment to go on in; by default one like that of the saved agent.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not a saved agent, or of another format.
    """
    saved = storage.read(path)
    with saved.named_in_errors():
        name = saved.field("class", str)
        kind = public(name) if name in MODULES else None
        if not (isinstance(kind, type) and issubclass(kind, Agent)) or kind is Agent:
            raise ValueError(f"it holds a {name!r}, which is no agent of this version")
    return kind._loaded(saved, env)
