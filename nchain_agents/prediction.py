"""Asking a model what it does: in every state at once, or step by step with what it remembers."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nchain_env.mdp import FloatArray, IntArray, TabularMDP

# What a predict that does not take such an observation may raise.
_NOT_TAKEN = (TypeError, ValueError, IndexError, KeyError, AttributeError, AssertionError)


class Model(Protocol):
    """Anything that predicts like stable-baselines3's models, ours among them.

    A recurrent one also takes `state` and `episode_start`, and returns a state that is not None.
    """

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        """Return the actions for one observation or a batch of them, and a state."""


def greedy_policy(model: Model, num_states: int) -> IntArray | None:
    """Return the model's deterministic action in every state, of shape (S,).

    A model that takes no batch of observations is asked for one state after the other.

    Returns:
        None if the model is recurrent: what it does depends on more than the state.

    Raises:
        ValueError: The model does not give one action for each observation.
    """
    states = np.arange(num_states)
    try:
        actions, memory = _ask(model, states, None, np.ones(num_states, dtype=np.bool_))
        return _whole(actions, (num_states,)) if memory is None else None
    except Exception as error:  # whatever a function of one number does with an array
        of_a_batch = error
    policy = np.zeros(num_states, dtype=np.int64)
    try:
        for s in range(num_states):
            action, memory = _ask(model, s, None, np.ones(1, dtype=np.bool_))
            if memory is not None:
                return None
            policy[s] = _whole(action, ())
    except _NOT_TAKEN as error:
        raise ValueError(
            "model.predict must take an observation, or a batch of them, and deterministic=True, "
            "and return one integer action for each, and a state; "
            f"for all states it raised {of_a_batch!r}, for one {error!r}"
        ) from error
    return policy


def player(model: Model, discrete: bool) -> Callable[[Any, bool], Any]:
    """Return a function of an observation, and whether an episode starts with it, to an action.

    A recurrent model gets back its state, as stable-baselines3's `evaluate_policy` does it: in
    batches of one.

    Args:
        model: Whose deterministic actions are taken.
        discrete: Whether the actions are integers.
    """
    remembers: bool | None = None
    memory: Any = None

    def act(observation: Any, first: bool) -> Any:
        nonlocal remembers, memory
        if remembers is None:
            remembers = _remembers(model, observation)
        if remembers:
            batch = _batch_of_one(observation)
            actions, memory = _ask(model, batch, memory, np.array([first]))
            action = actions[0]
        else:
            action, _ = model.predict(observation, deterministic=True)
        return int(action) if discrete else action

    return act


def returns_on_table(
    model: Model, mdp: TabularMDP, horizon: int, episodes: int, seed: int
) -> FloatArray:
    """Return the returns of episodes of a recurrent model, played side by side on a table.

    Args:
        model: Whose deterministic actions are taken.
        mdp: The process.
        horizon: The number of steps after which an episode is cut off.
        episodes: How many are played.
        seed: Makes them the same each time.

    Raises:
        ValueError: The model does not give one action for each observation.
    """
    rng = np.random.default_rng(seed)
    state = (mdp.cumulative_initial > rng.random((episodes, 1))).argmax(axis=-1)
    returns, goes_on = np.zeros(episodes), np.ones(episodes, dtype=np.bool_)
    memory: Any = None
    for step in range(horizon):
        actions, memory = _ask(model, state, memory, np.full(episodes, step == 0))
        chosen = _whole(actions, (episodes,))
        if chosen.min() < 0 or chosen.max() >= mdp.num_actions:
            raise ValueError(
                f"model.predict must return actions in [0, {mdp.num_actions}), got {chosen}"
            )
        above = mdp.cumulative[state, chosen] > rng.random((episodes, 1))
        outcome = (state, chosen, above.argmax(axis=-1))
        returns += np.where(goes_on, mdp.reward[outcome], 0.0)
        goes_on &= ~mdp.terminated[outcome]
        state = np.where(goes_on, mdp.next_state[outcome], state)
        if not goes_on.any():
            break
    return returns


def _ask(
    model: Model, observation: Any, memory: Any, starts: npt.NDArray[np.bool_]
) -> tuple[Any, Any]:
    """Return the deterministic actions and the model's state, which is handed back if it has one.

    Args:
        model: The model.
        observation: One observation, or a batch of them.
        memory: What it returned last; None at first.
        starts: (N,) where an episode starts.
    """
    taken = _parameters(model.predict)
    anything = any(one.kind is Parameter.VAR_KEYWORD for one in taken.values())
    offered = {"state": memory, "episode_start": starts}
    given: dict[str, Any] = {
        name: value
        for name, value in offered.items()
        if name in taken or (anything and memory is not None)
    }
    if memory is not None and "state" not in given:
        raise ValueError("model.predict must take `state`, because it returned one")
    actions, next_memory = model.predict(observation, **given, deterministic=True)
    return actions, next_memory


def _parameters(function: Any) -> dict[str, Parameter]:
    try:
        return dict(signature(function).parameters)
    except (TypeError, ValueError):  # what is not written in Python need not say
        return {}


def _remembers(model: Model, observation: Any) -> bool:
    starts = np.ones(1, dtype=np.bool_)
    try:
        return _ask(model, observation, None, starts)[1] is not None
    except _NOT_TAKEN:  # it may take batches only
        return _ask(model, _batch_of_one(observation), None, starts)[1] is not None


def _batch_of_one(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {name: _batch_of_one(part) for name, part in observation.items()}
    return np.asarray(observation)[None]


def _whole(actions: Any, shape: tuple[int, ...]) -> IntArray:
    given = np.asarray(actions).reshape(shape)
    with np.errstate(invalid="ignore"):  # NaN, which is no number that was given
        whole = given.astype(np.int64)
    if not (whole == given).all():
        raise ValueError(f"actions must be integers, got {actions!r}")
    return whole
