"""What every agent can do: learn, predict, save and load, in stable-baselines3's spelling."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import gymnasium as gym
import numpy as np
import numpy.typing as npt

import nchain_env  # noqa: F401  (registers NChain-v0)
from nchain_agents.files import whole_file
from nchain_agents.model_env import ModelEnv, model_env
from nchain_agents.progress import training_progress
from nchain_env.checks import integer, real
from nchain_env.mdp import FloatArray

Env = gym.Env[Any, Any]
Callback = Callable[["Agent"], bool | None]

_FORMAT = 1

# What reading a file that is no npz archive, or a damaged one, may raise.
_DAMAGE = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


class Agent(ABC):
    """A learner that goes on where it stopped each time `learn` is called.

    Args:
        env: An environment, or the id of one.
        gamma: The discount factor, in [0, 1].
        seed: Makes everything that follows repeatable, the environment's draws included. The
            agent's stream and the environment's are separate.

    Raises:
        ValueError: A parameter is outside its range.
    """

    # The hyperparameters, which are attributes and arguments of the constructor by the same name.
    parameters: ClassVar[tuple[str, ...]] = ("gamma",)

    def __init__(self, env: Env | str, *, gamma: float = 0.95, seed: int | None = None) -> None:
        self.env: Env = gym.make(env) if isinstance(env, str) else env
        self.gamma = real("gamma", gamma, 0, 1)
        if seed is not None:
            integer("seed", seed, 0)
        # With one seed for both, exploration and slips would be the same numbers.
        agent_seed, env_seed = np.random.SeedSequence(seed).generate_state(2)
        self.np_random = np.random.default_rng(agent_seed)
        self._env_seed = int(env_seed)
        # The last observation; None before the first reset.
        self._observation: Any = None
        self._episode_return = 0.0
        self.num_timesteps = 0
        self._end = 1  # of the present training, which schedules are laid over
        # The return of every finished episode.
        self.episode_returns = array("d")

    def learn(
        self, total_timesteps: int, callback: Callback | None = None, progress_bar: bool = False
    ) -> Self:
        """Learn for a number of steps, going on where the last call ended.

        Interrupted from the keyboard, the agent keeps what it learned and can go on.

        Args:
            total_timesteps: The number of environment steps, at least 1.
            callback: Called with the agent at the end of each episode, or as often as its attribute
                `n_steps` says (see `EveryNTimesteps`); False stops the training.
            progress_bar: Show the steps a second and the return of the last episode.

        Raises:
            ValueError: total_timesteps is not such a number.
        """
        start = self.num_timesteps
        self._end = end = start + integer("total_timesteps", total_timesteps, 1)
        interval = getattr(callback, "n_steps", None)
        if self._observation is None:
            self._observation, _ = self.env.reset(seed=self._env_seed)
        goes_on = True
        with training_progress(end - start, progress_bar) as show:

            def progress() -> None:
                if self.episode_returns:
                    show(self.num_timesteps - start, self.episode_returns[-1])

            def on_episode() -> bool:
                nonlocal goes_on
                goes_on = callback is None or callback(self) is not False
                return goes_on

            listens = callback is not None and interval is None
            while self.num_timesteps < end and goes_on:
                until = end
                if interval is not None:
                    until = min(end, (self.num_timesteps // interval + 1) * interval)
                self._train(until, on_episode if listens else None, progress)
                if callback is not None and interval is not None:
                    goes_on = callback(self) is not False
        return self

    @property
    def total_reward(self) -> float:
        """The sum of all rewards so far."""
        return float(np.sum(self.episode_returns)) + self._episode_return

    @abstractmethod
    def _train(
        self, until: int, on_episode: Callable[[], bool] | None, progress: Callable[[], None]
    ) -> None:
        """Learn until `num_timesteps` is `until`, or `on_episode` after an episode says False.

        `progress` is to be told when that costs nothing: a compiled loop would stop for it.
        Schedules go on to `_end`, which may be later.
        """

    def _count_step(self, reward: float, reached: Any, over: bool) -> None:
        """Take note of a step, and begin a new episode where one is over."""
        self.num_timesteps += 1
        self._episode_return += reward
        self._observation = reached
        if over:
            self.episode_returns.append(self._episode_return)
            self._episode_return = 0.0
            self._observation, _ = self.env.reset()

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
            state: Handed back as it came; there for recurrent agents.
            episode_start: Not used; there for recurrent agents.
            deterministic: Take the greedy action, the lowest among equals; else explore as in
                training, drawing from the agent's generator.

        Returns:
            The action (an int for one observation, an int64 array for a batch) and `state`.

        Raises:
            ValueError: The observation does not fit the environment's space.
        """
        q = self.q_values(observation)
        rows = q.reshape(-1, q.shape[-1])
        if deterministic:
            actions = rows.argmax(axis=1)
        else:
            actions = np.array([self._choose(row) for row in rows], dtype=np.int64)
        return (int(actions[0]) if q.ndim == 1 else actions), state

    @abstractmethod
    def q_values(self, observation: npt.ArrayLike) -> FloatArray:
        """Return the values of the actions, (A,) for one observation and (N, A) for a batch."""

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
    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Take back what `_arrays` gave.

        Raises:
            ValueError: It does not fit; nothing is changed.
        """

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the agent to one file, without pickle.

        On an environment with a model (`P`, as in toy-text), the place in the present episode is
        saved too, and a loaded agent learns on as if never stopped. On others it begins a new
        episode.

        Args:
            path: The file to write. It appears whole or not at all.

        Raises:
            OSError: The file cannot be written.
        """
        header = {
            "format": _FORMAT,
            "class": type(self).__name__,
            "env": _recipe(self.env),
            "place": self._place(),
            "parameters": {name: getattr(self, name) for name in self.parameters},
            "num_timesteps": self.num_timesteps,
            "generator": self.np_random.bit_generator.state,
        }
        arrays = {**self._arrays(), "episode_returns": np.asarray(self.episode_returns)}
        with whole_file(Path(path)) as partial, partial.open("wb") as file:
            np.savez(file, header=np.array(json.dumps(header)), **arrays)  # type: ignore[arg-type]

    def _place(self) -> dict[str, Any] | None:
        if self._observation is None:
            return None
        try:
            model = model_env(self.env)
        except ValueError:
            return None
        return {
            "position": model.position,
            "generator": model.np_random.bit_generator.state,
            "episode_return": self._episode_return,
        }

    @classmethod
    def load(cls, path: str | os.PathLike[str], env: Env | str | None = None) -> Self:
        """Read an agent from a file.

        Args:
            path: A file that `save` wrote.
            env: The environment to go on in, where a new episode begins; by default one like that
                of the saved agent, at the place where it was.

        Raises:
            OSError: The file cannot be read.
            ValueError: The file is not a saved agent of this class, or of a newer format.
        """
        header, arrays = _read(path)
        if header["class"] != cls.__name__:
            raise ValueError(f"{path} holds a {header['class']}, not a {cls.__name__}")
        place = header["place"] if env is None else None
        if env is None:
            env = _make(header["env"], path)
        try:
            agent = cls(env, **header["parameters"])
            agent.episode_returns.extend(arrays.pop("episode_returns").tolist())
            agent.num_timesteps = header["num_timesteps"]
            agent.np_random.bit_generator.state = header["generator"]
            agent._restore(arrays)
            if place is not None:
                agent._go_to(place)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a saved {cls.__name__}: {error!r}") from error
        return agent

    def _go_to(self, place: dict[str, Any]) -> None:
        model = ModelEnv(self.env)
        self.env.reset()
        # checked, because compiled code does not look whether a state exists
        state = integer("state", place["position"][0], 0, model.mdp.num_states)
        model.position = state, integer("elapsed", place["position"][1], 0)
        model.np_random.bit_generator.state = place["generator"]
        self._observation = state
        self._episode_return = place["episode_return"]


def load(path: str | os.PathLike[str], env: Env | str | None = None) -> Agent:
    """Read a saved agent, whatever its class.

    Args:
        path: A file that `save` wrote.
        env: The environment to go on in; by default one like that of the saved agent.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not a saved agent, or of a newer format.
    """
    import nchain_agents

    name = _read(path)[0]["class"]
    kind = getattr(nchain_agents, name) if name in nchain_agents.__all__ else None
    if not (isinstance(kind, type) and issubclass(kind, Agent)):
        raise ValueError(f"{path} holds a {name!r}, which is no agent of this version")
    return kind.load(path, env)


def _recipe(env: Env) -> dict[str, Any] | None:
    """How to make an environment like this one, None where an id and JSON do not say it all."""
    spec = env.spec
    if spec is None or spec.additional_wrappers:
        return None
    kwargs = {name: value for name, value in spec.kwargs.items() if name != "render_mode"}
    recipe = {"id": spec.id, "max_episode_steps": spec.max_episode_steps, "kwargs": kwargs}
    try:
        return recipe if json.loads(json.dumps(recipe)) == recipe else None
    except (TypeError, ValueError):
        return None


def _make(recipe: dict[str, Any] | None, path: str | os.PathLike[str]) -> Env:
    """Make the environment that a file names, if it is registered: no file names code to run."""
    if recipe is None:
        raise ValueError(f"env must be given: {path} does not say how to make it")
    try:
        name, steps, kwargs = recipe["id"], recipe["max_episode_steps"], dict(recipe["kwargs"])
        if name not in gym.registry:
            raise ValueError(f"env must be given: {path} names {name!r}, which is not registered")
        return gym.make(name, max_episode_steps=steps, **kwargs)
    except (KeyError, TypeError, gym.error.Error, AssertionError) as error:
        raise ValueError(f"{path} is not a saved agent: {error!r}") from error


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    whole = io.BytesIO(Path(path).read_bytes())
    try:
        with np.load(whole, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        header = json.loads(str(arrays.pop("header")))
        newer = header["format"] > _FORMAT
        _ = [header[name] for name in ("class", "env", "place", "parameters", "num_timesteps")]
    except _DAMAGE as error:
        # what NumPy says of other files is how to read them unsafely
        raise ValueError(f"{path} is not a saved agent, or is damaged") from error
    if newer:
        raise ValueError(
            f"{path} has format {header['format']}; this version reads up to {_FORMAT}"
        )
    return header, arrays
