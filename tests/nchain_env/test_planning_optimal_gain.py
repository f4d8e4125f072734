"""The optimal gain, the bias and the diameter."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_oracles import (
    Array,
    always,
    exact_gain_and_bias,
    exact_times,
    limiting_gain,
    markov,
    one_hot,
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
    bias,
    diameter,
    evaluate_policy,
    optimal_bias,
    optimal_gain,
    optimal_return,
    policy_return,
)
from nchain_env.problems.river_swim import river_swim_mdp


def random_table(seed: int) -> TabularMDP:
    """One of the small tables below: some end, some fall apart, in some nothing is random."""
    rng = np.random.default_rng(seed)
    states, actions, outcomes = (int(rng.integers(1, high)) for high in (5, 4, 4))
    ending = float(rng.choice([0.0, 0.2, 0.5]))
    return random_mdp(seed, states, actions, outcomes, ending, int(rng.integers(1, 4)))


def every_policy(mdp: TabularMDP) -> list[tuple[int, ...]]:
    return list(itertools.product(range(mdp.num_actions), repeat=mdp.num_states))


def loops(*rewards: float) -> TabularMDP:
    """State s is never left and pays rewards[s]; or it is left for state s + 1 and pays nothing."""
    n = len(rewards)
    states = np.arange(n)
    paid = np.stack([np.array(rewards), np.zeros(n)], axis=1)
    return TabularMDP(
        np.stack([states, np.minimum(states + 1, n - 1)], axis=1)[:, :, None],
        np.ones((n, 2, 1)),
        paid[:, :, None],
        np.zeros((n, 2, 1), dtype=np.bool_),
        np.eye(n)[0],
    )


class TestOptimalGain:
    @pytest.mark.parametrize("seed", range(200))
    def test_gain_and_bias_are_the_best_of_all_policies(self, seed: int) -> None:
        mdp = random_table(seed)
        gains, biases = zip(*(exact_gain_and_bias(mdp, p) for p in every_policy(mdp)), strict=True)
        best = [max(g) for g in zip(*gains, strict=True)]
        expected = sum(p * float(g) for p, g in zip(mdp.initial.tolist(), best, strict=True))
        assert optimal_gain(mdp) == pytest.approx(expected, abs=1e-12)
        # One policy has the best gain in every state; gains that differ at all do so by more.
        optimal = [
            h
            for g, h in zip(gains, biases, strict=True)
            if all(b - x <= Fraction(1e-9) for b, x in zip(best, g, strict=True))
        ]
        assert optimal
        largest = [max(map(float, h)) for h in zip(*optimal, strict=True)]
        size = max(1.0, *map(abs, largest))
        np.testing.assert_allclose(optimal_bias(mdp), largest, rtol=0, atol=1e-10 * size)

    @settings(max_examples=50)
    @given(mdp=processes(12))
    def test_the_gain_is_that_of_the_linear_programme(self, mdp: TabularMDP) -> None:
        # The least g with g >= P_a g and g + h >= r_a + P_a h for some h (Puterman, 9.3); the end
        # is a state more.
        n = mdp.num_states + 1
        rows, right = [], []
        for a in range(mdp.num_actions):
            chances, rewards = sparse_model(mdp, always(n - 1, a))
            P = np.zeros((n, n))
            P[:-1, :-1] = chances.toarray()
            P[:, -1] = 1 - P.sum(axis=1)
            flow = np.eye(n) - P
            rows += [np.hstack([flow, np.zeros((n, n))]), np.hstack([np.eye(n), flow])]
            right += [np.zeros(n), np.append(rewards, 0)]
        solution = scipy("optimize").linprog(
            np.append(np.ones(n), np.zeros(n)),
            A_ub=-np.vstack(rows),
            b_ub=-np.concatenate(right),
            bounds=(None, None),
        )
        expected = mdp.initial @ solution.x[: n - 1]
        assert optimal_gain(mdp) == pytest.approx(float(expected), abs=1e-6)

    @given(data=st.data(), mdp=processes(8))
    def test_no_policy_gains_more(self, data: st.DataObject, mdp: TabularMDP) -> None:
        assert average_reward(mdp, data.draw(policies(mdp))) <= optimal_gain(mdp) + 1e-9

    def test_on_the_default_chain_it_is_that_of_always_forward(self) -> None:
        assert optimal_gain(chain_mdp()) == pytest.approx(3.6768, abs=1e-14)
        assert optimal_gain(chain_mdp(10)) > 1.6  # more than always backward

    def test_it_may_depend_on_the_start(self) -> None:
        # State 3 is worth the way from 0 to 2; from 4 there is only 1 left.
        mdp = loops(3.0, 2.0, 0.0, 5.0, 1.0)
        assert optimal_gain(mdp) == pytest.approx(5.0, abs=1e-14)
        for start, gain in ((3, 5.0), (4, 1.0)):
            moved = TabularMDP(
                mdp.next_state, mdp.probability, mdp.reward, mdp.terminated, np.eye(5)[start]
            )
            assert optimal_gain(moved) == pytest.approx(gain, abs=1e-14)
        np.testing.assert_allclose(optimal_bias(mdp), [-15, -10, -5, 0, 0], atol=1e-14)

    def test_of_equal_gains_the_larger_bias_is_taken(self) -> None:
        # Both actions lead to state 1, with reward 1 and 7; then nothing is paid.
        mdp = TabularMDP.from_P(
            {
                0: {0: [(1.0, 1, 1.0, False)], 1: [(1.0, 1, 7.0, False)]},
                1: {0: [(1.0, 1, 0.0, False)], 1: [(1.0, 1, 0.0, False)]},
            },
            [1.0, 0.0],
        )
        assert optimal_gain(mdp) == 0
        assert optimal_bias(mdp).tolist() == [7, 0]

    def test_the_second_order_decides_where_the_first_ones_are_equal(self) -> None:
        # State 0 pays 1 and goes to state 1, which pays 0 and goes back: gain 1/2. State 1 may as
        # well go to state 2, which pays 0.5 in a loop: the same gain, but a worse bias.
        mdp = TabularMDP.from_P(
            {
                0: {0: [(1.0, 1, 1.0, False)], 1: [(1.0, 2, 0.5, False)]},
                1: {0: [(1.0, 0, 0.0, False)], 1: [(1.0, 2, 0.0, False)]},
                2: {0: [(1.0, 2, 0.5, False)], 1: [(1.0, 0, 0.25, False)]},
            },
            [1.0, 0.0, 0.0],
        )
        best = [exact_gain_and_bias(mdp, p) for p in every_policy(mdp)]
        optimal = [h for g, h in best if min(g) == Fraction(1, 2)]
        expected = [float(max(h)) for h in zip(*optimal, strict=True)]
        np.testing.assert_allclose(optimal_bias(mdp), expected, atol=1e-14)

    @pytest.mark.parametrize("scale", [1e-300, 1e-100, 1.0, 1e100, 1e290])
    def test_rewards_of_any_size_scale_the_answers(self, scale: float) -> None:
        mdp = chain_mdp(5, 0.2, 2 * scale, 10 * scale)
        assert optimal_gain(mdp) == pytest.approx(3.6768 * scale, rel=1e-12)
        np.testing.assert_allclose(
            optimal_bias(mdp) / scale, optimal_bias(chain_mdp()), rtol=0, atol=1e-11
        )

    def test_beyond_a_thousand_states_it_is_iterated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        mdp = random_mdp(5, 1500, 2, 4)
        bound = 1.1e-11 * float(np.abs(mdp.reward).max())
        gain = optimal_gain(mdp)
        monkeypatch.setattr(average, "GAIN_SWEEPS", 7)
        with pytest.raises(RuntimeError, match="after 7 sweeps"):
            optimal_gain(mdp)
        monkeypatch.undo()
        best = bias(mdp, self.greedy(mdp, gain))
        values = (mdp.probability * (mdp.reward + best[mdp.next_state])).sum(axis=2)
        excess = values.max(axis=1) - best
        assert excess.min() - bound <= gain <= excess.max() + bound
        assert excess.max() - excess.min() <= 1e-9

    @staticmethod
    def greedy(mdp: TabularMDP, gain: float) -> npt.NDArray[np.int64]:
        v = np.zeros(mdp.num_states)
        for _ in range(500):
            q = (mdp.probability * (mdp.reward - gain + v[mdp.next_state])).sum(axis=2)
            v = 0.5 * v + 0.5 * q.max(axis=1)
        return np.asarray(q.argmax(axis=1))

    def test_a_large_process_that_ends_is_worth_nothing_in_the_long_run(self) -> None:
        mdp = random_mdp(2, 1001, 2, 3, ending=0.2)
        bound = 1.1e-11 * float(np.abs(mdp.reward).max())
        assert optimal_gain(mdp) == pytest.approx(0.0, abs=bound)

    @pytest.mark.parametrize("solve", [optimal_gain, optimal_bias, diameter])
    def test_what_is_no_table_is_refused(self, solve: Any) -> None:
        with pytest.raises(TypeError, match=r"^mdp must be a TabularMDP, got 3$"):
            solve(3)


class TestBias:
    @pytest.mark.parametrize("seed", range(100))
    def test_it_is_what_rational_arithmetic_gives(self, seed: int) -> None:
        mdp = random_table(seed)
        policy = np.random.default_rng(seed).integers(mdp.num_actions, size=mdp.num_states)
        _, exact = exact_gain_and_bias(mdp, policy.tolist())
        size = max(1.0, *(abs(float(h)) for h in exact))
        expected = [float(h) for h in exact]
        np.testing.assert_allclose(bias(mdp, policy), expected, rtol=0, atol=1e-12 * size)

    @given(data=st.data(), mdp=processes(8))
    def test_it_solves_the_evaluation_equations(self, data: st.DataObject, mdp: TabularMDP) -> None:
        policy = data.draw(policies(mdp))
        h = bias(mdp, policy)
        size = 1 + float(np.abs(h).max())
        P, r = sparse_model(mdp, policy)
        gains = r + P @ h - h
        starts = np.eye(mdp.num_states)
        expected = [limiting_gain(self.start(mdp, start), policy) for start in starts]
        np.testing.assert_allclose(gains, expected, rtol=0, atol=1e-8 * size)
        means = [limiting_gain(self.paying(mdp, h, start), policy) for start in starts]
        np.testing.assert_allclose(means, 0, atol=1e-6 * size)
        certain = bias(mdp, one_hot(mdp, policy))
        np.testing.assert_allclose(certain, h, rtol=0, atol=1e-10 * size)

    @staticmethod
    def start(mdp: TabularMDP, initial: Array) -> TabularMDP:
        return TabularMDP(mdp.next_state, mdp.probability, mdp.reward, mdp.terminated, initial)

    @staticmethod
    def paying(mdp: TabularMDP, reward: Array, initial: Array) -> TabularMDP:
        rewards = np.broadcast_to(reward[:, None, None], mdp.reward.shape)
        return TabularMDP(mdp.next_state, mdp.probability, rewards, mdp.terminated, initial)

    def test_it_is_the_limit_of_returns_less_the_gain(self) -> None:
        mdp = chain_mdp()
        h = bias(mdp, always(5, 0))
        # Episodes begin in state 0: R_T = T g - (n - 1) f^n L.
        assert h[0] == pytest.approx(-4 * 3.2768, abs=1e-12)
        assert h[0] == pytest.approx(policy_return(mdp, always(5, 0), 1000) - 3676.8, abs=1e-9)
        assert optimal_bias(mdp) == pytest.approx(h, abs=1e-12)

    def test_it_is_the_constant_term_of_discounted_values(self) -> None:
        # v = g / (1 - gamma) + h + O(1 - gamma), with the exact gain taken away first
        mdp, policy = random_mdp(3, 6, 2, 3, ending=0.0), always(6, 1)
        gain, rho = average_reward(mdp, policy), 1e-6
        v = evaluate_policy(mdp, policy, 1 / (1 + rho))
        relative = v - v.mean()
        h = bias(mdp, policy)
        assert np.abs(relative - (h - h.mean())).max() < 1e-3 * (1 + np.abs(h).max())
        assert gain == pytest.approx(float(rho * v.mean()), abs=1e-3)

    @pytest.mark.parametrize("n", [6, 50, 200])
    def test_states_that_are_hardly_ever_visited_have_their_bias_too(self, n: int) -> None:
        # Going up a river, state 0 is visited once in about 7^n steps. By the equation of state s,
        # the difference d(s) = h(s + 1) - h(s) is (g - r(s) + down d(s - 1)) / up.
        mdp = river_swim_mdp(n, "osband2013")
        gain, h = optimal_gain(mdp), optimal_bias(mdp)
        expected = [gain / 0.6]
        for _ in range(n - 2):
            expected.append((gain + 0.05 * expected[-1]) / 0.35)
        np.testing.assert_allclose(np.diff(h), expected, rtol=1e-12)

    def test_a_circle_of_two_has_the_bias_worked_out_by_hand(self) -> None:
        # 1, 4, 1, 4, ...: the sums less 2.5 a step are -1.5, 0, -1.5, ...; their mean is -0.75
        np.testing.assert_allclose(
            bias(markov([[0, 1], [1, 0]], [1, 4]), [0, 0]), [-0.75, 0.75], atol=1e-15
        )

    @pytest.mark.parametrize("seed", range(5))
    def test_where_all_episodes_end_it_is_the_return_without_a_limit(self, seed: int) -> None:
        table = random_mdp(seed, 30, 3, 3)
        mdp = TabularMDP(
            table.next_state,
            table.probability,
            table.reward,
            table.probability >= 1 / 3,  # one outcome of each action, at least
            table.initial,
        )
        policy = np.random.default_rng(seed).integers(3, size=30)
        returned = policy_return(mdp, policy, 200)
        assert mdp.initial @ bias(mdp, policy) == pytest.approx(returned, abs=1e-10)
        assert optimal_gain(mdp) == 0
        best = optimal_return(mdp, 200)
        assert mdp.initial @ optimal_bias(mdp) == pytest.approx(best, abs=1e-10)

    def test_too_many_states_are_refused(self) -> None:
        mdp = chain_mdp(3001)
        message = "^mdp must have at most 3,000 states for its bias, got 3,001$"
        with pytest.raises(ValueError, match=message):
            bias(mdp, always(3001, 0))
        with pytest.raises(ValueError, match=message):
            optimal_bias(mdp)

    def test_three_thousand_states_are_solved(self) -> None:
        h = bias(chain_mdp(3000), always(3000, 1))
        # Going back pays 1.6 wherever it starts, but for the chance of a way to the last state.
        np.testing.assert_allclose(h[:2990], 0, atol=1e-6)
        assert h[-1] > 1


class TestDiameter:
    @pytest.mark.parametrize("seed", range(200))
    def test_it_is_the_longest_of_the_shortest_times_of_all_policies(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        states, actions, outcomes = (int(rng.integers(1, high)) for high in (5, 4, 4))
        mdp = random_mdp(seed, states, actions, outcomes, float(rng.choice([0, 0, 0.05])))
        longest = max(
            max(map(min, zip(*(exact_times(mdp, p, t) for p in every_policy(mdp)), strict=True)))
            for t in range(states)
        )
        assert diameter(mdp) == pytest.approx(longest, rel=1e-12)

    @pytest.mark.parametrize("n", [1, 2, 5, 40])
    def test_without_slips_it_is_the_way_along_the_chain(self, n: int) -> None:
        assert diameter(chain_mdp(n, slip=0.0)) == n - 1

    @pytest.mark.parametrize("n", [2, 5, 40, 120])
    def test_with_slips_it_is_the_wait_for_a_run_of_successes(self, n: int) -> None:
        # m successes in a row, each of probability p, take (p^-m - 1) / (1 - p) steps.
        expected = (0.8 ** -(n - 1) - 1) / 0.2
        assert diameter(chain_mdp(n)) == pytest.approx(expected, rel=1e-12)

    def test_it_is_infinite_where_a_state_may_be_missed(self) -> None:
        assert diameter(loops(1.0, 1.0)) == math.inf
        ended = TabularMDP.from_P(
            {
                0: {0: [(0.5, 1, 0.0, False), (0.5, 0, 0.0, True)]},
                1: {0: [(1.0, 0, 0.0, False)]},
            },
            [1.0, 0.0],
        )
        assert diameter(ended) == math.inf

    def test_an_end_that_can_be_avoided_changes_nothing(self) -> None:
        P = chain_mdp(4, slip=0.0).P
        for s in range(4):
            P[s][2] = [(1.0, 0, 99.0, True)]
        assert diameter(TabularMDP.from_P(P, np.eye(4)[0])) == 3

    def test_too_many_states_are_refused(self) -> None:
        message = "^mdp must have at most 1,000 states for its diameter, got 1,001$"
        with pytest.raises(ValueError, match=message):
            diameter(chain_mdp(1001))


@pytest.mark.skipif(
    np.finfo(np.longdouble).maxexp <= np.finfo(np.float64).maxexp,
    reason="this machine has no numbers of a wider range than doubles",
)
def test_times_beyond_doubles_are_refused_and_gains_found() -> None:
    mdp = chain_mdp(5, 1e-300)
    assert optimal_gain(mdp) == pytest.approx(10)
    with pytest.raises(ValueError, match=r"^mdp must not have probabilities so close to 0"):
        diameter(markov([[1 - 1e-300, 1e-300, 0], [1, 0, 1e-300], [1, 0, 0]], [0, 0, 0]))
