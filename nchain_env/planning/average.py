"""The long run without discounting: gain, bias and diameter.

After a terminated outcome the reward is 0 in all further steps, as if the episode ended in a state
of its own that is never left.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from nchain_env.bellman import (
    Model,
    Outcomes,
    RealArray,
    backup,
    check_table,
    checked_policy,
    matrix,
    model_of,
    outcomes_of,
)
from nchain_env.mdp import BoolArray, FloatArray, IntArray, TabularMDP

# The largest number of states for which the states are eliminated one after the other: for the
# gain, which is iterated for more states, and the diameter; and for the bias.
_DIRECT_STATES = 1000
_BIAS_STATES = 3000
# The largest number of sweeps of the iteration for the gain.
GAIN_SWEEPS = 100_000
# Two values are taken to be equal if they differ by this part of the largest one.
_EQUAL = 1e-12
# A state is seldom visited if another one of its class is visited so many times as often.
_SELDOM = 10

Dtype = type[np.floating[Any]]
T = TypeVar("T")


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
    chosen = checked_policy(mdp, policy)
    if mdp.num_states > _DIRECT_STATES:
        return _iterated_gain(outcomes_of(mdp, chosen))

    def gain(dtype: Dtype) -> float:
        outcomes = outcomes_of(mdp, chosen, dtype)
        return float(mdp.initial @ _gains(_eliminate(outcomes), _expected_reward(outcomes)))

    return _with_enough_range(gain)


def optimal_gain(mdp: TabularMDP) -> float:
    """Return the largest long-run reward per step of all policies, from the start distribution.

    After a terminated outcome the reward is 0 in all further steps. Where all episodes end, the
    gain is therefore 0, and `optimal_bias` has the optimal returns.

    Args:
        mdp: The process. It may be multichain: the optimal gain may depend on the start state.

    Returns:
        The gain. Up to 1,000 states, it is that of a policy found by policy iteration, with the
        rounding error only. Let h be this policy's bias. In no state does another action have a
        larger expected gain or, with the same expected gain, a larger sum of reward and next bias,
        by more than 1e-12 (max|r| + max|h|). With more states, the gain is found by value
        iteration, with an error of at most 1e-11 max|r| plus the rounding error.

    Raises:
        ValueError: A probability is so close to 0 that the time spent in a state overflows.
        RuntimeError: There are more than 1,000 states, and the iteration does not converge: the
            gain depends on the start state, or the Markov chains mix too slowly.

    Source: Puterman 1994, sections 9.2 (policy iteration) and 8.5 (value iteration).
    """
    check_table(mdp)
    if mdp.num_states > _DIRECT_STATES:
        return _iterated_gain(outcomes_of(mdp, None))
    return _with_enough_range(lambda dtype: float(mdp.initial @ _optimal(mdp, dtype).gain))


def bias(mdp: TabularMDP, policy: npt.ArrayLike) -> FloatArray:
    """Return the bias of a policy: the rewards of all steps in excess of the gain.

    The bias h and the gain g of the states solve h = r - g + P h. Of the solutions, the bias is the
    one with P* h = 0, the mean in the long run: in each recurrent class, its mean under the
    stationary distribution is 0. After a terminated outcome there are no more rewards. If all
    episodes end, the bias is therefore the expected return without a limit of steps.

    Args:
        mdp: The process, of at most 3,000 states.
        policy: (S,) actions, or (S, A) probabilities of the actions.

    Returns:
        h of shape (S,), for Markov chains with any classes and periods. The error is that of
        rounding, of about 1e-15 max|r| for each step of the time to the most visited state.

    Raises:
        ValueError: The policy does not fit the process, there are too many states, or a
            probability is so close to 0 that the time spent in a state overflows.

    Source: Puterman 1994, section 8.2.3.
    """
    chosen = checked_policy(mdp, policy)
    _few_enough(mdp, _BIAS_STATES, "bias")
    return _with_enough_range(lambda dtype: _doubles(_evaluated(mdp, chosen, dtype).bias))


def optimal_bias(mdp: TabularMDP) -> FloatArray:
    """Return the largest bias of all policies that have the optimal gain in every state.

    It is what an optimal start in a state is worth, in comparison with the gain: the difference
    between two states is the difference of their expected rewards in the long run. Its range, the
    span, measures how much a state can matter. If all episodes end, it is the optimal expected
    return without a limit of steps.

    Args:
        mdp: The process, of at most 3,000 states.

    Returns:
        h of shape (S,), normalised as in `bias` and with its error: it is the bias of one policy,
        which is optimal in all states. Gains, values and their second-order terms that differ by
        less than 1e-12 of the largest are taken to be equal.

    Raises:
        ValueError: There are too many states, or a probability is so close to 0 that the time spent
            in a state overflows.

    Source: Veinott 1966; Puterman 1994, sections 10.2 and 10.3 (policy iteration for n = 0).
    """
    check_table(mdp)
    _few_enough(mdp, _BIAS_STATES, "bias")
    return _with_enough_range(lambda dtype: _doubles(_optimal(mdp, dtype).bias))


def diameter(mdp: TabularMDP) -> float:
    """Return the diameter: the most steps that it takes to get from one state to another.

    That is the largest expected number of steps over all pairs of states, each with the policy that
    makes it smallest. It is infinite if a state cannot be reached with certainty from another one,
    as where all actions of a state may terminate, and 0 with one state.

    Args:
        mdp: The process. With more than 1,000 states, it must be one in which all actions of a
            state may terminate. The computing time grows with the number of states to the power of
            three to four: seconds for 100 to 200 states.

    Returns:
        The diameter D, with a relative error of at most 1e-12 D plus the rounding error.

    Raises:
        ValueError: There are more than 1,000 states, or a probability is so close to 0 that the
            time spent in a state overflows.

    Source: Jaksch, Ortner & Auer 2010, Near-optimal Regret Bounds for Reinforcement Learning,
        definition 1 (JMLR 11).
    """
    check_table(mdp)
    if mdp.num_states == 1:
        return 0.0
    outcomes = outcomes_of(mdp, None)
    # A policy that may terminate before it reaches a state does not reach it with certainty.
    safe = (outcomes.probability * outcomes.terminated).sum(axis=0) == 0
    if not safe.any(axis=0).all():
        return math.inf
    _few_enough(mdp, _DIRECT_STATES, "diameter")
    leads = (outcomes.probability > 0) & safe
    approaches = [_approach(leads, outcomes.next_state, s) for s in range(mdp.num_states)]
    if any(approach is None for approach in approaches):
        return math.inf

    def longest(dtype: Dtype) -> float:
        return max(
            _shortest_time(mdp, safe, policy, target, dtype)
            for target, policy in enumerate(approaches)
            if policy is not None
        )

    return _with_enough_range(longest)


class _Eliminated(NamedTuple):
    """A Markov chain after the elimination of its states, from the last one to the first.

    table: (S, 2 + S): when a state s is eliminated, the time spent from a visit of s to the next
        visit of a state up to s, the probability of ending in it, and the probabilities that it
        leads to the states up to s. The entries of the states after s belong to their elimination.
    leaving: (S,) the probability of leaving a state when it is eliminated. It is 0 in one state of
        each recurrent class, the first one.
    """

    table: RealArray
    leaving: RealArray


class _Evaluation(NamedTuple):
    """The terms of a policy's discounted values for gamma near 1, (S,) each.

    With gamma = 1 / (1 + rho), they are gain / rho + bias + rho second + ..., times 1 + rho.
    """

    gain: RealArray
    bias: RealArray
    second: RealArray


def _eliminate(outcomes: Outcomes) -> _Eliminated:
    """Eliminate the states of a Markov chain, (J, S), one after the other.

    To eliminate a state, transitions to it are replaced by transitions to the states that follow
    it, and the time spent there is added to theirs. There are no subtractions, so that all
    probabilities keep their relative precision.
    """
    probability, _, next_state, terminated = outcomes
    states = next_state.shape[-1]
    ends = (probability * terminated).sum(axis=0)
    visit = np.stack([np.ones(states, ends.dtype), ends], axis=1)
    table = np.hstack([visit, matrix(probability * ~terminated, next_state)])
    leaving = np.empty(states, ends.dtype)
    for s in reversed(range(states)):
        to_s = table[:s, s + 2]
        leaving[s] = table[s, 1] + table[s, 2 : s + 2].sum()
        rows = np.flatnonzero(to_s)
        if leaving[s] == 0:
            table[:s, 1] += to_s
        elif 4 * len(rows) < s:
            table[rows, : s + 2] += np.outer(to_s[rows] / leaving[s], table[s, : s + 2])
        else:
            table[:s, : s + 2] += np.outer(to_s / leaving[s], table[s, : s + 2])
    return _Eliminated(table, leaving)


def _gains(chain: _Eliminated, reward: RealArray) -> RealArray:
    """Return the gain from every state, (S,), for the expected rewards of the states, (S,).

    In a state that is never left, it is the reward between two visits divided by the time between
    them.
    """
    table, leaving = chain
    total, later, gain = reward.copy(), np.zeros_like(reward), np.empty_like(reward)
    for s in reversed(range(len(reward))):
        to_s = table[:s, s + 2]
        if leaving[s] > 0:
            total[:s] += to_s / leaving[s] * total[s]
            later[:s] += to_s / leaving[s] * later[s]
        else:
            gain[s] = total[s] / table[s, 0]
            later[:s] += to_s * gain[s]
    for s in range(len(reward)):
        if leaving[s] > 0:
            gain[s] = (later[s] + table[s, 2 : s + 2] @ gain[:s]) / leaving[s]
    return gain


def _totals(chain: _Eliminated, reward: RealArray) -> RealArray:
    """Return the total reward, (S,), until a state that is never left or the end is reached."""
    table, leaving = chain
    total, value = reward.copy(), np.zeros_like(reward)
    for s in reversed(range(len(reward))):
        if leaving[s] > 0:
            total[:s] += table[:s, s + 2] / leaving[s] * total[s]
    for s in range(len(reward)):
        if leaving[s] > 0:
            value[s] = (total[s] + table[s, 2 : s + 2] @ value[:s]) / leaving[s]
    return value


def _bias(chain: _Eliminated, excess: RealArray) -> RealArray:
    """Return the bias of rewards whose gain is 0 in every state."""
    relative = _totals(chain, excess)
    return np.asarray(relative - _gains(chain, relative))


def _visits(chain: _Eliminated) -> RealArray:
    """Return the visits of each state per visit of its class's first one, (S,); 0 if transient."""
    table, leaving = chain
    visits = (leaving == 0).astype(table.dtype)
    for s in np.flatnonzero(leaving):
        visits[s] = visits[:s] @ table[:s, s + 2] / leaving[s]
    return visits


def _evaluated(mdp: TabularMDP, policy: npt.NDArray[Any], dtype: Dtype) -> _Evaluation:
    outcomes = outcomes_of(mdp, policy, dtype)
    chain = _eliminate(outcomes)
    order = np.arange(mdp.num_states)
    visits = _visits(chain)
    if visits.max() > _SELDOM:
        # The rounding error of reward - gain adds up until a class's first state is reached, which
        # should therefore be one that is often visited.
        order = np.argsort(-visits, kind="stable")
        probability, reward, next_state, terminated = (array[:, order] for array in outcomes)
        next_state = np.argsort(order)[next_state]
        outcomes = Outcomes(probability, reward, next_state, terminated)
        chain = _eliminate(outcomes)
    rewards = _expected_reward(outcomes)
    gain = _gains(chain, rewards)
    relative = _bias(chain, rewards - gain)
    ordered = np.argsort(order)
    return _Evaluation(gain[ordered], relative[ordered], _bias(chain, -relative)[ordered])


def _optimal(mdp: TabularMDP, dtype: Dtype) -> _Evaluation:
    """Return the gain, the bias and the second-order term of a bias-optimal policy."""
    model = model_of(outcomes_of(mdp, None), 1.0)
    policy = _far_sighted(model)
    value = _evaluated(mdp, policy, dtype)
    seen = {hash(policy.tobytes())}
    while True:
        policy = _improved(model, value, policy)
        if hash(policy.tobytes()) in seen:  # the last one, unless rounding errors alternate
            return value
        seen.add(hash(policy.tobytes()))
        before, value = value, _evaluated(mdp, policy, dtype)
        if (value.gain < before.gain - _EQUAL * model.scale).any():  # by a rounding error
            return before


def _far_sighted(model: Model) -> IntArray:
    """Return the best policy for the first of many steps: a good start of policy iteration.

    On a long chain each iteration improves one state, and costs much more than a hundred sweeps.
    """
    v: RealArray = np.zeros(model.reward.shape[-1])
    policy = np.full(len(v), -1)
    for _ in range(2 + len(v) // 10):
        for _ in range(100):
            q = backup(model, v)
            v = q.max(axis=0)
        before, policy = policy, q.argmax(axis=0)
        if (policy == before).all():
            break
    return policy


def _improved(model: Model, value: _Evaluation, policy: IntArray) -> IntArray:
    """Return the policy, changed where an action is better.

    The better action has the larger next gain; of equal ones, the larger sum of reward and next
    bias; of equal ones, the larger next second-order term.
    """
    no_reward = model._replace(reward=np.zeros_like(model.reward))
    terms = (backup(no_reward, value.gain), backup(model, value.bias))
    size = model.scale
    equal = np.ones(model.reward.shape, np.bool_)
    for term in (*terms, backup(no_reward, value.second)):
        size = max(size, float(np.abs(term).max()))
        best = np.where(equal, term, -np.inf).max(axis=0)
        equal &= term >= best - _EQUAL * size
    states = np.arange(len(policy))
    return np.where(equal[policy, states], policy, equal.argmax(axis=0))


def _approach(leads: BoolArray, next_state: IntArray, target: int) -> IntArray | None:
    """Return a policy that reaches `target` with certainty from all states, or None.

    Args:
        leads: (K, A, S) whether an outcome is possible, of an action that does not terminate.
        next_state: (K, A, S).
        target: The state to reach.
    """
    states = next_state.shape[-1]
    steps = np.full(states, states)  # the smallest number of steps, of which there may be more
    steps[target] = 0
    while True:
        nearest = np.where(leads, steps[next_state], states).min(axis=0)
        fewer = np.minimum(steps, nearest.min(axis=0) + 1)
        if (fewer == steps).all():
            return nearest.argmin(axis=0) if steps.max() < states else None
        steps = fewer


def _shortest_time(
    mdp: TabularMDP, safe: BoolArray, policy: IntArray, target: int, dtype: Dtype
) -> float:
    """Return the largest expected time to `target` over all states, by policy iteration.

    Args:
        mdp: The process.
        safe: (A, S) whether an action does not terminate.
        policy: A policy that reaches `target` with certainty.
        target: The state to reach.
        dtype: Doubles or long doubles.
    """
    model = model_of(outcomes_of(mdp, None, dtype), 1.0)
    model = model._replace(reward=np.where(safe, 1.0, np.inf))

    def shorter(time: RealArray) -> RealArray:
        times = backup(model, time)
        times[:, target] = 0
        return times

    while True:
        outcomes = outcomes_of(mdp, policy, dtype)
        terminated = outcomes.terminated.copy()
        terminated[:, target] = True
        one = np.ones(mdp.num_states, dtype)
        one[target] = 0
        time = _totals(_eliminate(outcomes._replace(terminated=terminated)), one)
        times = shorter(time)
        if (time - times.min(axis=0)).max() <= _EQUAL * time.max():
            return float(_doubles(time).max())
        # Times of a policy only become shorter, so the actions chosen reach the target, too.
        for _ in range(10):
            times = shorter(times.min(axis=0))
        policy = times.argmin(axis=0)


def _iterated_gain(outcomes: Outcomes) -> float:
    """Return the gain of a policy, or the optimal one, by value iteration with bounds."""
    model = model_of(_endless(outcomes), 1.0)
    # The factor 0.9 does not change the gain, and makes a periodic chain converge.
    v = np.zeros(model.reward.shape[-1])
    for _ in range(GAIN_SWEEPS):
        values = backup(model, v)
        change = (values.max(axis=0) if values.ndim == 2 else values) - v
        low, high = float(change.min()), float(change.max())
        if high - low <= 2e-11 * model.scale:
            return (low + high) / 2
        v += 0.9 * change
        v -= v[0]
    raise RuntimeError(
        f"the gain lies in [{low:g}, {high:g}] after {GAIN_SWEEPS} sweeps: it depends on the start "
        "state, or the policy's Markov chain mixes too slowly"
    )


def _with_enough_range(solve: Callable[[Dtype], T]) -> T:
    """Return `solve(dtype)` for doubles, or long doubles if these do not suffice.

    If a state is left with a very small probability, the time spent there may overflow. Then long
    doubles are used, if the machine has them.
    """
    with np.errstate(over="raise", under="raise", invalid="raise"):
        try:
            return solve(np.float64)
        except FloatingPointError:
            pass
    with np.errstate(over="raise", under="ignore", invalid="raise"):
        try:
            return solve(np.longdouble)
        except FloatingPointError:
            raise ValueError(
                "mdp must not have probabilities so close to 0 that the time spent in a state "
                "overflows"
            ) from None


def _few_enough(mdp: TabularMDP, states: int, what: str) -> None:
    if mdp.num_states > states:
        raise ValueError(
            f"mdp must have at most {states:,} states for its {what}, got {mdp.num_states:,}"
        )


def _expected_reward(outcomes: Outcomes) -> RealArray:
    return np.asarray((outcomes.probability * outcomes.reward).sum(axis=0))


def _doubles(values: RealArray) -> FloatArray:
    return values.astype(np.float64)  # overflow raises


def _endless(outcomes: Outcomes) -> Outcomes:
    """Return the outcomes with the end of an episode as one more state, with rewards of 0."""
    probability, reward, next_state, terminated = outcomes
    if not (probability * terminated).any():
        return outcomes
    states = reward.shape[-1]
    one_more = [(0, 0)] * (reward.ndim - 1) + [(0, 1)]
    next_state = np.pad(np.where(terminated, states, next_state), one_more, constant_values=states)
    probability = np.pad(probability, one_more)
    probability[0, ..., -1] = 1.0
    reward = np.pad(reward, one_more)
    return Outcomes(probability, reward, next_state, np.zeros(reward.shape, dtype=np.bool_))
