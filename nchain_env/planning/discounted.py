"""Discounted values: value iteration, policy iteration, evaluation of a policy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from nchain_env.bellman import Model, backup, checked_policy, matrix, model_of, outcomes_of
from nchain_env.checks import real
from nchain_env.mdp import FloatArray, IntArray, TabularMDP

# The largest number of states for which linear systems are solved directly.
_DIRECT_STATES = 1000
# The error of a policy's values after iteration, relative to max|r| / (1 - gamma).
_EVALUATION_ERROR = 1e-11


def value_iteration(mdp: TabularMDP, gamma: float, tolerance: float = 1e-10) -> FloatArray:
    """Return the optimal action values.

    Args:
        mdp: The process.
        gamma: The discount factor, in [0, 1).
        tolerance: The largest error allowed; positive.

    Returns:
        q of shape (S, A), with |q - q*| <= tolerance in all entries, rounding errors included.

    Raises:
        ValueError: A parameter is outside its range, or floating-point numbers cannot guarantee
            `tolerance` for these rewards and this gamma. The message states what they guarantee.

    Source: Puterman 1994, Markov Decision Processes, section 6.3.
    """
    gamma = _discount(gamma)
    tolerance = real("tolerance", tolerance, 0, open_low=True)
    return _fixed_point(mdp, None, gamma, tolerance).T.copy()


def policy_iteration(mdp: TabularMDP, gamma: float) -> tuple[IntArray, FloatArray]:
    """Return an optimal stationary policy and the optimal action values.

    Args:
        mdp: The process.
        gamma: The discount factor, in [0, 1).

    Returns:
        The policy, of shape (S,), and q, of shape (S, A). Let R = max|r| / (1 - gamma), a bound of
        all values. Up to 1,000 states, no action's q exceeds that of the policy's action by more
        than 1e-12 R, and |q - q*| is at most 1e-12 R / (1 - gamma) plus the rounding error. With
        more states, the bounds are 2e-11 R and 4e-11 R / (1 - gamma).

    Raises:
        ValueError: gamma is outside its range, or so close to 1 that the rounding error of the
            values is not bounded or that they overflow.

    Source: Howard 1960; Puterman 1994, section 6.4.
    """
    gamma = _discount(gamma)
    model = model_of(outcomes_of(mdp, None), gamma)
    q = model.reward
    # On a long chain each iteration improves one state; a hundred cheap sweeps improve most first.
    for _ in range(100 if mdp.num_states > _DIRECT_STATES else 1):
        q = backup(model, q.max(axis=0))
    policy = q.argmax(axis=0)
    # Without slack, the evaluation's error could make equal actions alternate forever. `seen` ends
    # the loop if the rounding error exceeds the slack.
    slack = 1e-12 if mdp.num_states <= _DIRECT_STATES else 2 * _EVALUATION_ERROR
    slack *= model.scale / (1 - gamma)
    states = np.arange(mdp.num_states)
    seen: set[int] = set()
    while True:
        q = backup(model, evaluate_policy(mdp, policy, gamma))
        better = q.max(axis=0) > q[policy, states] + slack
        improved = np.where(better, q.argmax(axis=0), policy)
        seen.add(hash(policy.tobytes()))
        if hash(improved.tobytes()) in seen:
            return policy, q.T.copy()
        policy = improved


def evaluate_policy(mdp: TabularMDP, policy: npt.ArrayLike, gamma: float) -> FloatArray:
    """Return the value of every state under a policy.

    Args:
        mdp: The process.
        policy: (S,) actions, or (S, A) probabilities of the actions.
        gamma: The discount factor, in [0, 1).

    Returns:
        v of shape (S,). Up to 1,000 states, a linear system is solved directly, with the rounding
        error only. With more states, v is found by iteration, with an error of at most
        1e-11 max|r| / (1 - gamma).

    Raises:
        ValueError: The policy does not fit the process, or gamma is outside its range, or so close
            to 1 that the rounding error of the values is not bounded or that they overflow.

    Source: Puterman 1994, section 6.1.
    """
    gamma = _discount(gamma)
    chosen = checked_policy(mdp, policy)
    model = model_of(outcomes_of(mdp, chosen), gamma)
    if mdp.num_states <= _DIRECT_STATES:
        equations = np.eye(mdp.num_states) - matrix(model.weight, model.next_state)
        try:
            v = np.asarray(np.linalg.solve(equations, model.reward), dtype=np.float64)
        except np.linalg.LinAlgError:
            v = np.full(mdp.num_states, np.inf)
        if np.abs(v).max() > 2 * model.scale / (1 - gamma):  # more than the values can be
            raise ValueError(
                f"gamma must be farther from 1 than the probabilities' sums are by rounding, "
                f"got {gamma!r}"
            )
        return v
    if model.scale == 0:
        return np.zeros(mdp.num_states)
    return _fixed_point(mdp, chosen, gamma, _EVALUATION_ERROR * model.scale / (1 - gamma))


def gaps(mdp: TabularMDP, gamma: float, tolerance: float = 1e-10) -> FloatArray:
    """Return the suboptimality gaps: how much less an action is worth than the best one.

    Args:
        mdp: The process.
        gamma: The discount factor, in [0, 1).
        tolerance: The largest error allowed in the optimal action values; positive.

    Returns:
        v*(s) - q*(s, a), of shape (S, A), not negative and 0 for one action in every state, with
        an error of at most twice the tolerance.

    Raises:
        ValueError: As in `value_iteration`.
    """
    q = value_iteration(mdp, gamma, tolerance)
    return np.asarray(q.max(axis=1, keepdims=True) - q)


def _operations(model: Model) -> int:
    """Return the number of roundings per value in a backup, including those of the model."""
    return len(model.weight) + 5


def _fixed_point(
    mdp: TabularMDP, policy: npt.NDArray[Any] | None, gamma: float, tolerance: float
) -> FloatArray:
    """Return the fixed point of `backup`, greedy without a policy, to within `tolerance`.

    The backup is a contraction by `modulus` in the maximum norm. After k sweeps from 0 the error is
    therefore at most modulus^k `bound`, and after any sweep at most modulus / (1 - modulus) times
    the last change. Both bounds are increased by the rounding error of a sweep, divided by
    1 - modulus, and by that of the result. If doubles are not precise enough, the model and its
    fixed point are computed in long doubles, if the machine has them.
    """
    for dtype in (np.float64, np.longdouble):
        model = model_of(outcomes_of(mdp, policy, dtype), gamma)
        modulus = float(model.weight.sum(axis=0).max()) + _operations(model) * 2.0**-53
        gap = max(1 - modulus, 1e-300)  # with gamma too close to 1 there is no bound
        bound = model.scale / gap
        unit = float(np.finfo(dtype).eps) / 2
        rounding = _operations(model) * unit * bound / gap + 2.0**-53 * bound
        if rounding < tolerance:
            break
    else:
        if not np.isfinite(rounding):
            raise ValueError(
                f"gamma must be further below 1, or the error has no bound, got {gamma!r}"
            )
        raise ValueError(
            f"tolerance must be more than {rounding:.1e} for these rewards and this gamma, "
            f"the bound of the rounding error; got {tolerance!r}"
        )
    allowed = tolerance - rounding
    sweeps = 1
    if allowed < bound:
        sweeps = math.ceil(math.log(allowed / bound) / math.log(modulus))
    q = np.zeros_like(model.reward)
    for _ in range(sweeps):
        before, q = q, backup(model, q.max(axis=0) if q.ndim == 2 else q)
        if modulus * float(np.abs(q - before).max()) <= allowed * gap:
            break
    return np.asarray(q, dtype=np.float64)


def _discount(gamma: float) -> float:
    return real("gamma", gamma, 0, 1, open_high=True)
