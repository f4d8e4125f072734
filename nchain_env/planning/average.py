"""The long run without discounting: gain."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nchain_env.bellman import (
    Outcomes,
    RealArray,
    backup,
    checked_policy,
    matrix,
    model_of,
    outcomes_of,
)
from nchain_env.mdp import TabularMDP

# The largest number of states for which the states are eliminated one after the other.
_DIRECT_STATES = 1000
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
    table = np.hstack([visit.T, matrix(probability * ~terminated, next_state)])
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
