"""Large processes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from planning_oracles import (
    Array,
    always,
    always_forward_value,
    backed_up,
    sparse_values,
)

from nchain_env import chain_mdp
from nchain_env.planning import (
    average_reward,
    evaluate_policy,
    optimal_return,
    policy_iteration,
    value_iteration,
)


def chain_certificate(n: int, gamma: float, q: Array) -> float:
    """How far q can be from q* of the default chain, by sparse equations."""
    mdp = chain_mdp(n)
    v = sparse_values(mdp, q.argmax(axis=1), gamma)
    best = backed_up(mdp, v, gamma)
    gap = float((best.max(axis=1) - v).max())
    return float(np.abs(q - best).max()) + gap / (1 - gamma)


class TestSize:
    def test_ten_thousand_states_are_solved_to_the_tolerance(self) -> None:
        assert chain_certificate(10_000, 0.95, value_iteration(chain_mdp(10_000), 0.95)) <= 1.1e-10

    @pytest.mark.slow
    def test_a_hundred_thousand_states_are_solved_to_the_tolerance(self) -> None:
        n = 100_000
        assert chain_certificate(n, 0.95, value_iteration(chain_mdp(n), 0.95)) <= 1.1e-10
        _, q = policy_iteration(chain_mdp(n), 0.95)
        assert chain_certificate(n, 0.95, q) <= 4e-11 * 10 / 0.05**2
        v = evaluate_policy(chain_mdp(n), always(n, 0), 0.95)
        expected = always_forward_value(n, 0.2, 2.0, 10.0, 0.95)
        np.testing.assert_allclose(v, expected, rtol=0, atol=1.01e-11 * 10 / 0.05)

    @pytest.mark.slow
    def test_a_million_states_need_memory_for_a_few_tables(self) -> None:
        n, gamma = 1_000_000, 0.5
        tracemalloc.start()
        mdp = chain_mdp(n)
        table = tracemalloc.get_traced_memory()[1]
        q = value_iteration(mdp, gamma)
        policy, _ = policy_iteration(mdp, gamma)
        v = evaluate_policy(mdp, policy, gamma)
        uniform = evaluate_policy(mdp, np.full((n, 2), 0.5), gamma)
        total = optimal_return(mdp, 3)
        gain = average_reward(mdp, always(n, 1))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert table <= 2**30
        assert peak <= 2**30
        np.testing.assert_allclose(v, q.max(axis=1), rtol=0, atol=1e-9)
        # Far from the end nothing but going back pays: 1.6 a step from state 0.
        assert q[0, 1] == pytest.approx(1.6 / (1 - gamma), abs=1e-10)
        assert q[0, 0] == pytest.approx(0.4 + gamma * 1.6 / (1 - gamma), abs=1e-10)
        assert policy[0] == 1
        assert uniform[0] == pytest.approx(1.0 / (1 - gamma), abs=1e-9)
        assert total == pytest.approx(3 * 1.6)
        assert gain == pytest.approx(1.6, abs=1.1e-10)
