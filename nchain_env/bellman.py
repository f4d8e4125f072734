"""The Bellman backup on an outcome table."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nchain_env.mdp import BoolArray, FloatArray, IntArray, TabularMDP

RealArray = npt.NDArray[Any]  # doubles or long doubles
# The largest discounted value allowed.
_LARGEST_VALUE = 1e307


class Outcomes(NamedTuple):
    """The outcomes, all of shape (J, A, S) or (J, S).

    The states are the last axis, because NumPy sums and maximises over the first ones fastest.
    """

    probability: RealArray
    reward: FloatArray
    next_state: IntArray
    terminated: BoolArray


class Model(NamedTuple):
    """Expected rewards and discounted outcomes; the states are the last axis.

    reward: (..., S). weight, next_state: (J, ..., S). scale: the largest expected |reward|.
    """

    reward: RealArray
    weight: RealArray
    next_state: IntArray
    scale: float


def outcomes_of(
    mdp: TabularMDP,
    policy: npt.NDArray[Any] | None,
    dtype: type[np.floating[Any]] = np.float64,
) -> Outcomes:
    """Return the outcomes of every action, (K, A, S), or of a checked policy, (J, S)."""
    check_table(mdp)
    probability: RealArray = mdp.probability.astype(dtype, copy=False)
    at: Any = slice(None)
    shape: tuple[int, ...] = mdp.next_state.shape
    if policy is not None:
        shape = (mdp.num_states, -1)
        if policy.ndim == 1:
            at = (np.arange(mdp.num_states), policy)
        else:
            probability = policy[:, :, None] * probability
    return Outcomes(
        probability[at].reshape(shape).T,
        mdp.reward[at].reshape(shape).T,
        mdp.next_state[at].reshape(shape).T,
        mdp.terminated[at].reshape(shape).T,
    )


def model_of(outcomes: Outcomes, gamma: float) -> Model:
    """Return the model with discount factor `gamma`; 1 for undiscounted sums.

    Raises:
        ValueError: The values may overflow.
    """
    probability = np.ascontiguousarray(outcomes.probability)
    scale = float((probability * np.abs(outcomes.reward)).sum(axis=0).max())
    if gamma < 1 and scale / (1 - gamma) > _LARGEST_VALUE:
        raise ValueError(
            f"gamma must be at most {1 - scale / _LARGEST_VALUE!r} for rewards of {scale:g}, or "
            f"values may overflow; got {gamma!r}"
        )
    return Model(
        reward=(probability * outcomes.reward).sum(axis=0),
        weight=gamma * probability * ~outcomes.terminated,
        next_state=np.ascontiguousarray(outcomes.next_state),
        scale=scale,
    )


def backup(model: Model, v: RealArray) -> RealArray:
    """Return the Bellman backup of v, (S,): expected reward plus discounted next value."""
    value: RealArray = (model.weight * v[model.next_state]).sum(axis=0)
    value += model.reward
    return value


def check_table(mdp: TabularMDP) -> None:
    """Check that `mdp` is a TabularMDP.

    Raises:
        TypeError: It is not.
    """
    if not isinstance(mdp, TabularMDP):
        raise TypeError(f"mdp must be a TabularMDP, got {mdp!r}")


def matrix(weight: RealArray, next_state: IntArray) -> RealArray:
    """Return the weights as a dense matrix, (S, S)."""
    outcomes, states = weight.shape
    matrix = np.zeros((states, states), weight.dtype)
    np.add.at(matrix, (np.tile(np.arange(states), (outcomes, 1)), next_state), weight)
    return matrix


def checked_policy(mdp: TabularMDP, policy: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return a policy as an array, (S,) actions or (S, A) probabilities.

    Raises:
        TypeError: `mdp` is not a TabularMDP.
        ValueError: The policy does not fit the process.
    """
    check_table(mdp)
    states, actions = mdp.num_states, mdp.num_actions
    chosen = np.asarray(policy)
    if chosen.shape == (states,) and np.issubdtype(chosen.dtype, np.integer):
        if chosen.min() < 0 or chosen.max() >= actions:
            raise ValueError(f"policy must hold actions in [0, {actions}), got {chosen!r}")
        return chosen
    if chosen.shape == (states, actions) and chosen.dtype.kind in "iuf":
        if not (chosen >= 0).all() or np.abs(chosen.sum(axis=1) - 1).max() > 1e-9:
            raise ValueError("policy must hold probabilities that sum to 1 in every state")
        return chosen.astype(np.float64)
    raise ValueError(
        f"policy must be ({states},) integer actions or ({states}, {actions}) probabilities, "
        f"got {chosen.dtype} of shape {chosen.shape}"
    )
