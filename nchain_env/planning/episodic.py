"""Undiscounted returns of episodes of a limited length."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nchain_env.bellman import RealArray, backup, checked_policy, model_of, outcomes_of
from nchain_env.checks import integer
from nchain_env.mdp import TabularMDP

# The return of so many steps is finite, with rewards of at most LARGEST_REWARD.
_LONGEST_HORIZON = 10**8


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
    model = model_of(outcomes_of(mdp, checked_policy(mdp, policy)), 1.0)
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
