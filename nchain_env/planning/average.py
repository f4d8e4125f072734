"""The long run without discounting: gain and bias.

After a terminated outcome the reward is 0 in all further steps, as if the episode ended in a state
of its own that is never left.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nchain_env.bellman import (
    Model,
    Outcomes,
    RealArray,
    backup,
    check_table,
    checked_policy,
    model_of,
    outcomes_of,
)
from nchain_env.mdp import FloatArray, IntArray, TabularMDP
from nchain_env.planning.elimination import (
    DIRECT_STATES,
    EQUAL,
    Dtype,
    Eliminated,
    doubles,
    eliminate,
    few_enough,
    gains_of,
    totals,
    visits_of,
    with_enough_range,
)

# The largest number of states for the bias, which takes a dense table of the states.
_BIAS_STATES = 3000
# A state is seldom visited if another one of its class is visited so many times as often.
_SELDOM = 10
# The largest number of sweeps of the iteration for the gain.
GAIN_SWEEPS = 100_000


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
    if mdp.num_states > DIRECT_STATES:
        return _iterated_gain(outcomes_of(mdp, chosen))

    def gain(dtype: Dtype) -> float:
        outcomes = outcomes_of(mdp, chosen, dtype)
        return float(mdp.initial @ gains_of(eliminate(outcomes), _expected_reward(outcomes)))

    return with_enough_range(gain)


def optimal_gain(mdp: TabularMDP) -> float:
    """Return the largest long-run reward per step of all policies, from the start distribution.

    After a terminated outcome the reward is 0 in all further steps. Where all episodes end, the
    gain is therefore 0, and `optimal_bias` has the optimal returns.

    Args:
        mdp: The process. It may be multichain: the optimal gain may depend on the start state.

    Returns:
        The gain. Up to 1,000 states, it is that of the policy which policy iteration ends with,
        with the rounding error only: no policy has a larger one, except by actions that are better
        by less than 1e-12 (max|r| + max|h|) or by less than the error of the bias h. With more
        states, the gain is found by value iteration, with an error of at most 1e-11 max|r| plus
        the rounding error.

    Raises:
        ValueError: A probability is so close to 0 that the time spent in a state overflows.
        RuntimeError: There are more than 1,000 states, and the iteration does not converge: the
            gain depends on the start state, or the Markov chains mix too slowly.

    Source: Puterman 1994, sections 9.2 (policy iteration) and 8.5 (value iteration).
    """
    check_table(mdp)
    if mdp.num_states > DIRECT_STATES:
        return _iterated_gain(outcomes_of(mdp, None))
    return with_enough_range(lambda dtype: float(mdp.initial @ _optimal(mdp, dtype).gain))


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
    few_enough(mdp, _BIAS_STATES, "bias")
    return with_enough_range(lambda dtype: doubles(_evaluated(mdp, chosen, dtype).bias))


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
    few_enough(mdp, _BIAS_STATES, "bias")
    return with_enough_range(lambda dtype: doubles(_optimal(mdp, dtype).bias))


class _Evaluation(NamedTuple):
    """The terms of a policy's discounted values for gamma near 1, (S,) each.

    With gamma = 1 / (1 + rho), they are gain / rho + bias + rho second + ..., times 1 + rho.
    """

    gain: RealArray
    bias: RealArray
    second: RealArray


def _bias(chain: Eliminated, excess: RealArray) -> RealArray:
    """Return the bias of rewards whose gain is 0 in every state."""
    relative = totals(chain, excess)
    return np.asarray(relative - gains_of(chain, relative))


def _evaluated(mdp: TabularMDP, policy: npt.NDArray[Any], dtype: Dtype) -> _Evaluation:
    outcomes = outcomes_of(mdp, policy, dtype)
    chain = eliminate(outcomes)
    order = np.arange(mdp.num_states)
    visits = visits_of(chain)
    if visits.max() > _SELDOM:
        # The rounding error of reward - gain adds up until a class's first state is reached, which
        # should therefore be one that is often visited.
        order = np.argsort(-visits, kind="stable")
        outcomes = Outcomes(
            outcomes.probability[:, order],
            outcomes.reward[:, order],
            np.argsort(order)[outcomes.next_state[:, order]],
            outcomes.terminated[:, order],
        )
        chain = eliminate(outcomes)
    rewards = _expected_reward(outcomes)
    gain = gains_of(chain, rewards)
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
        if (value.gain < before.gain - EQUAL * model.scale).any():  # by a rounding error
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
    size: Any = model.scale
    equal = np.ones(model.reward.shape, np.bool_)
    for term in (*terms, backup(no_reward, value.second)):
        size = max(size, np.abs(term).max())
        best = np.where(equal, term, -np.inf).max(axis=0)
        equal &= term >= best - EQUAL * size
    states = np.arange(len(policy))
    return np.where(equal[policy, states], policy, equal.argmax(axis=0))


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


def _expected_reward(outcomes: Outcomes) -> RealArray:
    return np.asarray((outcomes.probability * outcomes.reward).sum(axis=0))


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
