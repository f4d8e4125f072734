"""The actions of models: in all states at once, or step by step if recurrent."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from inspect import Parameter, ismethod, signature
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nchain_env.mdp import FloatArray, IntArray, TabularMDP

# The exceptions of a `predict` that does not take such an observation.
_NOT_TAKEN = (TypeError, ValueError, IndexError, KeyError, AttributeError, AssertionError)
_SUM_TOLERANCE = 1e-9


class Model(Protocol):
    """Anything that predicts like stable-baselines3's models, ours among them.

    A recurrent one also takes `state` and `episode_start`, and returns a state that is not None.
    """

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        """Return the actions for one observation or a batch of them, and a state."""


def greedy_policy(model: Model, num_states: int) -> IntArray | None:
    """Return the model's deterministic actions, (S,); None if it is recurrent.

    A model that takes no batch of observations is called for one state after the other.
    """
    states = np.arange(num_states)
    try:
        actions, model_state = _predict(model, states, None, np.ones(num_states, dtype=np.bool_))
        return _integers(actions, (num_states,)) if model_state is None else None
    except Exception as error:  # `predict` may take single observations only
        of_a_batch = error
    policy = np.zeros(num_states, dtype=np.int64)
    try:
        for s in range(num_states):
            action, model_state = _predict(model, s, None, np.ones(1, dtype=np.bool_))
            if model_state is not None:
                return None
            policy[s] = _integers(action, ())
    except _NOT_TAKEN as error:
        raise ValueError(
            "model.predict must take an observation, or a batch of them, and deterministic=True, "
            "and return one integer action for each, and a state; "
            f"for all states it raised {of_a_batch!r}, for one {error!r}"
        ) from error
    return policy


def exploring_policy(model: Any, num_states: int) -> FloatArray | None:
    """Return the probabilities of the actions in training, (S, A); None if the model has none.

    A model has them if it has a method `action_probabilities(observations)`, as our agents do.

    Raises:
        ValueError: They are not such probabilities.
    """
    if not hasattr(model, "action_probabilities"):
        return None
    given = np.asarray(model.action_probabilities(np.arange(num_states)))
    if (
        given.ndim != 2
        or len(given) != num_states
        or given.dtype.kind not in "iuf"
        or not (given >= 0).all()
        or not (abs(given.sum(axis=1) - 1) <= _SUM_TOLERANCE).all()
    ):
        raise ValueError(
            "model.action_probabilities must return the probabilities of the actions for a batch "
            f"of observations, which sum to 1 in each row, got {given!r}"
        )
    return given.astype(np.float64)


def player(model: Model, discrete: bool) -> Callable[[Any, bool], Any]:
    """Return a function from an observation, and whether it starts an episode, to an action.

    A recurrent model gets its state back, in batches of one, as in stable-baselines3's
    `evaluate_policy`. Discrete actions are returned as integers.
    """
    recurrent: bool | None = None
    model_state: Any = None

    def act(observation: Any, first: bool) -> Any:
        nonlocal recurrent, model_state
        if recurrent is None:
            recurrent = _is_recurrent(model, observation)
        if recurrent:
            batch = _batch_of_one(observation)
            actions, model_state = _predict(model, batch, model_state, np.array([first]))
            action = actions[0]
        else:
            action, _ = model.predict(observation, deterministic=True)
        return int(action) if discrete else action

    return act


def returns_on_table(
    model: Model, mdp: TabularMDP, horizon: int, episodes: int, seed: int
) -> FloatArray:
    """Return the returns, (N,), of episodes of a recurrent model, played side by side on a table.

    Its actions are deterministic. An episode is cut off after `horizon` steps.
    """
    rng = np.random.default_rng(seed)
    state = (mdp.cumulative_initial > rng.random((episodes, 1))).argmax(axis=-1)
    returns, goes_on = np.zeros(episodes), np.ones(episodes, dtype=np.bool_)
    model_state: Any = None
    for step in range(horizon):
        actions, model_state = _predict(model, state, model_state, np.full(episodes, step == 0))
        chosen = _integers(actions, (episodes,))
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


def _predict(
    model: Model, observation: Any, model_state: Any, starts: npt.NDArray[np.bool_]
) -> tuple[Any, Any]:
    """Return the deterministic actions for one observation or a batch, and the model's next state.

    The model's last state (None at first) and where episodes start, (N,), are passed on if it takes
    them.
    """
    taken = _parameters(model.predict)
    anything = any(one.kind is Parameter.VAR_KEYWORD for one in taken.values())
    offered = {"state": model_state, "episode_start": starts}
    given: dict[str, Any] = {
        name: value
        for name, value in offered.items()
        if name in taken or (anything and model_state is not None)
    }
    if model_state is not None and "state" not in given:
        raise ValueError("model.predict must take `state`, because it returned one")
    actions, next_state = model.predict(observation, **given, deterministic=True)
    return actions, next_state


def _parameters(function: Any) -> dict[str, Parameter]:
    # of all models of a class it is the same function
    return _signature(function.__func__) if ismethod(function) else _signature.__wrapped__(function)


@lru_cache(maxsize=8)
def _signature(function: Any) -> dict[str, Parameter]:
    try:
        return dict(signature(function).parameters)
    except (TypeError, ValueError):  # what is not written in Python need not say
        return {}


def _is_recurrent(model: Model, observation: Any) -> bool:
    starts = np.ones(1, dtype=np.bool_)
    try:
        return _predict(model, observation, None, starts)[1] is not None
    except _NOT_TAKEN:  # it may take batches only
        return _predict(model, _batch_of_one(observation), None, starts)[1] is not None


def _batch_of_one(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {name: _batch_of_one(part) for name, part in observation.items()}
    return np.asarray(observation)[None]


def _integers(actions: Any, shape: tuple[int, ...]) -> IntArray:
    given = np.asarray(actions).reshape(shape)
    with np.errstate(invalid="ignore"):  # of NaN, which differs below
        integers = given.astype(np.int64)
    if not (integers == given).all():
        raise ValueError(f"actions must be integers, got {actions!r}")
    return integers
