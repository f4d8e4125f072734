"""Exact values, returns and average rewards of policies on an outcome table.

The memory needed is that of a few arrays of the table's size; processes of more than 1,000 states
need no S x S matrix, except for the bias. The value of a terminated outcome is its reward alone.

Results are finite or an error is raised: rewards lie in [-1e300, 1e300], a horizon is at most 100
million steps, and a gamma that makes the values too large is refused.
"""

from nchain_env.planning.average import (
    average_reward,
    bias,
    optimal_bias,
    optimal_gain,
)
from nchain_env.planning.discounted import (
    evaluate_policy,
    gaps,
    policy_iteration,
    value_iteration,
)
from nchain_env.planning.episodic import optimal_return, policy_return
from nchain_env.planning.reaching import diameter
from nchain_env.planning.restarting import restarting

__all__ = [
    "average_reward",
    "bias",
    "diameter",
    "evaluate_policy",
    "gaps",
    "optimal_bias",
    "optimal_gain",
    "optimal_return",
    "policy_iteration",
    "policy_return",
    "restarting",
    "value_iteration",
]
