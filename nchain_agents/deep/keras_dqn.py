"""DQN (Mnih et al. 2015, Human-level control through deep reinforcement learning) in Keras."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import asdict, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from gymnasium.vector import VectorEnv

from nchain_agents.agent import Agent, OnEpisode, Progress
from nchain_agents.deep.backend import backend
from nchain_agents.deep.env_adapter import SingleEnv, adapted
from nchain_agents.deep.hyperparameters import (
    Hyperparameters,
    documented,
    names_of,
    with_hyperparameters,
)
from nchain_agents.deep.replay import Replay
from nchain_agents.deep.stepped import epsilon_greedy, learn_stepped
from nchain_agents.deep.training_state import TrainingState
from nchain_agents.env_argument import Env, EnvLike
from nchain_agents.storage import Saved
from nchain_agents.training_log import LogFolder
from nchain_env.mdp import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:  # the hyperparameters are attributes, which are added at the end of the file
    _Attributes = Hyperparameters
else:
    _Attributes = object


def _in_training_state(name: str) -> Any:
    def assign(agent: KerasDQN, value: Any) -> None:
        setattr(agent.training_state, name, value)

    return property(lambda agent: getattr(agent.training_state, name), assign)


class KerasDQN(Agent, _Attributes):
    """Deep Q-learning with replay and a target network; stable-baselines3's names and meanings.

    Runs on Keras's TensorFlow or JAX backend. Discrete observations are encoded as one-hot vectors;
    boxes are flattened, or reshaped to the input shape of `model`. At the truncation of an episode
    it bootstraps.

    With buffer_size, batch_size, train_freq and target_update_interval 1, learning_starts 0, loss
    "mse" and a max_grad_norm that is never reached, it is the online rule of the NChain tutorial.

    Args:
        env: An environment with discrete actions, what `Agent` takes for one, or a vector
            environment in any autoreset mode; the steps of all its environments are counted.
        **hyperparameters
        model: A Keras model to learn with, in place of the one that net_arch and activation
            describe. It must give one value an action.
        optimizer: A Keras optimizer to learn with, in place of Adam with learning_rate.
        seed: The seed of the agent and of its environment.
        tensorboard_log: A folder for TensorBoard's files; see `Agent`.

    Raises:
        ModuleNotFoundError: Keras or its backend is not installed.
        ValueError: A space is not supported, or a parameter is outside its range.
    """

    hyperparameters_type: ClassVar[type[Hyperparameters]] = Hyperparameters
    # all that training changes, some attributes of every agent included
    training_state: TrainingState
    np_random = _in_training_state("np_random")
    num_timesteps = _in_training_state("num_timesteps")
    episode_returns = _in_training_state("episode_returns")
    episode_lengths = _in_training_state("episode_lengths")
    _observation = _in_training_state("observation")
    _end = _in_training_state("end")

    def __init__(
        self,
        env: EnvLike | VectorEnv[Any, Any, Any],
        *,
        model: Any = None,
        optimizer: Any = None,
        seed: int | None = None,
        tensorboard_log: LogFolder = None,
        **hyperparameters: Any,
    ) -> None:
        backend()
        for name in hyperparameters:
            if name not in self.parameters:
                close = get_close_matches(name, self.parameters, n=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise TypeError(f"{type(self).__name__} has no parameter {name!r}{hint}")
        self._hyperparameters = given = self.hyperparameters_type(**hyperparameters)
        self._program: Any = None
        self.training_state = state = TrainingState()
        super().__init__(env, gamma=given.gamma, seed=seed, tensorboard_log=tensorboard_log)  # type: ignore[arg-type]
        self._adapter = adapter = adapted(self.env)
        num_envs, encoding = adapter.num_envs, adapter.encoding
        given.check_fits(encoding.width, encoding.inputs, adapter.num_actions, num_envs)
        state.epsilon = given.exploration_initial_eps
        state.replay = Replay(
            given.buffer_size,
            encoding.width,
            num_envs,
            given.gamma,
            given.n_steps,
            given.ensemble_size,
        )
        state.returns = np.zeros(num_envs)
        state.lengths = np.zeros(num_envs, dtype=np.int64)
        state.dones = np.zeros(num_envs, dtype=np.bool_)
        state.members = np.zeros(num_envs, dtype=np.int64)
        self._saves_replay = True

        from nchain_agents.deep.networks import model_and_optimizer

        # whether the model and the optimizer are the user's own
        self._own = model is not None, optimizer is not None
        weight_seed = int(self.np_random.integers(2**31)) if model is None else 0
        model, optimizer = model_and_optimizer(
            given, encoding.inputs, adapter.num_actions, weight_seed, model, optimizer
        )
        state.learner = backend().Learner(model, optimizer, encoding, given)

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The hyperparameters, each of which is an attribute of the agent, too."""
        return self._hyperparameters

    @hyperparameters.setter
    def hyperparameters(self, hyperparameters: Hyperparameters) -> None:
        for name in hyperparameters.fixed:
            if getattr(hyperparameters, name) != getattr(self._hyperparameters, name):
                raise ValueError(f"{name} cannot be changed: the network is made for it")
        self._hyperparameters, self._program = hyperparameters, None

    @property
    def network(self) -> Any:
        """The Keras model that learns."""
        self.training_state.learner.release()
        return self.training_state.learner.network

    @property
    def target_network(self) -> Any:
        """The Keras model of the targets, which is updated just before the next gradient step."""
        self.training_state.learner.release()
        return self.training_state.learner.target_network

    @property
    def optimizer(self) -> Any:
        """The Keras optimizer."""
        return self.training_state.learner.optimizer

    @property
    def last_loss(self) -> float:
        """The loss of the last batch, before its optimizer step; NaN before the first."""
        return float(self.training_state.learner.loss)

    @property
    def epsilon(self) -> float:
        """The probability of a random action, as of the last step."""
        return self.training_state.epsilon

    @property
    def total_reward(self) -> float:
        """The sum of all rewards so far, of all environments."""
        return float(np.sum(self.episode_returns) + self.training_state.returns.sum())

    @property
    def dones(self) -> BoolArray:
        """Which environments' episodes the last step ended, (N,)."""
        return self.training_state.dones

    def _statistics(self) -> dict[str, float]:
        rate = float(self.optimizer.learning_rate)
        named = {"train/learning_rate": rate, "rollout/exploration_rate": self.epsilon}
        return named if np.isnan(self.last_loss) else {**named, "train/loss": self.last_loss}

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
        rows, single = self._adapter.encoding.checked_rows(observation)
        q: FloatArray = self.training_state.learner.values(rows).astype(np.float64)
        return q[0] if single else q

    def action_probabilities(self, observation: npt.ArrayLike) -> FloatArray:
        """Return the probabilities with which training chooses the actions at present.

        Returns:
            (A,) for one observation, (N, A) for a batch.

        Raises:
            ValueError: The observation does not fit the environment's space.
        """
        q = self._exploring_values(observation)
        greedy = np.eye(q.shape[-1])[q.argmax(axis=-1)]
        return np.asarray(self.epsilon / q.shape[-1] + (1.0 - self.epsilon) * greedy)

    def _choose(self, q: FloatArray) -> int:
        uniform = self.np_random.random(2)
        return int(epsilon_greedy(uniform, self.epsilon, q.argmax(), len(q)))

    def _begin(self) -> None:
        """Begin new episodes, unless there are unfinished ones."""
        if self._observation is None:
            self._adapter.restart()
            self.training_state.returns[:] = 0.0
            self.training_state.lengths[:] = 0
            self.training_state.replay.cut()
            self.training_state.members = self._first_members()
            super()._begin()

    def _first_members(self) -> IntArray:
        """Return the members of an ensemble that act in the first episodes."""
        members, num_envs = self.hyperparameters.ensemble_size, self._adapter.num_envs
        drawn = np.zeros(num_envs, dtype=np.int64)
        if members > 1:
            drawn[:] = self.np_random.integers(members, size=num_envs)
        return drawn

    def _train(self, until: int, on_episode: OnEpisode, progress: Progress) -> None:
        state, hyperparameters = self.training_state, self.hyperparameters

        def goes_on() -> bool:
            # if the callback assigned a hyperparameter, `learn` calls `_train` again
            return on_episode is None or (on_episode() and self.hyperparameters is hyperparameters)

        listener = None if on_episode is None else goes_on
        # a step at a time is taken sooner than the program begins
        compiled = False if self._step_by_step else hyperparameters.compiled
        program = self._compiled_program(compiled)
        if program is not None:
            program.learn(state, until, listener, progress)
        else:
            try:
                learn_stepped(state, hyperparameters, self._adapter, until, listener, progress)
            finally:
                state.learner.release()
        self._check_weights()

    def _check_weights(self) -> None:
        if not np.isfinite(self.knowledge()).all():
            rate = self.hyperparameters.learning_rate
            raise ValueError(
                f"learning_rate {rate:g} lets the training diverge: at step "
                f"{self.num_timesteps} there are weights that are not finite"
            )

    def _compiled_program(self, compiled: bool | str) -> Any:
        """The training loop as one program; None where the environment must be stepped."""
        if compiled is False:
            return None
        try:
            if self._program is not None and self._program.env.read():
                return self._program
            if not isinstance(self._adapter, SingleEnv):
                raise ValueError("env is a vector environment")
            from nchain_agents.deep.compiled import Program

            state = self.training_state
            self._program = Program(self.env, self.hyperparameters, state.learner)
        except ValueError as error:
            self._program = None
            if compiled is True:
                raise ValueError(f"the training cannot be compiled: {error}") from error
        return self._program

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

        return {**super()._header(), **configurations(self.training_state, *self._own)}

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        from nchain_agents.deep.storage import arrays_of_training

        return arrays_of_training(self.training_state, self._saves_replay)

    @classmethod
    def _built(cls, env: Env, parameters: dict[str, Any], saved: Saved) -> Self:
        backend()
        from nchain_agents.deep.storage import saved_models

        models = saved_models(saved, env, parameters)
        try:
            return cls(env, **parameters, **models)
        except Exception as error:  # whatever a model or an optimizer sets off that was read
            raise ValueError(str(error)) from error

    def _restore(self, saved: Saved) -> None:
        from nchain_agents.deep.storage import restore

        restore(self.training_state, saved, self._adapter.num_actions)

    def _set_env(self, env: Env) -> None:
        adapter = adapted(env)
        for name in ("observation_space", "action_space", "num_envs"):
            ours, theirs = getattr(self._adapter, name), getattr(adapter, name)
            if ours != theirs:
                raise ValueError(f"env must have the {name} {ours}, got {theirs}")
        self._env, self._adapter, self._program, self._vec_env = env, adapter, None, None
        if self._observation is not None:
            self._leave_episode()

    def __getstate__(self) -> dict[str, Any]:
        """Return what `copy` and `pickle` keep: all but what is compiled, and Keras's objects."""
        from nchain_agents.deep.storage import described

        state = copy(self.training_state)
        state.learner = None
        kept = {**vars(self), "training_state": state, "_program": None}
        return {**kept, "models": described(self.training_state, *self._own)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from nchain_agents.deep.storage import rebuild

        models = state.pop("models")
        self.__dict__.update(state)
        rebuild(self.training_state, models, self._adapter, self.hyperparameters)


def learn_together(
    agents: Sequence[KerasDQN], total_timesteps: int, show: Callable[[int, float], None]
) -> None:
    """Let agents learn at the same time, vectorised over them by JAX; see `learn_many`.

    `show` is called with the number of steps of all agents, and the last return of the first one.
    """
    import keras

    if len({_kind(agent) for agent in agents}) > 1:
        raise ValueError("agents must have the same hyperparameters, networks and numbers of steps")
    if keras.backend.backend() != "jax":
        raise ValueError("agents with networks only learn together with KERAS_BACKEND=jax")
    from nchain_agents.deep import together

    for agent in agents:
        agent._begin()
    programs = [agent._compiled_program(True) for agent in agents]
    states = [agent.training_state for agent in agents]
    start = states[0].num_timesteps
    for state in states:
        state.end = start + total_timesteps

    def progress() -> None:
        first = states[0]
        last = first.episode_returns[-1] if first.episode_returns else float("nan")
        show((first.num_timesteps - start) * len(states), last)

    together.learn_together(programs, states, start + total_timesteps, progress)


def _kind(agent: KerasDQN) -> str:
    """All in which agents that learn together must be equal."""
    state = agent.training_state
    shapes = [variable.shape for variable in state.learner.network.variables]
    added = state.replay.added.tolist()
    parameters = asdict(agent.hyperparameters)
    return json.dumps([parameters, state.num_timesteps, state.calls, added, shapes])


def _hyperparameter(name: str) -> property:
    def assign(agent: KerasDQN, value: Any) -> None:
        agent.hyperparameters = replace(agent.hyperparameters, **{name: value})

    return property(lambda agent: getattr(agent.hyperparameters, name), assign)


def declare(agent: type[KerasDQN]) -> None:
    """Make the hyperparameters of a class its attributes, arguments and documentation."""
    kind = agent.hyperparameters_type
    agent.parameters = names_of(kind)
    for name in agent.parameters:
        setattr(agent, name, _hyperparameter(name))
    vars(agent.__init__)["__signature__"] = with_hyperparameters(agent.__init__, kind)
    agent.__doc__ = documented(agent.__doc__, kind)


declare(KerasDQN)
