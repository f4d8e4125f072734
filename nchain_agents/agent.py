"""What every agent can do: learn, predict, save and load, in stable-baselines3's spelling."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import gymnasium as gym
import numpy as np
import numpy.typing as npt

import nchain_env  # noqa: F401  (registers NChain-v0)
from nchain_agents.progress import training_progress
from nchain_env.checks import integer, real
from nchain_env.mdp import FloatArray

Env = gym.Env[Any, Any]
Callback = Callable[["Agent"], bool | None]

_FORMAT = 1


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
        self.seed = seed
        # With one seed for both, exploration and slips would be the same numbers.
        agent_seed, env_seed = np.random.SeedSequence(seed).generate_state(2)
        self.np_random = np.random.default_rng(agent_seed)
        self._env_seed: int | None = int(env_seed)
        self._observation: Any = None
        self._episode_return = 0.0
        self.num_timesteps = 0
        self.episode_returns: list[float] = []

    def learn(
        self, total_timesteps: int, callback: Callback | None = None, progress_bar: bool = False
    ) -> Self:
        """Learn for a number of steps, going on where the last call ended.

        Args:
            total_timesteps: The number of environment steps, at least 1.
            callback: Called with the agent at the end of each episode; False stops the training.
            progress_bar: Show the steps a second and the return of the last episode.

        Raises:
            ValueError: total_timesteps is not such a number.
        """
        start = self.num_timesteps
        end = start + integer("total_timesteps", total_timesteps, 1)
        if self._observation is None:
            self._observation, _ = self.env.reset(seed=self._env_seed)
        with training_progress(end - start, progress_bar) as show:
            while self.num_timesteps < end:
                observation = self._observation
                action = self._act(observation, self.num_timesteps / end)
                reached, reward, terminated, truncated, _ = self.env.step(action)
                self.num_timesteps += 1
                self._episode_return += float(reward)
                self._observation = reached
                # A truncated episode was cut off, not over: only `terminated` ends the return.
                self._learn(observation, action, float(reward), reached, terminated)
                if terminated or truncated:
                    self.episode_returns.append(self._episode_return)
                    self._episode_return = 0.0
                    self._observation, _ = self.env.reset()
                    show(self.num_timesteps - start, self.episode_returns[-1])
                    if callback is not None and callback(self) is False:
                        break
        return self

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

    @abstractmethod
    def _act(self, observation: Any, progress: float) -> int:
        """Choose the next action in training; `progress` is the share of the steps done."""

    @abstractmethod
    def _choose(self, q: FloatArray) -> int:
        """Choose an action from its values as in training."""

    @abstractmethod
    def _learn(
        self, observation: Any, action: int, reward: float, reached: Any, terminated: bool
    ) -> None:
        """Learn from one transition."""

    @abstractmethod
    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what was learned, as named arrays."""

    @abstractmethod
    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Take back what `_arrays` gave."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the agent to one file, without pickle.

        Args:
            path: The file to write. It appears whole or not at all.

        Raises:
            OSError: The file cannot be written.
        """
        header = {
            "format": _FORMAT,
            "class": type(self).__name__,
            "env": self.env.spec.to_json() if self.env.spec is not None else None,
            "parameters": {name: getattr(self, name) for name in self.parameters},
            "num_timesteps": self.num_timesteps,
            "generator": self.np_random.bit_generator.state,
        }
        target = Path(path)
        handle, partial = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                arrays = {**self._arrays(), "episode_returns": np.array(self.episode_returns)}
                np.savez(file, header=np.array(json.dumps(header)), **arrays)  # type: ignore[arg-type]
            os.replace(partial, target)
        except BaseException:
            os.unlink(partial)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str], env: Env | str | None = None) -> Self:
        """Read an agent from a file; it starts a new episode when it learns on.

        Args:
            path: A file that `save` wrote.
            env: The environment to go on in; by default one like that of the saved agent.

        Raises:
            OSError: The file cannot be read.
            ValueError: The file is not a saved agent of this class, or of a newer format.
        """
        header, arrays = _read(path)
        if header["class"] != cls.__name__:
            raise ValueError(f"{path} holds a {header['class']}, not a {cls.__name__}")
        if env is None:
            if header["env"] is None:
                raise ValueError(f"env must be given: {path} does not say which it was")
            env = gym.make(gym.envs.registration.EnvSpec.from_json(header["env"]))
        agent = cls(env, **header["parameters"])
        agent.episode_returns = arrays.pop("episode_returns").tolist()
        agent.num_timesteps = header["num_timesteps"]
        agent.np_random.bit_generator.state = header["generator"]
        agent._restore(arrays)
        return agent


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
    if name not in ("KerasDQN", "QLearning", "RewardSum"):
        raise ValueError(f"{path} holds a {name!r}, which is no agent of this version")
    agent: Agent = getattr(nchain_agents, name).load(path, env)
    return agent


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        header = json.loads(str(arrays.pop("header")))
        newer = header["format"] > _FORMAT
        _ = header["class"], header["env"], header["parameters"], header["num_timesteps"]
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a saved agent: {error}") from error
    if newer:
        raise ValueError(
            f"{path} has format {header['format']}; this version reads up to {_FORMAT}"
        )
    return header, arrays
