"""The exact answers of the default chain and of toy-text."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from gymnasium.envs.toy_text.taxi import TaxiEnv
from planning_oracles import (
    always,
    backed_up,
    sparse_values,
)

from nchain_env import TabularMDP, chain_mdp
from nchain_env.planning import (
    average_reward,
    diameter,
    optimal_bias,
    optimal_gain,
    optimal_return,
    policy_iteration,
    policy_return,
    value_iteration,
)

Q_STAR = [
    [61.3795, 60.5778],
    [64.8913, 61.4557],
    [69.5121, 62.6109],
    [75.5921, 64.1309],
    [83.5921, 66.1309],
]


class TestKnownValues:
    def test_the_optimal_action_values_are_the_known_ones(self) -> None:
        np.testing.assert_allclose(value_iteration(chain_mdp(), 0.95), Q_STAR, rtol=0, atol=5.1e-5)
        policy, q = policy_iteration(chain_mdp(), 0.95)
        np.testing.assert_allclose(q, Q_STAR, rtol=0, atol=5.1e-5)
        assert policy.tolist() == [0, 0, 0, 0, 0]

    def test_the_returns_of_an_episode_are_the_known_ones(self) -> None:
        mdp = chain_mdp()
        assert optimal_return(mdp, 1000) == pytest.approx(3665.83, abs=0.0051)
        assert policy_return(mdp, always(5, 0), 1000) == pytest.approx(3663.69, abs=0.0051)
        assert policy_return(mdp, always(5, 1), 1000) == pytest.approx(1603.19, abs=0.0051)
        assert policy_return(mdp, np.full((5, 2), 0.5), 1000) == pytest.approx(1311.25, abs=0.0051)

    def test_the_long_run_reward_is_the_known_one(self) -> None:
        stationary = [0.2, 0.16, 0.128, 0.1024, 0.4096]
        gain = average_reward(chain_mdp(), always(5, 0))
        assert gain == pytest.approx(3.6768, abs=1e-12)
        rewards = [0.2 * 2] * 4 + [0.2 * 2 + 0.8 * 10]
        assert gain == pytest.approx(np.dot(stationary, rewards), abs=1e-12)

    @pytest.mark.parametrize(("gamma", "best"), [(0.83, 1), (0.835, 1), (0.837, 0), (0.84, 0)])
    def test_forward_is_best_in_state_0_from_a_discount_of_about_0836(
        self, gamma: float, best: int
    ) -> None:
        policy, q = policy_iteration(chain_mdp(), gamma)
        assert policy.tolist() == [best, 0, 0, 0, 0]
        assert value_iteration(chain_mdp(), gamma).argmax(axis=1).tolist() == policy.tolist()
        assert q.argmax(axis=1).tolist() == policy.tolist()


class TestToyText:
    @pytest.mark.parametrize(
        ("env_class", "options", "gamma", "steps"),
        [
            (CliffWalkingEnv, {}, 0.9, 13),
            (FrozenLakeEnv, {"is_slippery": False}, 0.9, 6),
            (FrozenLakeEnv, {"is_slippery": False, "map_name": "8x8"}, 0.95, 14),
        ],
    )
    def test_the_shortest_way_is_found(
        self, env_class: Any, options: dict[str, Any], gamma: float, steps: int
    ) -> None:
        env = env_class(**options)
        mdp = TabularMDP.from_env(env)
        start = int(mdp.initial.argmax())
        way = (1 - gamma**steps) / (1 - gamma)
        expected = -way if env_class is CliffWalkingEnv else gamma ** (steps - 1)
        assert value_iteration(mdp, gamma)[start].max() == pytest.approx(expected, abs=1e-10)
        assert policy_iteration(mdp, gamma)[1][start].max() == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize(
        ("env_class", "options"),
        [
            (FrozenLakeEnv, {}),
            (FrozenLakeEnv, {"map_name": "8x8"}),
            (TaxiEnv, {}),
            (TaxiEnv, {"is_rainy": True}),
            (CliffWalkingEnv, {"is_slippery": True}),
        ],
    )
    def test_no_action_improves_on_the_policy_found(
        self, toy_text: Callable[..., Any], env_class: Any, options: dict[str, Any]
    ) -> None:
        mdp, gamma = TabularMDP.from_env(toy_text(env_class, **options)), 0.95
        policy, q = policy_iteration(mdp, gamma)
        v = sparse_values(mdp, policy, gamma)
        best = backed_up(mdp, v, gamma)
        assert (best.max(axis=1) - v).max() <= 1e-9
        np.testing.assert_allclose(q, best, rtol=0, atol=1e-8)
        np.testing.assert_allclose(value_iteration(mdp, gamma, 1e-9), best, rtol=0, atol=2e-8)

    def test_the_best_frozen_lake_policy_reaches_the_goal_four_times_in_five(self) -> None:
        # Without a limit of steps it is 14 / 17 on the 4x4 map, a figure of the literature.
        mdp = TabularMDP.from_env(FrozenLakeEnv())
        assert optimal_return(mdp, 10_000) == pytest.approx(14 / 17, abs=1e-9)
        assert mdp.initial @ optimal_bias(mdp) == pytest.approx(14 / 17, abs=1e-12)

    def test_the_best_return_across_the_cliff_without_a_limit_is_minus_13(self) -> None:
        mdp = TabularMDP.from_env(CliffWalkingEnv())
        assert mdp.initial @ optimal_bias(mdp) == -13
        assert optimal_gain(mdp) == 0
        assert diameter(mdp) == math.inf
