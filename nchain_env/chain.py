"""The rule of the chain, as a table of outcomes."""

from __future__ import annotations

import numpy as np

from nchain_env.checks import real, size
from nchain_env.mdp import LARGEST_REWARD, TabularMDP

FORWARD, BACKWARD = 0, 1

_BYTES_PER_STATE = 200  # four outcomes of 25 bytes, and the arrays used to make them


def chain_mdp(n: int = 5, slip: float = 0.2, small: float = 2.0, large: float = 10.0) -> TabularMDP:
    """Return the chain as a table of outcomes of shape (n, 2, 2).

    With probability `slip` the opposite of the chosen action is executed. The executed action
    determines the next state and the reward. Forward (0) goes one state up with reward 0; in the
    last state it stays there with reward `large`. Backward (1) goes to state 0 with reward
    `small`. Outcome 0 is the slip, outcome 1 the chosen action. Episodes start in state 0 and
    never terminate.

    Args:
        n: The number of states, at least 1.
        slip: The probability of a slip, in [0, 1].
        small: The reward of going backward, in [-1e300, 1e300].
        large: The reward of going forward in the last state, in [-1e300, 1e300].

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
    # (A, K): the executed action for each chosen one, after a slip (first) and without (second)
    executed = np.array([[BACKWARD, FORWARD], [FORWARD, BACKWARD]])
    shape = (n, 2, 2)
    return TabularMDP(
        next_state=executed_next[:, executed],
        probability=np.broadcast_to(np.array([slip, 1 - slip]), shape),
        reward=executed_reward[:, executed],
        terminated=np.zeros(shape, dtype=np.bool_),
        initial=(states == 0).astype(np.float64),
    )
