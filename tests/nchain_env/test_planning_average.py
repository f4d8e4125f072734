"""The average reward per step."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning_oracles import (
    always,
    always_forward_gain,
    limiting_gain,
    markov,
    policies,
    processes,
    random_mdp,
    scipy,
    sparse_model,
)

from nchain_env import TabularMDP, chain_mdp
from nchain_env.planning import (
    average,
    average_reward,
    policy_return,
)


class TestAverageReward:
    @given(data=st.data(), mdp=processes(7))
    def test_it_is_the_limit_of_the_chain_whatever_its_classes(
        self, data: st.DataObject, mdp: TabularMDP
    ) -> None:
        policy = data.draw(policies(mdp))
        expected = limiting_gain(mdp, policy)
        assert average_reward(mdp, policy) == pytest.approx(expected, abs=1e-9)

    @given(seed=st.integers(0, 2**32 - 1), states=st.integers(1, 12))
    def test_it_is_the_stationary_distribution_times_the_rewards(
        self, seed: int, states: int
    ) -> None:
        rng = np.random.default_rng(seed)
        P = rng.dirichlet(np.ones(states), size=states)
        rewards = rng.normal(size=states)
        values, vectors = np.linalg.eig(P.T)
        vector = np.real(vectors[:, np.argmin(np.abs(values - 1))])
        expected = vector @ rewards / vector.sum()
        gain = average_reward(markov(P.tolist(), rewards.tolist()), always(states, 0))
        assert gain == pytest.approx(expected, abs=1e-10)

    @pytest.mark.parametrize("n", [1, 2, 5, 200, 201, 1000, 1001, 3000])
    @pytest.mark.parametrize(
        ("slip", "small", "large"),
        [(0.2, 2.0, 10.0), (0.01, -1.0, 1e3), (0.5, 0.0, -7.0), (1.0, 3.0, 10.0)],
    )
    def test_on_a_chain_it_is_its_closed_form(
        self, n: int, slip: float, small: float, large: float
    ) -> None:
        mdp = chain_mdp(n, slip, small, large)
        bound = (1e-13 if n <= 1000 else 1.1e-11) * max(small, abs(large))
        forward = average_reward(mdp, always(n, 0))
        assert forward == pytest.approx(always_forward_gain(n, slip, small, large), abs=bound)
        backward = average_reward(mdp, always(n, 1))
        expected = always_forward_gain(n, 1 - slip, small, large)
        assert backward == pytest.approx(expected, abs=bound)

    def test_it_is_what_an_ever_longer_episode_returns_a_step(self) -> None:
        mdp, policy = chain_mdp(), np.array([[0.7, 0.3]] * 5)
        gain = average_reward(mdp, policy)
        returns = [policy_return(mdp, policy, horizon) for horizon in (1000, 2000)]
        assert (returns[1] - returns[0]) / 1000 == pytest.approx(gain, abs=1e-12)

    @pytest.mark.parametrize(
        ("P", "rewards", "start", "expected"),
        [
            # going round in two and in three steps
            ([[0, 1], [1, 0]], [1, 4], 0, 2.5),
            ([[0, 1, 0], [0, 0, 1], [1, 0, 0]], [1, 4, 10], 1, 5.0),
            # two parts that are never left, the start in one of them or before them
            ([[1, 0], [0, 1]], [3, 7], 0, 3.0),
            ([[1, 0], [0, 1]], [3, 7], 1, 7.0),
            ([[0, 0.25, 0.75], [0, 1, 0], [0, 0, 1]], [100, 3, 7], 0, 6.0),
            ([[0.9, 0.025, 0.075], [0, 1, 0], [0, 0, 1]], [100, 3, 7], 0, 6.0),
            ([[1, 0, 0], [0, 1, 0], [0.25, 0.75, 0]], [3, 7, 100], 2, 6.0),
            # from 2 to 3 and back, out to 0 or to the pair 1, 4 that goes round
            (
                [
                    [1, 0, 0, 0, 0],
                    [0, 0, 0, 0, 1],
                    [0.5, 0, 0, 0.5, 0],
                    [0, 0.5, 0.5, 0, 0],
                    [0, 1, 0, 0, 0],
                ],
                [3, 5, 50, -80, 13],
                2,
                2 / 3 * 3 + 1 / 3 * 9,
            ),
        ],
    )
    def test_chains_that_go_round_or_fall_apart_have_the_gain_worked_out_by_hand(
        self, P: list[list[float]], rewards: list[float], start: int, expected: float
    ) -> None:
        gain = average_reward(markov(P, rewards, start), always(len(P), 0))
        assert gain == pytest.approx(expected, abs=1e-14)

    @pytest.mark.parametrize("rare", [1e-6, 1e-12, 1e-17, 1e-100])
    def test_states_that_are_hardly_ever_left_are_weighed_by_how_hardly(self, rare: float) -> None:
        mdp = markov([[1 - rare, rare], [3 * rare, 1 - 3 * rare]], [1.0, 5.0])
        # It stays three times as long in state 0; where 1 - rare rounds to 1, too.
        assert average_reward(mdp, [0, 0]) == pytest.approx(2.0, abs=1e-13)

    @pytest.mark.parametrize("rare", [0.5, 1e-6, 1e-9, 1e-12, 1e-100])
    @pytest.mark.parametrize("states", [1, 2, 5])
    def test_a_process_that_ends_is_worth_nothing_in_the_long_run(
        self, rare: float, states: int
    ) -> None:
        shape = (states, 1, 2)
        mdp = TabularMDP(
            np.broadcast_to((np.arange(states)[:, None, None] + 1) % states, shape),
            np.broadcast_to([rare, 1 - rare], shape),
            np.ones(shape),
            np.broadcast_to([True, False], shape),
            np.eye(states)[0],
        )
        assert average_reward(mdp, always(states, 0)) == 0

    def test_a_part_that_ends_counts_nothing_and_one_that_goes_on_counts(self) -> None:
        mdp = TabularMDP.from_P(
            {
                0: {0: [(0.25, 1, 0.0, False), (0.75, 2, 0.0, False)]},
                1: {0: [(1.0, 1, 8.0, False)]},
                2: {0: [(0.5, 2, 99.0, False), (0.5, 1, 99.0, True)]},
            },
            [1.0, 0.0, 0.0],
        )
        assert average_reward(mdp, [0, 0, 0]) == pytest.approx(2.0, abs=1e-15)

    def test_an_end_that_never_happens_changes_nothing(self) -> None:
        P = chain_mdp(1200).P
        P[3][0].append((0.0, 0, 5.0, True))
        mdp = TabularMDP.from_P(P, np.eye(1200)[0])
        expected = always_forward_gain(1200, 0.2, 2.0, 10.0)
        assert average_reward(mdp, always(1200, 0)) == pytest.approx(expected, abs=1.1e-10)

    def test_the_start_distribution_weighs_the_parts(self) -> None:
        mdp = markov([[1, 0], [0, 1]], [3, 7])
        mixed = TabularMDP(
            mdp.next_state, mdp.probability, mdp.reward, mdp.terminated, np.array([0.25, 0.75])
        )
        assert average_reward(mixed, [0, 0]) == pytest.approx(6.0, abs=1e-14)

    @pytest.mark.parametrize("kind", ["actions", "probabilities"])
    def test_beyond_a_thousand_states_it_is_what_sparse_equations_give(self, kind: str) -> None:
        rng = np.random.default_rng(11)
        mdp = random_mdp(5, 1500, 2, 4)
        policy: npt.NDArray[Any] = rng.integers(2, size=1500)
        if kind == "probabilities":
            policy = rng.dirichlet(np.ones(2), size=1500)
        chances, rewards = sparse_model(mdp, policy)
        # g and the relative values h, h(0) = 0:  g + h = r + P h
        flow = (scipy("sparse").eye_array(1500) - chances).tolil()
        flow[:, 0] = 1
        flow = flow.tocsc()
        expected = scipy("sparse.linalg").spsolve(flow, rewards)[0]
        bound = 1.1e-11 * float(np.abs(mdp.reward).max())
        assert average_reward(mdp, policy) == pytest.approx(expected, abs=bound)

    def test_a_large_chain_that_goes_round_has_its_mean_reward(self) -> None:
        # Every second step pays 1: the change of the values never settles without the damping.
        states = np.arange(1002)
        mdp = TabularMDP(
            ((states % 2) ^ 1)[:, None, None],
            np.ones((1002, 1, 1)),
            np.array((states % 2).tolist(), dtype=np.float64)[:, None, None],
            np.zeros((1002, 1, 1), dtype=np.bool_),
            np.eye(1002)[0],
        )
        assert average_reward(mdp, always(1002, 0)) == pytest.approx(0.5, abs=1.1e-11)

    def test_a_large_process_that_ends_is_worth_nothing_in_the_long_run(self) -> None:
        mdp = random_mdp(2, 1001, 2, 3, ending=0.2)
        bound = 1.1e-11 * float(np.abs(mdp.reward).max())
        assert average_reward(mdp, always(1001, 1)) == pytest.approx(0.0, abs=bound)
        deterministic = TabularMDP(
            np.zeros((1001, 1, 1), dtype=np.int64),
            np.ones((1001, 1, 1)),
            np.ones((1001, 1, 1)),
            np.ones((1001, 1, 1), dtype=np.bool_),
            np.eye(1001)[0],
        )
        assert average_reward(deterministic, always(1001, 0)) == pytest.approx(0.0, abs=1.1e-11)

    def test_a_large_process_that_pays_nothing_has_no_gain(self) -> None:
        assert average_reward(chain_mdp(1001, small=0, large=0), always(1001, 0)) == 0

    def test_a_large_process_that_falls_apart_is_refused_with_what_is_known(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(average, "GAIN_SWEEPS", 7)
        states = np.arange(1001)
        mdp = TabularMDP(
            states[:, None, None],
            np.ones((1001, 1, 1)),
            np.array((states % 2 + 1).tolist(), dtype=np.float64)[:, None, None],
            np.zeros((1001, 1, 1), dtype=np.bool_),
            np.eye(1001)[0],
        )
        with pytest.raises(RuntimeError) as caught:
            average_reward(mdp, always(1001, 0))
        assert str(caught.value) == (
            "the gain lies in [1, 2] after 7 sweeps: it depends on the start state, or the "
            "policy's Markov chain mixes too slowly"
        )
