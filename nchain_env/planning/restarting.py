"""Episodes that follow each other at once, as one process without an end."""

from __future__ import annotations

import numpy as np

from nchain_env.bellman import check_table
from nchain_env.checks import fits
from nchain_env.mdp import TabularMDP

# The bytes of an outcome: its state, probability, reward and end.
_OUTCOME = 25


def restarting(mdp: TabularMDP) -> TabularMDP:
    """Return the process in which an episode that terminates is followed by the next one at once.

    A terminated outcome leads to a start state. A learner sees this process, except that its
    episodes may also be truncated. Its gain (`optimal_gain`, `average_reward`) is the largest
    reward per step over many episodes.

    Args:
        mdp: The process.

    Returns:
        A process without terminated outcomes; `mdp` itself if it has none. Each outcome becomes one
        for each start state.

    Raises:
        ValueError: There are so many start states that the outcomes do not fit in memory.
    """
    check_table(mdp)
    ends = mdp.terminated & (mdp.probability > 0)
    if not ends.any():
        return mdp
    starts = np.flatnonzero(mdp.initial)
    fits("mdp", f"{len(starts)} start states", _OUTCOME * ends.size * len(starts))
    shape = (*ends.shape[:2], -1)
    # what goes on leads to where it led, in the first place of its row
    first = np.arange(len(starts)) == 0
    over = ends[..., None]
    where_to = np.where(over, starts, mdp.next_state[..., None])
    share = np.where(over, mdp.initial[starts], first)
    return TabularMDP(
        next_state=where_to.reshape(shape),
        probability=(mdp.probability[..., None] * share).reshape(shape),
        reward=np.repeat(mdp.reward, len(starts), axis=2),
        terminated=np.zeros(where_to.size, dtype=np.bool_).reshape(shape),
        initial=mdp.initial,
    )
