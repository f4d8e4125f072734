"""A functional environment of Gymnasium's, as the compiled training loop steps it; on JAX."""

from __future__ import annotations

from inspect import getattr_static
from typing import Any, NamedTuple

import gymnasium as gym
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from gymnasium.envs.functional_jax_env import FunctionalJaxEnv

from nchain_agents.deep.encoding import Encoding
from nchain_agents.deep.replay import LARGEST_REWARD
from nchain_agents.deep.table_env import Transition
from nchain_agents.model_env import EpisodeClock, refuse_drawing
from nchain_env.known_tables import NotKnown, as_written, inner_env
from nchain_env.mdp import FloatArray


class Position(NamedTuple):
    """Where the environment is."""

    state: Any  # of its functions, a tree of arrays
    key: Any  # of its generator
    row: Any  # (1, D) the observation


class FunctionalEnv:
    """A `FunctionalJaxEnv` whose functions are compiled into the training loop.

    The generator's keys are split as `FunctionalJaxEnv.step` and `reset` split them, so that the
    transitions are those of stepping, up to rounding. The functions must be pure, as JAX demands.
    """

    # the functions hold all that they read
    arrays: tuple[()] = ()

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        self._wrapped, self._clock = env, EpisodeClock(env)
        self._encoding = Encoding(env.observation_space)
        self.num_actions = int(env.action_space.n)  # type: ignore[attr-defined]
        self._model: Any = functional_jax_env(env)
        self._functions = self._model.func_env
        self._constants = dict(vars(self._functions))
        try:
            start = jax.eval_shape(self._start, self._model.rng)
            after = jax.eval_shape(self.step, (), (), 0, start, 0)
        except Exception as error:  # whatever the functions say
            raise NotKnown(f"env has functions that JAX cannot compile: {error}") from error
        if jax.tree.map(_kind, start) != jax.tree.map(_kind, after.position):
            raise NotKnown("env has states that change their structure, shape or type")
        self._kinds, self.record_type = start.state, after.record.dtype

    def read(self) -> bool:
        """Return whether a program that was compiled for the environment before is still right."""
        model: Any = functional_jax_env(self._wrapped)
        constants = vars(model.func_env)
        return (
            model.func_env is self._functions
            and constants.keys() == self._constants.keys()
            and all(constants[name] is value for name, value in self._constants.items())
        )

    @property
    def max_episode_steps(self) -> int:
        """The number of steps after which an episode is cut off."""
        return self._clock.max_episode_steps

    @property
    def signature(self) -> Any:
        """The functions' code, constants included; agents learn together where it is equal."""

        def functions(position: Position, action: Any) -> Any:
            after = self.step((), (), 0, position, action)
            return after, self.restarted((), (), 0, after.position, after.terminated)

        start = jax.eval_shape(self._start, self._model.rng)
        return jax.jit(functions).lower(start, 0).as_text()

    def begin(self, observation: Any) -> tuple[Position, int]:
        """Return where the environment is, and the number of steps since its reset."""
        state = jax.tree.map(
            lambda leaf, kind: jnp.asarray(leaf, kind.dtype), self._model.state, self._kinds
        )
        row = self._encoding.rows(observation, 1)
        return Position(state, self._model.rng, row), self._clock.elapsed

    def draw(self, count: int, length: int) -> tuple[()]:
        """Draw no random numbers in advance."""
        return ()

    def rewind(self, used: int) -> None:
        """Put no random numbers back."""

    def row(self, position: Position) -> Any:
        """Return the observation as a row, (1, D)."""
        return position.row

    def _at(self, state: Any, rng: Any, key: Any) -> Position:
        observation = self._functions.observation(state, rng)
        row = jnp.reshape(jnp.asarray(observation, jnp.float32), (1, self._encoding.width))
        # a number of Python's own, or computed from such ones alone, has no type yet
        return Position(jax.tree.map(_typed, state), key, row)

    def _start(self, key: Any) -> Position:
        """Begin an episode, as `FunctionalJaxEnv.reset` does."""
        rng, key = jax.random.split(key)
        return self._at(self._functions.initial(rng=rng), rng, key)

    def step(
        self, arrays: tuple[()], numbers: tuple[()], used: Any, position: Position, action: Any
    ) -> Transition:
        """Take a step, as `FunctionalJaxEnv.step` does."""
        functions, state = self._functions, position.state
        rng, key = jax.random.split(position.key)
        next_state = functions.transition(state, action, rng)
        reached = self._at(next_state, rng, key)
        reward = _typed(functions.reward(state, action, next_state, rng))
        terminated = jnp.asarray(functions.terminal(next_state, rng), jnp.bool_)
        rows = jnp.concatenate([position.row, reached.row])
        valid = jnp.isfinite(rows).all() & (jnp.abs(reward) <= LARGEST_REWARD)
        return Transition(reached, reward, reward, terminated, valid)

    def restarted(
        self, arrays: tuple[()], numbers: tuple[()], used: Any, position: Position, ended: Any
    ) -> Any:
        """Return the beginning of a new episode where one ended, else the position."""
        return jax.lax.cond(ended, lambda: self._start(position.key), lambda: position)

    def rewards(self, records: npt.NDArray[Any]) -> FloatArray:
        """Return the rewards of steps."""
        return records.astype(np.float64)

    def finish(self, position: Position, elapsed: int) -> Any:
        """Set the environment to where the program left it, and return the observation."""
        self._model.state, self._model.rng = position.state, position.key
        self._clock.elapsed = elapsed
        space = self._encoding.space
        return np.asarray(position.row).reshape(space.shape or ()).astype(space.dtype)


def functional_jax_env(env: gym.Env[Any, Any]) -> FunctionalJaxEnv[Any]:
    """Return the environment under its wrappers, which is known to do what its functions say.

    Its `step` and `reset` are those of `FunctionalJaxEnv`, what these read is data, and the
    wrappers are those that `gym.make` adds. NotKnown says what is not so.
    """
    model: Any = inner_env(env)
    kind = type(model)
    if not isinstance(model, FunctionalJaxEnv):
        raise NotKnown(f"env must be a FunctionalJaxEnv, got {kind.__name__}")
    refuse_drawing(model)
    if kind.__mro__[kind.__mro__.index(FunctionalJaxEnv) + 1] is not gym.Env:
        raise NotKnown(f"env may do something else than its functions say: {kind.__name__}.reset")
    for name, base in (
        ("step", FunctionalJaxEnv),
        ("reset", FunctionalJaxEnv),
        ("__getattribute__", object),
        ("__setattr__", object),
    ):
        theirs = getattr_static(model, name)
        ours = vars(base)[name]
        if theirs is not ours or (base is not object and not as_written(base, name)):
            raise NotKnown(
                f"env may do something else than its functions say: {kind.__name__}.{name} is not "
                f"that of {base.__name__}"
            )
    for name in ("func_env", "state", "rng"):
        if name not in vars(model):
            missing = "have been reset" if name == "state" else f"keep its {name} itself"
            raise NotKnown(f"env must {missing}")
        if any(name in vars(base) for base in kind.__mro__):
            raise NotKnown(f"env may do something else than its functions say with its {name}")
    return model


def _typed(value: Any) -> Any:
    array = jnp.asarray(value)
    return jax.lax.convert_element_type(array, array.dtype)


def _kind(leaf: Any) -> tuple[Any, Any]:
    return leaf.shape, leaf.dtype
