"""DQN (Mnih et al. 2015, Human-level control through deep reinforcement learning) in Keras."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import pairwise
from typing import Any, ClassVar, Self

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from nchain_agents.agent import Agent, Env
from nchain_agents.deep.replay import Replay
from nchain_agents.deep.stepped import learn_stepped
from nchain_agents.deep.worlds import SingleWorld, world_of
from nchain_agents.schedules import EpsilonSchedule
from nchain_agents.storage import Saved
from nchain_env.checks import count, fits, integer, one_of, real
from nchain_env.mdp import FloatArray

# what single precision can hold
_SMALLEST, _LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


class KerasDQN(Agent):
    """Deep Q-learning with replay and a target network; stable-baselines3's names and meanings.

    Runs on Keras's TensorFlow or JAX backend. Discrete observations go in as one-hot vectors,
    boxes flattened (or in the shape that a `model` of yours takes). A truncated episode was cut
    off, not over: what would have followed counts.

    With buffer_size, batch_size, train_freq and target_update_interval 1, learning_starts 0, loss
    "mse" and a max_grad_norm that is never reached it is the online rule of the NChain tutorial.

    Args:
        env: An environment with discrete actions, the id of one, or a vector environment in any
            autoreset mode, whose environments' steps are all counted.
        gamma: The discount factor, in [0, 1].
        learning_rate: Adam's step size, positive.
        buffer_size: How many transitions are kept for replay.
        learning_starts: How many steps are taken at random before the first update.
        batch_size: How many transitions an update learns from.
        train_freq: The number of calls of the environment's `step` between updates.
        gradient_steps: The number of updates each time; -1: one for each step since the last time.
        tau: The share of the network that goes into the target network at an update of the latter.
        target_update_interval: The number of steps between updates of the target network.
        exploration_fraction: The share of the steps over which epsilon falls, in [0, 1].
        exploration_initial_eps: Epsilon at the start, in [0, 1].
        exploration_final_eps: Epsilon at the end, in [0, 1].
        exploration_decay: Epsilon is multiplied by it at the start of each episode, in [0, 1].
        max_grad_norm: The norm to which gradients are clipped, positive.
        n_steps: How many steps the return in a target spans.
        double_q: Let the network choose, and the target network value, what follows.
        loss: "huber" or "mse", of the differences between targets and values.
        net_arch: The widths of the hidden layers.
        activation: The hidden layers' activation, by its Keras name.
        model: A Keras model to learn with, in place of the one that net_arch and activation
            describe. It must give one value an action.
        optimizer: A Keras optimizer to learn with, in place of Adam with learning_rate.
        compiled: Run the whole training loop compiled, on the table that the environment is known
            to sample (see `TableAgent`): True, False, or "auto" for where that is possible.
        seed: Makes everything that follows repeatable.

    Raises:
        ModuleNotFoundError: Keras or its backend is not installed.
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
        "exploration_decay",
        "max_grad_norm",
        "n_steps",
        "double_q",
        "loss",
        "net_arch",
        "activation",
        "compiled",
    )

    def __init__(
        self,
        env: Env | str | gym.vector.VectorEnv[Any, Any, Any],
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
        exploration_decay: float = 1.0,
        max_grad_norm: float = 10.0,
        n_steps: int = 1,
        double_q: bool = False,
        loss: str = "huber",
        net_arch: Sequence[int] = (64, 64),
        activation: str = "relu",
        model: Any = None,
        optimizer: Any = None,
        compiled: bool | str = "auto",
        seed: int | None = None,
    ) -> None:
        self._backend = _backend()
        super().__init__(env, gamma=gamma, seed=seed)  # type: ignore[arg-type]
        self.learning_rate = real("learning_rate", learning_rate, 0, open_low=True)
        if not _SMALLEST <= self.learning_rate <= _LARGEST:
            raise ValueError(
                f"learning_rate must be a number of single precision, got {learning_rate!r}"
            )
        self.buffer_size = count("buffer_size", buffer_size)
        self.learning_starts = count("learning_starts", learning_starts, 0)
        self.batch_size = count("batch_size", batch_size)
        self.train_freq = count("train_freq", train_freq)
        self.gradient_steps = -1
        if integer("gradient_steps", gradient_steps, -1) != -1:
            self.gradient_steps = count("gradient_steps (unless -1)", gradient_steps)
        self.tau = real("tau", tau, 0, 1, open_low=True)
        self.target_update_interval = count("target_update_interval", target_update_interval)
        self.exploration_fraction = real("exploration_fraction", exploration_fraction, 0, 1)
        self.exploration_initial_eps = real(
            "exploration_initial_eps", exploration_initial_eps, 0, 1
        )
        self.exploration_final_eps = real("exploration_final_eps", exploration_final_eps, 0, 1)
        self.exploration_decay = real("exploration_decay", exploration_decay, 0, 1)
        self.max_grad_norm = real("max_grad_norm", max_grad_norm, 0, open_low=True)
        self.n_steps = count("n_steps", n_steps)
        self.double_q = one_of("double_q", double_q, (False, True))
        self.loss = one_of("loss", loss, ("huber", "mse"))
        if not isinstance(net_arch, list | tuple | np.ndarray) or np.ndim(net_arch) == 0:
            raise ValueError(f"net_arch must be a list of integers, got {net_arch!r}")
        self.net_arch = [count("net_arch", width) for width in net_arch]
        if not isinstance(activation, str):
            raise ValueError(f"activation must be a name that Keras knows, got {activation!r}")
        self.activation = activation
        self.compiled = one_of("compiled", compiled, (False, True, "auto"))
        self._epsilon = self.exploration_initial_eps

        self._world = world_of(self.env)
        actions = self._world.action_space
        if not isinstance(actions, gym.spaces.Discrete) or actions.start != 0:
            raise ValueError(f"env must have discrete actions numbered from 0, got {actions}")
        self._num_actions = int(actions.n)
        self._encoding = self._world.encoding
        self._check_sizes()
        self._replay = Replay(
            self.buffer_size, self._encoding.width, self._world.num_envs, self.gamma, self.n_steps
        )
        # the rewards of the present episodes, and the calls of `step` since the beginning
        self._returns = np.zeros(self._world.num_envs)
        self._calls = 0
        self._saves_replay = True

        import keras

        from nchain_agents.deep.adam import Adam
        from nchain_agents.deep.networks import checked_model, multilayer_perceptron, twin

        # what the parameters do not describe
        self._own_model, self._own_optimizer = model is not None, optimizer is not None
        if model is None:
            try:
                keras.activations.get(activation)
            except ValueError:
                raise ValueError(
                    f"activation must be a name that Keras knows, got {activation!r}"
                ) from None
            weight_seed = int(self.np_random.integers(2**31))
            model = multilayer_perceptron(
                self._encoding.inputs, self.net_arch, activation, self._num_actions, weight_seed
            )
        else:
            model = checked_model(model, self._encoding.inputs, self._num_actions)
        if optimizer is None:
            optimizer = Adam(self.learning_rate, epsilon=1e-8)  # torch's default
        elif not isinstance(optimizer, keras.optimizers.Optimizer):
            raise ValueError(f"optimizer must be a Keras optimizer, got {optimizer!r}")
        self._set_models(model, twin(model), optimizer)

    def _check_sizes(self) -> None:
        """Refuse what memory cannot hold: the replay buffer, the networks, what a batch needs.

        Raises:
            ValueError: The message names the parameter.
        """
        number, row = 4, 4 * (2 * self._encoding.width + 4)
        widths = [self._encoding.inputs, *self.net_arch, self._num_actions]
        weights = sum((a + 1) * b for a, b in pairwise(widths))
        # two networks, the two moments of Adam and the gradient
        fits("net_arch", widths, 5 * number * weights)
        fits("buffer_size", self.buffer_size, row * self.buffer_size)
        sample = row + number * sum(widths)
        fits("batch_size", self.batch_size, sample * self.batch_size)
        fits("n_steps", self.n_steps, row * self.batch_size * self.n_steps)
        of_updates = "gradient_steps" if self.gradient_steps > 0 else "train_freq"
        fits(of_updates, getattr(self, of_updates), row * self.batch_size * self._updates)

    def _set_models(self, network: Any, target_network: Any, optimizer: Any) -> None:
        import keras

        from nchain_agents.deep.rule import Rule

        def encode(rows: Any) -> Any:
            inputs = self._encoding.encode(rows)
            shape = network.input_shape[1:]
            return inputs if len(shape) == 1 else keras.ops.reshape(inputs, (-1, *shape))

        self._program: Any = None
        rule = Rule(self.loss, self.double_q, self.max_grad_norm, self.tau)
        self._network, self._target_network = network, target_network
        self.optimizer = optimizer
        self._learner = self._backend.Learner(
            network, target_network, optimizer, encode, self._encoding.width, rule
        )

    @property
    def network(self) -> Any:
        """The Keras model that learns."""
        self._learner.release()
        return self._network

    @property
    def target_network(self) -> Any:
        """The Keras model that the targets are computed with.

        Updates are made when they next matter: before the gradient step at or after their time.
        """
        self._learner.release()
        return self._target_network

    @property
    def last_loss(self) -> float:
        """The loss of the last batch, before its optimizer step; NaN before the first."""
        return float(self._learner.loss)

    @property
    def epsilon(self) -> float:
        """The probability of a random action, as of the last step."""
        return self._epsilon

    @property
    def total_reward(self) -> float:
        """The sum of all rewards so far, of all environments."""
        return float(np.sum(self.episode_returns) + self._returns.sum())

    def knowledge(self) -> FloatArray:
        """Return the weights of the network, as one array."""
        from nchain_agents.deep.networks import arrays_of

        weights = arrays_of(self.network.trainable_variables)
        return np.concatenate([array.ravel() for array in weights]).astype(np.float64)

    def q_values(self, observation: npt.ArrayLike) -> FloatArray:
        """Return the values of the actions, (A,) for one observation and (N, A) for a batch.

        Raises:
            ValueError: The observation does not fit the environment's space.
        """
        rows, single = self._encoding.checked_rows(observation)
        q: FloatArray = self._learner.values(rows).astype(np.float64)
        return q[0] if single else q

    @property
    def _schedule(self) -> EpsilonSchedule:
        return EpsilonSchedule(
            self.exploration_initial_eps,
            self.exploration_final_eps,
            self.exploration_fraction,
            self.exploration_decay,
            self.learning_starts,
        )

    def _choose(self, q: FloatArray) -> int:
        return int(self._explore(self.np_random.random(2), self._epsilon, q.argmax()))

    def _explore(self, uniform: FloatArray, epsilon: float, greedy: Any) -> Any:
        """Return the greedy actions, or random ones where uniform[0] is below epsilon."""
        randomly = (uniform[1] * self._num_actions).astype(np.int64)
        return np.where(uniform[0] < epsilon, randomly, greedy)

    def _begin(self) -> None:
        """Begin new episodes where none are going on."""
        if self._observation is None:
            self._world.restart()
            self._returns[:] = 0.0
            self._replay.cut()
            super()._begin()

    def _train(
        self, until: int, on_episode: Callable[[], bool] | None, progress: Callable[[], None]
    ) -> None:
        program = self._compiled_program(self.compiled)
        if program is not None:
            program.learn(until, on_episode, progress)
        else:
            try:
                learn_stepped(self, until, on_episode, progress)
            finally:
                self._learner.release()
        self._check_weights()

    def _check_weights(self) -> None:
        if not np.isfinite(self.knowledge()).all():
            raise ValueError(
                f"learning_rate {self.learning_rate:g} lets the training diverge: at step "
                f"{self.num_timesteps} there are weights that are not finite"
            )

    def _compiled_program(self, compiled: bool | str) -> Any:
        """The training loop as one program; None where it is stepped.

        Raises:
            ValueError: `compiled` is True, and it must be stepped.
        """
        if compiled is False:
            return None
        try:
            if self._program is not None:
                self._program.read_table()
                return self._program
            if not isinstance(self._world, SingleWorld):
                raise ValueError("env is a vector environment")
            from nchain_agents.deep.compiled import Program

            self._program = Program(self)
        except ValueError as error:
            self._program = None
            if compiled is True:
                raise ValueError(f"the training cannot be compiled: {error}") from error
        return self._program

    @property
    def _updates(self) -> int:
        """How many gradient steps are taken at a time."""
        if self.gradient_steps > 0:
            return self.gradient_steps
        return self.train_freq * self._world.num_envs

    def _due(self, calls: Any, steps: Any) -> Any:
        """Whether it is time to learn, after so many calls and steps; for arrays of them, too."""
        return (calls % self.train_freq == 0) & (steps > self.learning_starts)

    def _target_share(self, calls: Any) -> Any:
        """Return the share of the network that goes into the target network before learning.

        The target network is updated every so many calls, but only read when the network learns,
        and does so before it. So the updates since the last time are made now, as one.
        """
        interval = max(self.target_update_interval // self._world.num_envs, 1)
        updates = calls // interval - (calls - self.train_freq) // interval
        return 1.0 - (1.0 - self.tau) ** updates

    def save(self, path: str | os.PathLike[str], *, replay_buffer: bool = True) -> None:
        """Write the agent to one file, without pickle.

        A model or an optimizer of yours is described there as Keras describes it, and cannot be
        loaded where Keras does not do that without running code, as for a Lambda layer.

        Args:
            path: The file to write. It appears whole or not at all; folders are made for it.
            replay_buffer: Save the replay buffer too. Without it a loaded agent begins with an
                empty one, and does not learn on as if never stopped.

        Raises:
            OSError: The file cannot be written.
        """
        self._saves_replay = replay_buffer
        super().save(path)

    def _header(self) -> dict[str, Any]:
        from nchain_agents.deep.storage import configurations

        return {**super()._header(), **configurations(self)}

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        from nchain_agents.deep.storage import arrays_of_agent

        return arrays_of_agent(self, self._saves_replay)

    @classmethod
    def _built(cls, env: Env, parameters: dict[str, Any], saved: Saved) -> Self:
        _backend()
        from nchain_agents.deep.storage import saved_models

        models = saved_models(saved, env, parameters["net_arch"])
        try:
            return cls(env, **parameters, **models)
        except Exception as error:  # whatever a model or an optimizer sets off that was read
            raise ValueError(str(error)) from error

    def _restore(self, saved: Saved) -> None:
        from nchain_agents.deep.storage import restore

        restore(self, saved)

    def _set_env(self, env: Env) -> None:
        world = world_of(env)
        for name in ("observation_space", "action_space", "num_envs"):
            ours, theirs = getattr(self._world, name), getattr(world, name)
            if ours != theirs:
                raise ValueError(f"env must have the {name} {ours}, got {theirs}")
        self._env, self._world, self._program = env, world, None
        if self._observation is not None:
            self._leave_episode()

    def __getstate__(self) -> dict[str, Any]:
        """Return what `copy` and `pickle` keep: all but what is compiled, and Keras's objects."""
        from nchain_agents.deep.storage import described

        left_out = {"_backend", "_program", "_learner", "_network", "_target_network", "optimizer"}
        kept = {name: value for name, value in vars(self).items() if name not in left_out}
        return {**kept, "models": described(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from nchain_agents.deep.storage import rebuild

        models = state.pop("models")
        self.__dict__.update(state)
        self._backend = _backend()
        rebuild(self, models)


def _backend() -> Any:
    """The module of Keras's backend.

    Raises:
        ModuleNotFoundError: Keras or the backend is not installed.
        ValueError: The backend is neither TensorFlow nor JAX.
    """
    extra = "jax" if os.environ.get("KERAS_BACKEND") == "jax" else "keras"
    try:
        import keras

        name = keras.backend.backend()
        if name not in ("tensorflow", "jax"):
            raise ValueError(
                "KERAS_BACKEND must be 'tensorflow' (nchain-env[keras]) or 'jax' "
                f"(nchain-env[jax]) for KerasDQN, got {name!r}"
            )
        return import_module(f"nchain_agents.deep.{name}")
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            f"KerasDQN needs {missing.name}: pip install 'nchain-env[{extra}]'", name=missing.name
        ) from missing
