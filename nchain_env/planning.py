"""Exact answers: what the best policy, or any policy, is worth.

All functions work on the outcome table and need memory for a few arrays of its size, never for an
S x S matrix of a large process. A terminated outcome is worth its reward and nothing after it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nchain_env.checks import integer, real
from nchain_env.mdp import FloatArray, IntArray, TabularMDP

# Up to this many states a linear system is solved directly, beyond by iteration.
_DIRECT_STATES = 1000
_DIRECT_GAIN_STATES = 200
_GAIN_SWEEPS = 100_000


def value_iteration(mdp: TabularMDP, gamma: float, tolerance: float = 1e-10) -> FloatArray:
    """Return the optimal action values.

    Args:
        mdp: The process.
        gamma: The discount factor, in [0, 1).
        tolerance: The largest error allowed; positive.

    Returns:
        q of shape (S, A) with |q - q*| <= tolerance everywhere, rounding included.

    Raises:
        ValueError: A parameter is outside its range, or `tolerance` is finer than the machine's
            numbers can guarantee for these rewards and this gamma (the message says what they can).

    Source: Puterman 1994, Markov Decision Processes, section 6.3.
    """
    gamma = _discount(gamma)
    tolerance = real("tolerance", tolerance, 0, open_low=True)
    return _fixed_point(_all_actions(mdp, gamma), tolerance).T.copy()


def policy_iteration(mdp: TabularMDP, gamma: float) -> tuple[IntArray, FloatArray]:
    """Return an optimal stationary policy and the optimal action values.

    Args:
        mdp: The process.
        gamma: The discount factor, in [0, 1).

    Returns:
        The policy, of shape (S,), and q of shape (S, A). The error of q is that of
        `evaluate_policy`, and what comes from actions too close to call, divided by 1 - gamma.

    Raises:
        ValueError: gamma is outside its range.

    Source: Howard 1960; Puterman 1994, section 6.4.
    """
    gamma = _discount(gamma)
    model = _all_actions(mdp, gamma)
    q = model.reward
    # A long chain improves one state an iteration; a hundred cheap sweeps go most of the way.
    for _ in range(100):
        q = _backup(model, q.max(axis=0))
    policy = q.argmax(axis=0)
    states = np.arange(mdp.num_states)
    seen: set[bytes] = set()
    while True:
        q = _backup(model, evaluate_policy(mdp, policy, gamma))
        # Rounding must not look like an improvement, or equal actions would alternate for ever.
        slack = 1e-12 * max(1.0, float(np.abs(q).max()))
        better = q.max(axis=0) > q[policy, states] + slack
        seen.add(policy.tobytes())
        policy = np.where(better, q.argmax(axis=0), policy)
        if policy.tobytes() in seen:
            return policy, q.T.copy()


def evaluate_policy(mdp: TabularMDP, policy: npt.ArrayLike, gamma: float) -> FloatArray:
    """Return the value of every state under a policy.

    Args:
        mdp: The process.
        policy: (S,) actions, or (S, A) probabilities of the actions.
        gamma: The discount factor, in [0, 1).

    Returns:
        v of shape (S,): up to 1,000 states by a direct solution, its error that of rounding;
        beyond by iteration, its error at most 1e-11 of the largest value these rewards allow,
        max|r| / (1 - gamma).

    Raises:
        ValueError: The policy does not fit the process, or gamma is outside its range.

    Source: Puterman 1994, section 6.1.
    """
    gamma = _discount(gamma)
    model = _under(mdp, policy, gamma)
    if mdp.num_states <= _DIRECT_STATES:
        equations = np.eye(mdp.num_states) - _matrix(model)
        return np.asarray(np.linalg.solve(equations, model.reward), dtype=np.float64)
    bound = float(np.abs(model.reward).max()) / (1 - gamma)
    return _fixed_point(model, 1e-11 * bound) if bound > 0 else np.zeros(mdp.num_states)


def policy_return(mdp: TabularMDP, policy: npt.ArrayLike, horizon: int) -> float:
    """Return the expected undiscounted return of one episode under a stationary policy.

    Args:
        mdp: The process.
        policy: (S,) actions, or (S, A) probabilities of the actions.
        horizon: The number of steps after which an episode is cut off, at least 0.

    Raises:
        ValueError: The policy does not fit the process, or horizon is not such a number.

    Source: Puterman 1994, section 4.2.
    """
    model = _under(mdp, policy, 1.0)
    v: FloatArray = np.zeros(mdp.num_states)
    for _ in range(integer("horizon", horizon, 0)):
        v = _backup(model, v)
    return float(mdp.initial @ v)


def optimal_return(mdp: TabularMDP, horizon: int) -> float:
    """Return the best expected undiscounted return of one episode, by backward induction.

    The policy that earns it may depend on the steps left, so it can be a little more than any
    stationary policy earns.

    Args:
        mdp: The process.
        horizon: The number of steps after which an episode is cut off, at least 0.

    Raises:
        ValueError: horizon is not such a number.

    Source: Puterman 1994, section 4.5.
    """
    model = _all_actions(mdp, 1.0)
    v: FloatArray = np.zeros(mdp.num_states)
    for _ in range(integer("horizon", horizon, 0)):
        v = _backup(model, v).max(axis=0)
    return float(mdp.initial @ v)


def average_reward(mdp: TabularMDP, policy: npt.ArrayLike) -> float:
    """Return the long-run reward a step, the gain: `policy_return(T) / T` as T grows.

    A process that ends is worth 0 a step in the long run.

    Args:
        mdp: The process.
        policy: (S,) actions, or (S, A) probabilities of the actions.

    Returns:
        The gain from the start distribution: up to 200 states by a direct solution of the
        evaluation equations; beyond by iteration, its error at most 1e-11 of the largest |reward|.

    Raises:
        ValueError: The policy does not fit the process.
        RuntimeError: More than 200 states, and the iteration does not close in: the process falls
            into parts with different gains, or mixes too slowly.

    Source: Puterman 1994, sections 8.2.1 (evaluation equations) and 8.5 (iteration and its bounds).
    """
    model = _absorbing(mdp, policy)
    states = model.reward.shape[-1]
    initial = np.zeros(states)
    initial[: mdp.num_states] = mdp.initial
    if states <= _DIRECT_GAIN_STATES:
        # (I - P) g = 0 and g + (I - P) h = r determine g, whatever the classes of the chain.
        identity = np.eye(states)
        flow = identity - _matrix(model)
        equations = np.block([[flow, np.zeros_like(flow)], [identity, flow]])
        right = np.concatenate([np.zeros(states), model.reward])
        return float(initial @ np.linalg.lstsq(equations, right)[0][:states])
    # Staying put one time in ten changes no gain, and keeps a periodic chain from circling.
    v = np.zeros(states)
    for _ in range(_GAIN_SWEEPS):
        change = 0.9 * (_backup(model, v) - v)
        low, high = float(change.min()) / 0.9, float(change.max()) / 0.9
        if high - low <= 2e-11 * float(np.abs(model.reward).max()):
            return (low + high) / 2
        v = v + change
        v -= v[0]
    raise RuntimeError(
        f"the gain lies in [{low:g}, {high:g}] after {_GAIN_SWEEPS} sweeps: the policy's chain "
        "falls into parts with different gains, or mixes too slowly"
    )


class _Model(NamedTuple):
    """Rewards and discounted outcomes, states last: NumPy sums and maximises fastest like that.

    reward: (..., S); weight, next_state: (J, ..., S), where `...` is A or nothing.
    """

    reward: FloatArray
    weight: FloatArray
    next_state: IntArray


def _backup(model: _Model, v: FloatArray) -> FloatArray:
    """The Bellman backup: expected reward plus discounted value of what follows."""
    q: FloatArray = model.reward + (model.weight * v[model.next_state]).sum(axis=0)
    return q


def _all_actions(mdp: TabularMDP, gamma: float) -> _Model:
    probability = np.ascontiguousarray(mdp.probability.transpose(2, 1, 0))
    reward = (probability * mdp.reward.transpose(2, 1, 0)).sum(axis=0)
    weight = gamma * probability * ~mdp.terminated.transpose(2, 1, 0)
    return _Model(reward, weight, np.ascontiguousarray(mdp.next_state.transpose(2, 1, 0)))


def _under(mdp: TabularMDP, policy: npt.ArrayLike, gamma: float) -> _Model:
    """The Markov reward process that a policy makes of the decision process."""
    chosen = _checked_policy(mdp, policy)
    if chosen.ndim == 1:
        at = (np.arange(mdp.num_states), chosen.astype(np.int64))
        probability = mdp.probability[at].T
        reward, next_state, going_on = mdp.reward[at].T, mdp.next_state[at].T, ~mdp.terminated[at].T
    else:
        flat = (mdp.num_states, -1)
        probability = (chosen[:, :, None] * mdp.probability).reshape(flat).T
        reward, next_state = mdp.reward.reshape(flat).T, mdp.next_state.reshape(flat).T
        going_on = ~mdp.terminated.reshape(flat).T
    return _Model(
        (probability * reward).sum(axis=0),
        np.ascontiguousarray(gamma * probability * going_on),
        np.ascontiguousarray(next_state),
    )


def _absorbing(mdp: TabularMDP, policy: npt.ArrayLike) -> _Model:
    """`_under` without discount, the end of an episode as a further state that pays nothing."""
    model = _under(mdp, policy, 1.0)
    ends = 1.0 - model.weight.sum(axis=0)
    ends[ends < 1e-8] = 0.0
    if not ends.any():
        return model
    states = mdp.num_states
    weight = np.pad(np.vstack([model.weight, ends]), ((0, 0), (0, 1)))
    weight[-1, -1] = 1.0
    exits = np.full((1, states), states)
    next_state = np.pad(np.vstack([model.next_state, exits]), ((0, 0), (0, 1)))
    next_state[:, -1] = states
    return _Model(np.append(model.reward, 0.0), weight, next_state)


def _matrix(model: _Model) -> FloatArray:
    """(S, S) the weights as a dense matrix."""
    outcomes, states = model.weight.shape
    matrix = np.zeros((states, states))
    np.add.at(matrix, (np.tile(np.arange(states), (outcomes, 1)), model.next_state), model.weight)
    return matrix


def _fixed_point(model: _Model, tolerance: float) -> FloatArray:
    """The fixed point of `_backup`, greedy where the model has actions, to within `tolerance`.

    The backup is a contraction by `modulus` in the largest norm, so after k sweeps from 0 the error
    is at most modulus^k `bound`, and after any sweep at most modulus / (1 - modulus) times the last
    change. To both comes the rounding of a sweep, amplified by 1 / (1 - modulus).
    """
    modulus = float(model.weight.sum(axis=0).max())
    largest = float(np.abs(model.reward).max())
    bound = largest / (1 - modulus)
    operations = len(model.weight) + 4
    for dtype in (np.float64, np.longdouble):
        unit = float(np.finfo(dtype).eps) / 2
        rounding = operations * unit * bound / (1 - modulus) + 2.0**-53 * bound
        if rounding < tolerance:
            break
    else:
        raise ValueError(
            f"tolerance must be more than {rounding:.1e} for these rewards and this gamma, "
            f"which is what rounding may amount to; got {tolerance!r}"
        )
    model = _Model(model.reward.astype(dtype), model.weight.astype(dtype), model.next_state)
    allowed = tolerance - rounding
    sweeps = 1
    if modulus > 0 and allowed < bound:
        sweeps += math.ceil(math.log(allowed / bound) / math.log(modulus))
    q = np.zeros_like(model.reward)
    for _ in range(sweeps):
        before, q = q, _backup(model, q.max(axis=0) if q.ndim == 2 else q)
        if modulus * float(np.abs(q - before).max()) <= allowed * (1 - modulus):
            break
    return q.astype(np.float64)


def _discount(gamma: float) -> float:
    return real("gamma", gamma, 0, 1, open_high=True)


def _checked_policy(mdp: TabularMDP, policy: npt.ArrayLike) -> npt.NDArray[Any]:
    states, actions = mdp.num_states, mdp.num_actions
    chosen = np.asarray(policy)
    if chosen.shape == (states,) and np.issubdtype(chosen.dtype, np.integer):
        if chosen.min() < 0 or chosen.max() >= actions:
            raise ValueError(f"policy must hold actions in [0, {actions}), got {chosen!r}")
        return chosen
    if chosen.shape == (states, actions) and np.issubdtype(chosen.dtype, np.number):
        if not (chosen >= 0).all() or np.abs(chosen.sum(axis=1) - 1).max() > 1e-9:
            raise ValueError("policy must hold probabilities that sum to 1 in every state")
        return chosen.astype(np.float64)
    raise ValueError(
        f"policy must be ({states},) integer actions or ({states}, {actions}) probabilities, "
        f"got {chosen.dtype} of shape {chosen.shape}"
    )
