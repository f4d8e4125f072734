"""Exact values, returns and average rewards of policies on an outcome table.

The memory needed is that of a few arrays of the table's size; processes of more than 1,000 states
need no S x S matrix. The value of a terminated outcome is its reward alone.

Results are finite or an error is raised: rewards lie in [-1e300, 1e300], a horizon is at most 100
million steps, and a gamma that makes the values too large is refused.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from nchain_env.bellman import (
    Model,
    Outcomes,
    RealArray,
    backup,
    check_table,
    model_of,
    outcomes_of,
)
from nchain_env.checks import integer, real
from nchain_env.mdp import FloatArray, IntArray, TabularMDP

# The largest number of states for which linear systems are solved directly.
_DIRECT_STATES = 1000
# The error of a policy's values after iteration, relative to max|r| / (1 - gamma).
_EVALUATION_ERROR = 1e-11
# The largest number of sweeps of the iteration for the gain.
GAIN_SWEEPS = 100_000
# The return of so many steps is finite, with rewards of at most LARGEST_REWARD.
_LONGEST_HORIZON = 10**8


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
    chosen = _checked_policy(mdp, policy)
    model = model_of(outcomes_of(mdp, chosen), gamma)
    if mdp.num_states <= _DIRECT_STATES:
        equations = np.eye(mdp.num_states) - _matrix(model.weight, model.next_state)
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


def policy_return(mdp: TabularMDP, policy: npt.ArrayLike, horizon: int) -> float:
    """Return the expected undiscounted return of one episode under a stationary policy.

    Args:
        mdp: The process.
        policy: (S,) actions, or (S, A) probabilities of the actions.
        horizon: The number of steps after which an episode is truncated, from 0 to 100 million.
            The computing time is proportional to it.

    Raises:
        ValueError: The policy does not fit the process, or `horizon` is not allowed.

    Source: Puterman 1994, section 4.2.
    """
    model = model_of(outcomes_of(mdp, _checked_policy(mdp, policy)), 1.0)
    v: RealArray = np.zeros(mdp.num_states)
    for _ in range(integer("horizon", horizon, 0, _LONGEST_HORIZON + 1)):
        v = backup(model, v)
    return float(mdp.initial @ v)


def optimal_return(mdp: TabularMDP, horizon: int) -> float:
    """Return the largest expected undiscounted return of one episode, by backward induction.

    The optimal policy may depend on the steps left, so its return can be larger than that of every
    stationary policy.

    Args:
        mdp: The process.
        horizon: The number of steps after which an episode is truncated, from 0 to 100 million.
            The computing time is proportional to it.

    Raises:
        ValueError: `horizon` is not allowed.

    Source: Puterman 1994, section 4.5.
    """
    model = model_of(outcomes_of(mdp, None), 1.0)
    v: RealArray = np.zeros(mdp.num_states)
    for _ in range(integer("horizon", horizon, 0, _LONGEST_HORIZON + 1)):
        v = backup(model, v).max(axis=0)
    return float(mdp.initial @ v)


def average_reward(mdp: TabularMDP, policy: npt.ArrayLike) -> float:
    """Return the gain, the long-run reward per step: the limit of `policy_return(T) / T`.

    After a terminated outcome the reward is 0 in all further steps.

    Args:
        mdp: The process.
        policy: (S,) actions, or (S, A) probabilities of the actions.

    Returns:
        The gain from the start distribution. Up to 1,000 states, it is computed directly for
        Markov chains with any classes and periods, with the rounding error only. With more states,
        it is found by iteration, with an error of at most 1e-11 max|r| plus the rounding error.

    Raises:
        ValueError: The policy does not fit the process.
        RuntimeError: There are more than 1,000 states, and the iteration does not converge: the
            gain depends on the start state, or the Markov chain mixes too slowly.

    Source: Grassmann, Taksar, Heyman 1985 (elimination without subtraction); Puterman 1994,
        section 8.5 (iteration and its bounds).
    """
    chosen = _checked_policy(mdp, policy)
    if mdp.num_states <= _DIRECT_STATES:
        return _direct_gain(mdp, chosen)
    model = model_of(_endless(outcomes_of(mdp, chosen)), 1.0)
    # The factor 0.9 does not change the gain, and makes a periodic chain converge.
    v = np.zeros(model.reward.shape)
    for _ in range(GAIN_SWEEPS):
        change = backup(model, v) - v
        low, high = float(change.min()), float(change.max())
        if high - low <= 2e-11 * model.scale:
            return (low + high) / 2
        v += 0.9 * change
        v -= v[0]
    raise RuntimeError(
        f"the gain lies in [{low:g}, {high:g}] after {GAIN_SWEEPS} sweeps: it depends on the start "
        "state, or the policy's Markov chain mixes too slowly"
    )


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


def _direct_gain(mdp: TabularMDP, policy: npt.NDArray[Any]) -> float:
    """Return the gain from the start distribution by `_gains`.

    If a state is left with a very small probability, the time spent there may overflow. Then long
    doubles are used, if the machine has them.
    """
    with np.errstate(over="raise", under="raise", invalid="raise"):
        try:
            return float(mdp.initial @ _gains(outcomes_of(mdp, policy)))
        except FloatingPointError:
            pass
    with np.errstate(over="raise", under="ignore", invalid="raise"):
        try:
            return float(mdp.initial @ _gains(outcomes_of(mdp, policy, np.longdouble)))
        except FloatingPointError:
            raise ValueError(
                "mdp must not have probabilities so close to 0 that the time spent in a state "
                "overflows"
            ) from None


def _gains(outcomes: Outcomes) -> RealArray:
    """Return the gain from every state, (S,), by eliminating the states one after the other.

    To eliminate a state, transitions to it are replaced by transitions to the states that follow
    it, and the reward and the time spent there are added to them. If a state is never left, its
    gain is the reward between two visits divided by the time between them.
    """
    probability, reward, next_state, terminated = outcomes
    states = reward.shape[-1]
    ends = (probability * terminated).sum(axis=0)
    # (S, 4 + S): the reward and the time of a visit, the probability that it leads to none of the
    # remaining states, this probability times the gain from there, and the probabilities of the
    # remaining states.
    visit = np.stack([(probability * reward).sum(axis=0), np.ones(states), ends, np.zeros(states)])
    table = np.hstack([visit.T, _matrix(probability * ~terminated, next_state)])
    leaving, gain = (np.empty(states, ends.dtype) for _ in range(2))
    for s in reversed(range(states)):
        before, to_s = table[:s, : s + 4], table[:s, s + 4]
        leaving[s] = table[s, 2] + table[s, 4 : s + 4].sum()
        if leaving[s] > 0:
            before += np.outer(to_s / leaving[s], table[s, : s + 4])
        else:
            gain[s] = table[s, 0] / table[s, 1]
            before[:, 2] += to_s
            before[:, 3] += to_s * gain[s]
    for s in range(states):
        if leaving[s] > 0:
            gain[s] = (table[s, 3] + table[s, 4 : s + 4] @ gain[:s]) / leaving[s]
    return gain


def _endless(outcomes: Outcomes) -> Outcomes:
    """Return the outcomes with the end of an episode as one more state, with rewards of 0."""
    probability, reward, next_state, terminated = outcomes
    if not (probability * terminated).any():
        return outcomes
    states = reward.shape[-1]
    one_more = ((0, 0), (0, 1))
    next_state = np.pad(np.where(terminated, states, next_state), one_more, constant_values=states)
    probability = np.pad(probability, one_more)
    probability[0, -1] = 1.0
    reward = np.pad(reward, one_more)
    return Outcomes(probability, reward, next_state, np.zeros(reward.shape, dtype=np.bool_))


def _matrix(weight: RealArray, next_state: IntArray) -> RealArray:
    """Return the weights as a dense matrix, (S, S)."""
    outcomes, states = weight.shape
    matrix = np.zeros((states, states), weight.dtype)
    np.add.at(matrix, (np.tile(np.arange(states), (outcomes, 1)), next_state), weight)
    return matrix


def _discount(gamma: float) -> float:
    return real("gamma", gamma, 0, 1, open_high=True)


def _checked_policy(mdp: TabularMDP, policy: npt.ArrayLike) -> npt.NDArray[Any]:
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
