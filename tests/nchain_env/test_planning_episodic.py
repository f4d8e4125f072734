"""The expected return of an episode, and the best one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_oracles import (
    always,
    exact_model,
    outcomes_of_an_episode,
    policies,
    processes,
)

from nchain_env import TabularMDP, chain_mdp
from nchain_env.planning import (
    optimal_return,
    policy_return,
)


class TestFiniteHorizon:
    @settings(max_examples=60)
    @given(data=st.data(), mdp=processes(3), horizon=st.integers(0, 3))
    def test_the_return_is_the_mean_over_all_that_can_happen(
        self, data: st.DataObject, mdp: TabularMDP, horizon: int
    ) -> None:
        policy = data.draw(policies(mdp))
        episodes = list(outcomes_of_an_episode(mdp, policy, horizon))
        assert sum(chance for chance, _ in episodes) == pytest.approx(1)
        mean = sum(chance * total for chance, total in episodes)
        assert policy_return(mdp, policy, horizon) == pytest.approx(float(mean), abs=1e-11)

    @settings(max_examples=40)
    @given(mdp=processes(3), horizon=st.integers(0, 3))
    def test_the_best_return_is_the_best_of_all_plans(self, mdp: TabularMDP, horizon: int) -> None:
        chances, rewards = exact_model(mdp)
        S, A = range(mdp.num_states), range(mdp.num_actions)

        def best(s: int, steps: int) -> Fraction:
            if steps == 0:
                return Fraction(0)
            after = [best(t, steps - 1) for t in S]
            return max(rewards[s][a] + sum(chances[s][a][t] * after[t] for t in S) for a in A)

        expected = sum(Fraction(p) * best(s, horizon) for s, p in enumerate(mdp.initial.tolist()))
        assert optimal_return(mdp, horizon) == pytest.approx(float(expected), abs=1e-11)

    @given(data=st.data(), mdp=processes(6), horizon=st.integers(0, 30))
    def test_no_policy_returns_more_than_the_best(
        self, data: st.DataObject, mdp: TabularMDP, horizon: int
    ) -> None:
        policy = data.draw(policies(mdp))
        assert policy_return(mdp, policy, horizon) <= optimal_return(mdp, horizon) + 1e-9

    def test_the_best_plan_goes_back_at_the_end_where_no_stationary_policy_can(self) -> None:
        # One step left in state 0: back for 1.6; two: back twice 3.2; forward and then either 0.4.
        mdp = chain_mdp()
        assert optimal_return(mdp, 1) == pytest.approx(0.8 * 2)
        assert optimal_return(mdp, 2) == pytest.approx(2 * 0.8 * 2)
        every = itertools.product([0, 1], repeat=5)
        stationary = max(policy_return(mdp, np.array(p), 1000) for p in every)
        assert stationary == pytest.approx(3663.69, abs=0.0051)
        assert optimal_return(mdp, 1000) > stationary + 2

    @pytest.mark.parametrize(
        "horizon", [-1, 2.5, 10.0, "5", None, True, math.nan, 10**8 + 1, 10**400]
    )
    def test_a_bad_horizon_is_refused(self, horizon: Any) -> None:
        expected = f"horizon must be an integer in [0, 100000001), got {horizon!r}"
        calls: list[Callable[[], object]] = [
            lambda: optimal_return(chain_mdp(), horizon),
            lambda: policy_return(chain_mdp(), always(5, 0), horizon),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="horizon") as caught:
                call()
            assert str(caught.value) == expected

    def test_an_episode_of_no_steps_returns_nothing(self) -> None:
        assert optimal_return(chain_mdp(), 0) == 0
        assert policy_return(chain_mdp(), always(5, 1), 0) == 0
