"""`Agent`: learn, predict, save and load, with stable-baselines3's names."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable
from typing import Any, ClassVar, Self

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from nchain_agents import storage
from nchain_agents.env_argument import Env, EnvLike, environment
from nchain_agents.interrupts import answer, held
from nchain_agents.model_env import ModelEnv, model_env
from nchain_agents.progress import training_progress
from nchain_agents.public_names import MODULES, public
from nchain_env.checks import integer, real, whole_steps
from nchain_env.mdp import FloatArray

Callback = Callable[["Agent"], bool | None]
OnEpisode = Callable[[], bool] | None  # called at the end of an episode; False stops the training
Progress = Callable[[], None]

# A larger argument of an environment in a file must not exceed the size of the file's arrays.
_LARGE = 2**20


class Agent(ABC):
    """A learner; each call of `learn` continues where the last one ended.

    Args:
        env: An environment, or what one is made from: an id with parameters as `NChain-v0 n=8`, an
            EnvSpec, a function, or a TabularMDP.
        gamma: The discount factor, in [0, 1].
        seed: The seed of the agent and of its environment, whose generators are separate.

    Raises:
        ValueError: A parameter is outside its range.
    """

    # The hyperparameters, which are attributes and arguments of the constructor by the same name.
    parameters: ClassVar[tuple[str, ...]] = ("gamma",)

    def __init__(self, env: EnvLike, *, gamma: float = 0.95, seed: int | None = None) -> None:
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
        self.num_timesteps = 0
        self._end = 1  # the number of steps at the end of the training, for schedules
        self.episode_returns = array("d")  # of every finished episode

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
        self._env = env
        if self._observation is not None:
            self._leave_episode()

    def _leave_episode(self) -> None:
        """Begin a new episode, with a new seed, when learning goes on; this one does not count."""
        self._observation = None
        self._episode_return = 0.0
        seeds = np.random.SeedSequence([self._env_seed, self.num_timesteps])
        self._env_seed = int(seeds.generate_state(1)[0])

    def learn(
        self, total_timesteps: float, callback: Callback | None = None, progress_bar: bool = False
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
                it is called at these steps and at the end; see `callbacks.AtTimesteps`.
            progress_bar: Show the steps a second and the return of the last episode.

        Raises:
            ValueError: total_timesteps is not such a number, or callback not such a function; or,
                from a network, a reward or an observation is NaN or infinite: then the agent keeps
                what it had learned, and begins a new episode when it learns on.
            KeyboardInterrupt: It was interrupted.
        """
        steps = whole_steps("total_timesteps", total_timesteps)
        next_call = _next_call(callback)
        goes_on = True
        with held(), training_progress(steps, progress_bar) as show:
            start = self.num_timesteps
            self._end = end = start + steps
            self._begin()

            def progress() -> None:
                if self.episode_returns:
                    show(self.num_timesteps - start, self.episode_returns[-1])

            def call() -> bool:
                nonlocal goes_on
                goes_on = callback is None or callback(self) is not False
                return goes_on

            on_episode = None if callback is None or next_call is not None else call
            while self.num_timesteps < end and goes_on:
                until = end
                if next_call is not None:
                    until = min(end, next_call(self.num_timesteps) or end)
                self._train(until, on_episode, progress)
                if next_call is not None and self.num_timesteps >= until:
                    call()
                answer()
        return self

    def _begin(self) -> None:
        """Begin an episode where none is going on."""
        if self._observation is None:
            self._observation, _ = self.env.reset(seed=self._env_seed)

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
        returns = {"episode_returns": np.asarray(self.episode_returns)}
        storage.write(path, self._header(), {**self._arrays(), **returns})

    def _header(self) -> dict[str, Any]:
        """Return what is saved beside `_arrays`, ready for JSON."""
        return {
            "class": type(self).__name__,
            "env": _recipe(self.env),
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
            made: Env
            if env is None:
                made = _make(saved.field("env", dict, type(None)), saved.size)
            else:
                made = environment(env)
            parameters = saved.field("parameters", dict)
            if set(parameters) != set(cls.parameters):
                raise ValueError(
                    f"a {cls.__name__} must have the parameters {', '.join(cls.parameters)}, "
                    f"got {', '.join(parameters)}"
                )
            agent = cls._built(made, storage.bounded("parameters", parameters), saved)
            agent.num_timesteps = saved.count("num_timesteps")
            agent._end = saved.count("end", 1)
            agent._env_seed = saved.count("env_seed", 0, 2**32)
            storage.set_generator("generator", agent.np_random, saved.field("generator", dict))
            returns = saved.array("episode_returns", np.float64, (None,))
            agent.episode_returns.frombytes(returns.tobytes())
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
        if set(place) != {"position", "generator", "episode_return"}:
            raise ValueError("place must say position, generator and episode_return")
        position = storage.typed("position", place["position"], list)
        if len(position) != 2:
            raise ValueError(f"position must be a state and a number of steps, got {position}")
        # compiled code does not check that a state exists
        state = integer("state", position[0], 0, model.mdp.num_states)
        # an episode ends when it has as many steps as its limit
        elapsed = integer("elapsed", position[1], 0, model.max_episode_steps)
        episode_return = storage.typed("episode_return", place["episode_return"], float, int)
        self.env.reset()
        model.position = state, elapsed
        storage.set_generator("generator", model.np_random, place["generator"])
        self._observation = state
        self._episode_return = float(episode_return)


def _next_call(callback: Any) -> Callable[[int], int | None] | None:
    """Return the function from a step to the next one at which a callback is to be called.

    It is None after the last such step. No function: the callback is for the ends of episodes.
    """
    # a class is callable, but its instances say nothing about the training
    if callback is not None and (not callable(callback) or isinstance(callback, type)):
        raise ValueError(f"callback must be None or a function of the agent, got {callback!r}")
    steps = getattr(callback, "at_timesteps", None)
    if steps is not None:
        return lambda now: next((step for step in steps if step > now), None)
    n_steps = getattr(callback, "n_steps", None)
    if n_steps is None:
        return None
    interval = whole_steps("n_steps of callback", n_steps)
    return lambda now: (now // interval + 1) * interval


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


def _recipe(env: Env) -> dict[str, Any] | None:
    """Return how to make such an environment, None where its id and JSON do not suffice."""
    spec = env.spec
    if spec is None or spec.additional_wrappers or isinstance(env, gym.vector.VectorEnv):
        return None
    kwargs = {name: value for name, value in spec.kwargs.items() if name != "render_mode"}
    recipe = {"id": spec.id, "max_episode_steps": spec.max_episode_steps, "kwargs": kwargs}
    try:
        return recipe if json.loads(json.dumps(recipe)) == recipe else None
    except (TypeError, ValueError):
        return None


def _make(recipe: dict[str, Any] | None, size: int) -> Env:
    """Make the environment of a `_recipe`, if it is registered: a file names no code to run.

    The file's arrays have `size` bytes.
    """
    if recipe is None:
        raise ValueError("env must be given: the file does not say how to make it")
    if set(recipe) != {"id", "max_episode_steps", "kwargs"}:
        raise ValueError("env must say id, max_episode_steps and kwargs")
    name, steps = storage.typed("id", recipe["id"], str), recipe["max_episode_steps"]
    if steps is not None:
        integer("max_episode_steps", steps, -1, storage.LARGEST)
    kwargs = storage.typed("kwargs", recipe["kwargs"], dict)
    if name not in gym.registry:
        raise ValueError(f"env must be given: the file names {name!r}, which is not registered")
    # An environment of a million states has a table of as many rows in the file.
    for argument, value in kwargs.items():
        if type(value) is int and abs(value) > max(_LARGE, size):
            raise ValueError(
                f"env must be given: the file makes {name} with {argument}={value}, "
                "more than it holds itself"
            )
    kwargs = {argument: value for argument, value in kwargs.items() if argument != "render_mode"}
    try:
        return gym.make(name, max_episode_steps=steps, **kwargs)
    except Exception as error:  # whatever the environment says of such arguments
        raise ValueError(f"{name} cannot be made with {kwargs}: {error}") from error
