"""The rule of the game, the only place it is written."""

from __future__ import annotations

import numpy as np

from nchain_env.checks import real, size
from nchain_env.mdp import LARGEST_REWARD, TabularMDP

FORWARD, BACKWARD = 0, 1

_BYTES_PER_STATE = 200  # four outcomes of 25 bytes, and what making them takes


def chain_mdp(n: int = 5, slip: float = 0.2, small: float = 2.0, large: float = 10.0) -> TabularMDP:
    """The chain as a table of outcomes of shape (n, 2, 2).

    With probability `slip` the opposite of the chosen action is executed, and what is executed
    decides both the move and the reward: forward (0) goes one state up for nothing, and at the
    last state stays there for `large`; backward (1) goes to state 0 for `small`. Outcome 0 is the
    slip, outcome 1 the chosen action. Nothing terminates; episodes start in state 0.

    Args:
        n: The number of states, at least 1.
        slip: The probability of a slip, in [0, 1].
        small: The reward for going back, at most 1e300 in size.
        large: The reward for going forward at the last state, likewise.

    Raises:
        ValueError: A parameter is outside its range.

    Source: Strens 2000, A Bayesian Framework for Reinforcement Learning, section 6.1 (ICML).
    """
    n = size("n", n, _BYTES_PER_STATE)
    slip = real("slip", slip, 0, 1)
    small = real("small", small, -LARGEST_REWARD, LARGEST_REWARD)
    large = real("large", large, -LARGEST_REWARD, LARGEST_REWARD)

    states = np.arange(n)
    last = n - 1
    executed_next = np.stack([np.minimum(states + 1, last), np.zeros_like(states)], axis=1)
    executed_reward = np.stack([np.where(states == last, large, 0.0), np.full(n, small)], axis=1)
    # [A, K]: what is executed when `action` is chosen and slips (first) or does not (second)
    executed = np.array([[BACKWARD, FORWARD], [FORWARD, BACKWARD]])
    shape = (n, 2, 2)
    return TabularMDP(
        next_state=executed_next[:, executed],
        probability=np.broadcast_to(np.array([slip, 1 - slip]), shape),
        reward=executed_reward[:, executed],
        terminated=np.zeros(shape, dtype=np.bool_),
        initial=(states == 0).astype(np.float64),
    )
