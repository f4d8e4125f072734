"""Random processes, for tests and benchmarks."""

from __future__ import annotations

import numpy as np

from nchain_env.checks import fits, integer, real
from nchain_env.mdp import TabularMDP


def random_mdp(
    num_states: int = 10,
    num_actions: int = 2,
    outcomes: int = 3,
    seed: int = 0,
    *,
    termination: float = 0.0,
) -> TabularMDP:
    """Return a random process as a table of outcomes of shape (num_states, num_actions, outcomes).

    Independently for every state and action, the next states are drawn uniformly without
    replacement, and their probabilities from the Dirichlet distribution whose parameters are all
    1, the uniform distribution on the simplex. Each outcome's reward is normal with mean 0 and
    variance 1, and it terminates with probability `termination`. The start state is uniformly
    distributed. Without termination, it is a Garnet problem with a reward for each outcome.

    Args:
        num_states: The number of states, at least 1.
        num_actions: The number of actions, at least 1.
        outcomes: The number of outcomes of a state and action, in [1, num_states].
        seed: The same seed gives the same process; at least 0.
        termination: The probability that an outcome terminates the episode, in [0, 1].

    Raises:
        ValueError: A parameter is outside its range.

    Source: Bhatnagar, Sutton, Ghavamzadeh & Lee 2009, Natural actor-critic algorithms, section 6
        (Garnet; Automatica 45).
    """
    num_states = integer("num_states", num_states, 1)
    num_actions = integer("num_actions", num_actions, 1)
    outcomes = integer("outcomes", outcomes, 1, num_states + 1)
    rng = np.random.default_rng(integer("seed", seed, 0))
    termination = real("termination", termination, 0, 1)
    shape = (num_states, num_actions, outcomes)
    fits("num_states", num_states, num_states * num_actions * outcomes * 75)

    rows = num_states * num_actions
    drawn = [rng.choice(num_states, outcomes, replace=False) for _ in range(rows)]
    return TabularMDP(
        next_state=np.reshape(drawn, shape),
        probability=rng.dirichlet(np.ones(outcomes), size=shape[:2]),
        reward=rng.normal(size=shape),
        terminated=rng.random(shape) < termination,
        initial=np.full(num_states, 1 / num_states),
    )
