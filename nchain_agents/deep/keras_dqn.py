"""DQN (Mnih et al. 2015, Human-level control through deep reinforcement learning) in Keras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from nchain_agents.agent import Agent, Env
from nchain_agents.deep.replay import Float32Array, ReplayBuffer
from nchain_agents.exploration import Linear, epsilon_greedy, epsilon_schedule
from nchain_env.checks import integer, real
from nchain_env.mdp import FloatArray


class KerasDQN(Agent):
    """Deep Q-learning with replay and a target network; stable-baselines3's names and meanings.

    Observations go in flat: discrete ones as one-hot vectors, boxes row by row.

    Args:
        env: An environment with discrete actions, or the id of one.
        gamma: The discount factor, in [0, 1].
        learning_rate: Adam's step size, positive.
        buffer_size: How many transitions are kept for replay.
        learning_starts: How many steps are taken at random before the first update.
        batch_size: How many transitions an update learns from.
        train_freq: The number of steps between updates.
        gradient_steps: The number of updates each time.
        tau: The share of the network that goes into the target network at an update of the latter.
        target_update_interval: The number of steps between updates of the target network.
        exploration_fraction: The share of the steps over which epsilon falls, in [0, 1].
        exploration_initial_eps: Epsilon at the start, in [0, 1].
        exploration_final_eps: Epsilon at the end, in [0, 1].
        max_grad_norm: The norm to which gradients are clipped, positive.
        net_arch: The widths of the hidden layers.
        activation: The hidden layers' activation, by its Keras name.
        seed: Makes everything that follows repeatable.

    Raises:
        ModuleNotFoundError: Keras or TensorFlow is not installed.
        ValueError: A space is not supported, or a parameter is outside its range.
    """

    parameters: ClassVar[tuple[str, ...]] = (
        "gamma",
        "learning_rate",
        "buffer_size",
        "learning_starts",
        "batch_size",
        "train_freq",
        "gradient_steps",
        "tau",
        "target_update_interval",
        "exploration_fraction",
        "exploration_initial_eps",
        "exploration_final_eps",
        "max_grad_norm",
        "net_arch",
        "activation",
    )

    def __init__(
        self,
        env: Env | str,
        *,
        gamma: float = 0.99,
        learning_rate: float = 1e-4,
        buffer_size: int = 100_000,
        learning_starts: int = 100,
        batch_size: int = 32,
        train_freq: int = 4,
        gradient_steps: int = 1,
        tau: float = 1.0,
        target_update_interval: int = 10_000,
        exploration_fraction: float = 0.1,
        exploration_initial_eps: float = 1.0,
        exploration_final_eps: float = 0.05,
        max_grad_norm: float = 10.0,
        net_arch: Sequence[int] = (64, 64),
        activation: str = "relu",
        seed: int | None = None,
    ) -> None:
        keras, learner = _import_keras()
        super().__init__(env, gamma=gamma, seed=seed)
        self.learning_rate = real("learning_rate", learning_rate, 0, open_low=True)
        self.buffer_size = integer("buffer_size", buffer_size, 1)
        self.learning_starts = integer("learning_starts", learning_starts, 0)
        self.batch_size = integer("batch_size", batch_size, 1)
        self.train_freq = integer("train_freq", train_freq, 1)
        self.gradient_steps = integer("gradient_steps", gradient_steps, 1)
        self.tau = real("tau", tau, 0, 1, open_low=True)
        self.target_update_interval = integer("target_update_interval", target_update_interval, 1)
        self.exploration_fraction = exploration_fraction
        self.exploration_initial_eps = exploration_initial_eps
        self.exploration_final_eps = exploration_final_eps
        self.max_grad_norm = real("max_grad_norm", max_grad_norm, 0, open_low=True)
        self.net_arch = [integer("net_arch", width, 1) for width in net_arch]
        self.activation = activation
        self._schedule = epsilon_schedule(
            Linear(exploration_initial_eps, exploration_final_eps, exploration_fraction)
        )
        self._epsilon = self._schedule(0.0, 0)

        space = self.env.observation_space
        kinds = (gym.spaces.Discrete, gym.spaces.MultiDiscrete, gym.spaces.Box)
        if not isinstance(space, kinds):
            raise ValueError(f"env must have discrete or box observations, got {space}")
        if not isinstance(self.env.action_space, gym.spaces.Discrete):
            raise ValueError(f"env must have discrete actions, got {self.env.action_space}")
        self._space = space
        width, actions = gym.spaces.flatdim(space), int(self.env.action_space.n)
        weight_seed = int(self.np_random.integers(2**31))
        self.network = _network(keras, width, self.net_arch, activation, actions, weight_seed)
        self.target_network = _network(keras, width, self.net_arch, activation, actions, 0)
        self.target_network.set_weights(self.network.get_weights())
        # stable-baselines3 takes torch's Adam, whose epsilon is 1e-8 (Keras has 1e-7)
        self.optimizer = keras.optimizers.Adam(self.learning_rate, epsilon=1e-8)
        self._learner = learner(
            self.network, self.target_network, self.optimizer, self.gamma, self.max_grad_norm
        )
        self._replay = ReplayBuffer(self.buffer_size, width)

    def q_values(self, observation: npt.ArrayLike) -> FloatArray:
        """Return the values of the actions, (A,) for one observation and (N, A) for a batch.

        Raises:
            ValueError: The observation does not fit the environment's space.
        """
        given = np.asarray(observation)
        single = given.shape == self._space.shape
        if not single and given.shape[1:] != self._space.shape:
            raise ValueError(
                f"observation must have shape {self._space.shape} or a batch of it, "
                f"got {given.shape}"
            )
        rows = given[None] if single else given
        values = self._learner.values(np.stack([self._flat(row) for row in rows]))
        q: FloatArray = values.astype(np.float64)
        return q[0] if single else q

    def _flat(self, observation: Any) -> Float32Array:
        if not isinstance(self._space, gym.spaces.Box) and observation not in self._space:
            raise ValueError(f"observation must be in {self._space}, got {observation!r}")
        return np.asarray(gym.spaces.flatten(self._space, observation), dtype=np.float32)

    def _act(self, observation: Any, progress: float) -> int:
        self._epsilon = self._schedule(progress, len(self.episode_returns))
        actions = int(self.network.output_shape[-1])
        if self.num_timesteps < self.learning_starts or self.np_random.random() < self._epsilon:
            return int(self.np_random.integers(actions))
        return int(self._learner.values(self._flat(observation)[None])[0].argmax())

    def _choose(self, q: FloatArray) -> int:
        return epsilon_greedy(q, self._epsilon, self.np_random)

    def _learn(
        self, observation: Any, action: int, reward: float, reached: Any, terminated: bool
    ) -> None:
        self._replay.add(self._flat(observation), action, reward, self._flat(reached), terminated)
        if self.num_timesteps % self.target_update_interval == 0:
            self._update_target()
        if self.num_timesteps > self.learning_starts and self.num_timesteps % self.train_freq == 0:
            for _ in range(self.gradient_steps):
                self._learner.update(self._replay.sample(self.batch_size, self.np_random))

    def _update_target(self) -> None:
        """Polyak averaging: the target moves towards the network by the share tau."""
        for target, source in zip(
            self.target_network.variables, self.network.variables, strict=True
        ):
            target.assign((1 - self.tau) * target.numpy() + self.tau * source.numpy())

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {
            f"{name}_{i}": variable.numpy()
            for name, variables in self._variables().items()
            for i, variable in enumerate(variables)
        }

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        expected = {
            f"{name}_{i}": variable
            for name, variables in self._variables().items()
            for i, variable in enumerate(variables)
        }
        for name, variable in expected.items():
            if name not in arrays or arrays[name].shape != tuple(variable.shape):
                raise ValueError(f"env must fit the saved network: {name} does not")
        for name, variable in expected.items():
            variable.assign(arrays[name])

    def _variables(self) -> dict[str, list[Any]]:
        return {
            "network": self.network.variables,
            "target": self.target_network.variables,
            "optimizer": self.optimizer.variables,
        }


def _import_keras() -> tuple[Any, Any]:
    try:
        import keras

        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"KERAS_BACKEND must be tensorflow for KerasDQN, got {keras.backend.backend()!r}"
            )
        from nchain_agents.deep.tensorflow import Learner
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            f"KerasDQN needs {missing.name}: pip install 'nchain-env[keras]'", name=missing.name
        ) from missing
    return keras, Learner


def _network(
    keras: Any, width: int, net_arch: list[int], activation: str, actions: int, seed: int
) -> Any:
    """A multilayer perceptron whose initial weights depend on nothing but the seed."""
    seeds = iter(np.random.SeedSequence(seed).generate_state(len(net_arch) + 1).tolist())

    def dense(units: int, function: str) -> Any:
        weights = keras.initializers.GlorotUniform(seed=next(seeds))
        return keras.layers.Dense(units, activation=function, kernel_initializer=weights)

    layers = [dense(units, activation) for units in net_arch] + [dense(actions, "linear")]
    return keras.Sequential([keras.Input((width,)), *layers])
