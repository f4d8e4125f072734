"""Discounted values: value iteration, policy iteration, evaluation."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from planning_oracles import (
    GAMMAS,
    Array,
    always,
    always_forward_value,
    backed_up,
    exact_error,
    exact_q,
    exact_values,
    needs_long_doubles,
    one_hot,
    one_state,
    policies,
    processes,
    random_mdp,
    scipy,
    sparse_model,
    sparse_values,
)

from nchain_env import TabularMDP, chain_mdp
from nchain_env.bellman import backup, model_of, outcomes_of
from nchain_env.planning import (
    average_reward,
    bias,
    discounted,
    evaluate_policy,
    gaps,
    policy_iteration,
    policy_return,
    value_iteration,
)


class TestValueIteration:
    @settings(max_examples=60)
    @given(
        mdp=processes(3),
        gamma=GAMMAS,
        tolerance=st.sampled_from([1e3, 1.0, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10]),
    )
    def test_the_error_is_at_most_the_tolerance(
        self, mdp: TabularMDP, gamma: float, tolerance: float
    ) -> None:
        q = value_iteration(mdp, gamma, tolerance)
        assert exact_error(q, exact_q(mdp, gamma)) <= Fraction(tolerance)

    @given(
        n=st.integers(1, 4),
        slip=st.floats(0, 1),
        small=st.floats(-100, 100),
        large=st.floats(-100, 100),
        gamma=GAMMAS,
        tolerance=st.sampled_from([1e-2, 1e-5, 1e-10]),
    )
    @example(n=3, slip=0.0, small=2, large=10, gamma=0.9, tolerance=1e-10)
    @example(n=3, slip=1.0, small=2, large=10, gamma=0.9, tolerance=1e-10)
    @settings(max_examples=40)
    def test_the_error_on_a_chain_is_at_most_the_tolerance(
        self,
        n: int,
        slip: float,
        small: float,
        large: float,
        gamma: float,
        tolerance: float,
    ) -> None:
        mdp = chain_mdp(n, slip, small, large)
        q = value_iteration(mdp, gamma, tolerance)
        assert exact_error(q, exact_q(mdp, gamma)) <= Fraction(tolerance)

    @needs_long_doubles
    @pytest.mark.parametrize("slip", [0.1, 0.2, 0.3, 0.7])
    @pytest.mark.parametrize("large", [10.0, 1e4 / 3])
    def test_the_error_is_at_most_the_finest_tolerance_though_gamma_is_near_1(
        self, slip: float, large: float
    ) -> None:
        mdp = chain_mdp(2, slip, 2.0, large)
        with pytest.raises(ValueError, match="tolerance must be more than") as caught:
            value_iteration(mdp, 0.999, 1e-300)
        (finest,) = re.findall(r"more than (\S+) for", str(caught.value))
        tolerance = 1.1 * float(finest)
        assert tolerance < 1e-14 * large / 0.001  # finer than sums of doubles could be sure of
        q = value_iteration(mdp, 0.999, tolerance)
        assert exact_error(q, exact_q(mdp, 0.999)) <= Fraction(tolerance)

    @pytest.mark.parametrize("gamma", [0.0, 0.5])
    def test_rewards_that_nearly_cancel_leave_no_larger_error(self, gamma: float) -> None:
        mdp = one_state(9e8, -1e8, probability=[0.1, 0.9])
        exact = exact_q(mdp, gamma)
        assert 0 < abs(exact[0][0]) < 1e-7  # a single rounding of 0.1 x 9e8 may be 7e-9
        with pytest.raises(ValueError, match="tolerance must be more than") as caught:
            value_iteration(mdp, gamma, 1e-9)
        (finest,) = re.findall(r"more than (\S+) for", str(caught.value))
        tolerance = 1.1 * float(finest)
        assert exact_error(value_iteration(mdp, gamma, tolerance), exact) <= Fraction(tolerance)

    def test_the_rounding_of_the_result_is_within_the_finest_tolerance(self) -> None:
        for i in range(20):
            mdp = one_state(0.3 * (1 + i / 1000))  # worth about 1, just above a power of two
            with pytest.raises(ValueError, match="tolerance must be more than") as caught:
                value_iteration(mdp, 0.7, 1e-30)
            (finest,) = re.findall(r"more than (\S+) for", str(caught.value))
            tolerance = 1.1 * float(finest)
            q = value_iteration(mdp, 0.7, tolerance)
            assert exact_error(q, exact_q(mdp, 0.7)) <= Fraction(tolerance)

    def test_a_finer_tolerance_than_numbers_can_keep_is_refused(self) -> None:
        with pytest.raises(ValueError, match="tolerance") as caught:
            value_iteration(chain_mdp(), 0.9, 1e-30)
        assert re.fullmatch(
            r"tolerance must be more than \d\.\de-\d+ for these rewards and this gamma, "
            r"the bound of the rounding error; got 1e-30",
            str(caught.value),
        )

    @pytest.mark.parametrize(
        ("gamma", "message"),
        [
            (math.nextafter(1, 0), r"^gamma must be further below 1, .* got 0\.9999999999999999$"),
            (1 - 2.0**-50, r"^tolerance must be more than \d"),
        ],
    )
    @pytest.mark.parametrize("slip", [0.0, 0.2, 0.3])
    def test_a_gamma_that_no_numbers_can_tell_from_1_is_refused(
        self, gamma: float, message: str, slip: float
    ) -> None:
        with pytest.raises(ValueError, match=message):
            value_iteration(chain_mdp(3, slip), gamma)

    @pytest.mark.parametrize("gamma", [0.0, 0.9, math.nextafter(1, 0)])
    def test_a_process_that_pays_nothing_is_worth_nothing(self, gamma: float) -> None:
        q = value_iteration(chain_mdp(3, small=0, large=0), gamma, 1e-300)
        assert q.tolist() == [[0.0, 0.0]] * 3

    def test_the_answer_is_a_plain_array_of_shape_states_by_actions(self) -> None:
        for tolerance in (1e-2, 1e-13):  # by doubles, and by longer numbers
            q = value_iteration(chain_mdp(3), 0.9, tolerance)
            assert (q.shape, str(q.dtype)) == ((3, 2), "float64")
            assert q.flags.c_contiguous
            assert q.flags.writeable

    @given(mdp=processes(12), gamma=GAMMAS, tolerance=st.sampled_from([1e-2, 1e-6, 1e-10]))
    def test_the_bellman_residual_is_within_the_tolerance(
        self, mdp: TabularMDP, gamma: float, tolerance: float
    ) -> None:
        q = value_iteration(mdp, gamma, tolerance)
        residual = np.abs(q - backed_up(mdp, q.max(axis=1), gamma)).max()
        assert residual <= (1 + gamma) * tolerance + 1e-11

    @settings(max_examples=25)
    @given(mdp=processes(10), gamma=st.sampled_from([0.0, 0.5, 0.9, 0.99]))
    def test_the_best_values_are_those_of_the_linear_programme(
        self, mdp: TabularMDP, gamma: float
    ) -> None:
        # The least v with v >= r(., a) + gamma P_a v for every action a (Puterman, section 6.9).
        blocks = [sparse_model(mdp, always(mdp.num_states, a)) for a in range(mdp.num_actions)]
        identity = np.eye(mdp.num_states)
        solution = scipy("optimize").linprog(
            np.ones(mdp.num_states),
            A_ub=np.vstack([gamma * chances.toarray() - identity for chances, _ in blocks]),
            b_ub=np.concatenate([-rewards for _, rewards in blocks]),
            bounds=(None, None),
        )
        v = value_iteration(mdp, gamma).max(axis=1)
        np.testing.assert_allclose(v, np.asarray(solution.x), rtol=1e-7, atol=1e-6)

    def test_it_stops_as_soon_as_the_error_is_sure_to_be_small(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sweeps = counted(monkeypatch)
        # One state: the k-th sweep changes the value by gamma^(k-1), which stops it at
        # gamma^k <= tolerance (1 - gamma), when the error is gamma^k / (1 - gamma).
        value_iteration(one_state(1.0), 0.5, 2.0**-9 * 1.001)
        assert sweeps() == 10
        value_iteration(one_state(1.0), 0.0)
        assert sweeps() == 1
        value_iteration(one_state(1.0), 0.9, 1e-3)
        assert sweeps() == math.ceil(math.log(1e-4) / math.log(0.9))

    def test_a_tolerance_beyond_all_values_costs_one_sweep(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sweeps = counted(monkeypatch)
        value_iteration(chain_mdp(), 0.9, 1e6)
        assert sweeps() == 1

    @pytest.mark.parametrize("gamma", [-0.1, 1.0, 1.5, math.nan, "0.9", None, True])
    def test_a_bad_gamma_is_refused(self, gamma: Any) -> None:
        calls: list[Callable[[], object]] = [
            lambda: value_iteration(chain_mdp(), gamma),
            lambda: policy_iteration(chain_mdp(), gamma),
            lambda: evaluate_policy(chain_mdp(), always(5, 0), gamma),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="gamma") as caught:
                call()
            assert str(caught.value) == f"gamma must be a number in [0, 1), got {gamma!r}"

    @pytest.mark.parametrize("tolerance", [0, -1e-9, math.nan, math.inf, "x", None, True])
    def test_a_bad_tolerance_is_refused(self, tolerance: Any) -> None:
        with pytest.raises(ValueError, match="tolerance") as caught:
            value_iteration(chain_mdp(), 0.9, tolerance)
        assert str(caught.value) == f"tolerance must be a number in (0, inf), got {tolerance!r}"


def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """The number of backups since the last question."""
    calls: list[int] = []

    def counting(*args: Any) -> Any:
        calls.append(1)
        return backup(*args)

    monkeypatch.setattr(discounted, "backup", counting)

    def since() -> int:
        number = len(calls)
        calls.clear()
        return number

    return since


class TestBackup:
    """The operator that all answers stand on."""

    @given(mdp=processes(8), gamma=GAMMAS, seed=st.integers(0, 2**32 - 1))
    def test_it_is_what_the_definition_says(self, mdp: TabularMDP, gamma: float, seed: int) -> None:
        v = np.random.default_rng(seed).normal(scale=100, size=mdp.num_states)
        q = backup(model_of(outcomes_of(mdp, None), gamma), v)
        np.testing.assert_allclose(q.T, backed_up(mdp, v, gamma), rtol=1e-12, atol=1e-10)

    @given(mdp=processes(8), gamma=GAMMAS, seed=st.integers(0, 2**32 - 1))
    def test_it_brings_any_two_values_closer_by_the_discount(
        self, mdp: TabularMDP, gamma: float, seed: int
    ) -> None:
        v, w = np.random.default_rng(seed).normal(scale=100, size=(2, mdp.num_states))
        model = model_of(outcomes_of(mdp, None), gamma)
        v_next, w_next = (backup(model, x).max(axis=0) for x in (v, w))
        assert np.abs(v_next - w_next).max() <= gamma * np.abs(v - w).max() + 1e-10

    @given(mdp=processes(8), gamma=GAMMAS, seed=st.integers(0, 2**32 - 1))
    def test_it_keeps_order(self, mdp: TabularMDP, gamma: float, seed: int) -> None:
        v, more = np.random.default_rng(seed).normal(scale=100, size=(2, mdp.num_states))
        model = model_of(outcomes_of(mdp, None), gamma)
        lower, upper = (backup(model, x) for x in (v, v + np.abs(more)))
        assert (lower <= upper + 1e-10).all()


class TestPolicyIteration:
    @settings(max_examples=60)
    @given(mdp=processes(3), gamma=GAMMAS)
    def test_the_error_is_within_the_stated_bound(self, mdp: TabularMDP, gamma: float) -> None:
        policy, q = policy_iteration(mdp, gamma)
        largest = float(np.abs(mdp.reward).max()) / (1 - gamma)
        exact = exact_q(mdp, gamma)
        assert exact_error(q, exact) <= Fraction((1e-12 + 1e-14) * largest / (1 - gamma))
        chosen = q[np.arange(mdp.num_states), policy]
        assert (q.max(axis=1) - chosen <= 1e-12 * largest).all()
        values = exact_values(mdp, policy, gamma)
        short = max(max(row) - v for row, v in zip(exact, values, strict=True))
        assert short <= Fraction((1e-12 + 1e-14) * largest / (1 - gamma))

    @given(mdp=processes(12), gamma=GAMMAS)
    def test_it_agrees_with_value_iteration(self, mdp: TabularMDP, gamma: float) -> None:
        policy, q = policy_iteration(mdp, gamma)
        np.testing.assert_allclose(q, value_iteration(mdp, gamma, 1e-9), rtol=0, atol=2e-9)
        assert (policy.shape, str(policy.dtype)) == ((mdp.num_states,), "int64")
        assert (str(q.dtype), q.flags.c_contiguous) == ("float64", True)

    @pytest.mark.parametrize("scale", [1e-150, 1e-13, 1.0, 1e150])
    def test_improvement_reaches_a_reward_beyond_the_first_hundred_sweeps(
        self, scale: float
    ) -> None:
        # 119 steps without a slip to the large reward: 0.95^119 x 200 = 0.447; going back 0.02.
        n, gamma = 120, 0.95
        policy, q = policy_iteration(chain_mdp(n, 0.0, 1e-3 * scale, 10 * scale), gamma)
        assert policy.tolist() == [0] * n
        best = gamma ** (n - 1 - np.arange(n)) * 10 / (1 - gamma)
        np.testing.assert_allclose(q[:, 0] / scale, best, rtol=1e-12)
        np.testing.assert_allclose(q[:, 1] / scale, 1e-3 + gamma * best[0], rtol=1e-12)

    @pytest.mark.parametrize(
        ("states", "advantage", "seen"),
        [
            (150, 5e-12, True),
            (150, 5e-13, False),
            (1000, 5e-12, True),
            (1001, 4e-11, True),
            (1001, 1.5e-11, False),
        ],
    )
    def test_an_advantage_is_taken_from_the_stated_size_on(
        self, states: int, advantage: float, seen: bool
    ) -> None:
        n, gamma = 110, 0.95
        largest = 10 / (1 - gamma)
        # In state 0 forward, when it is best everywhere else, is better by this than backward.
        small = (1 - gamma) * (gamma ** (n - 1) * largest - advantage * largest)
        chain = chain_mdp(n, 0.0, small, 10.0)
        more = np.arange(n, states)  # states that nothing leads to, with nothing to gain
        mdp = TabularMDP(
            np.concatenate([chain.next_state, np.tile(more[:, None, None], (1, 2, 2))]),
            np.concatenate([chain.probability, np.full((len(more), 2, 2), 0.5)]),
            np.concatenate([chain.reward, np.zeros((len(more), 2, 2))]),
            np.zeros((states, 2, 2), dtype=np.bool_),
            np.eye(states)[0],
        )
        policy, _ = policy_iteration(mdp, gamma)
        assert policy[:n].tolist() == [0 if seen else 1] + [0] * (n - 1)

    @pytest.mark.parametrize("n", [5, 1001])
    def test_it_ends_though_all_actions_are_equal(self, n: int) -> None:
        mdp = chain_mdp(n, slip=0.5)
        policy, q = policy_iteration(mdp, 0.99)
        np.testing.assert_allclose(q[:, 0], q[:, 1], rtol=1e-10)
        assert set(policy.tolist()) <= {0, 1}

    def test_it_ends_though_every_policy_is_seen_as_improvable(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # An evaluation that always finds the other action better, as gross rounding might.
        def misjudge(mdp: TabularMDP, policy: npt.NDArray[np.int64], gamma: float) -> Array:
            return np.array([1e6, 0.0]) if policy[0] == 1 else np.array([0.0, 1e6])

        monkeypatch.setattr(discounted, "evaluate_policy", misjudge)
        policy, q = policy_iteration(chain_mdp(2, slip=0.0), 0.9)
        assert policy.shape == (2,)
        assert q.shape == (2, 2)

    @pytest.mark.parametrize("gamma", [0.5, 0.95, 0.99])
    @pytest.mark.parametrize("seed", range(3))
    def test_beyond_a_thousand_states_the_error_is_within_the_stated_bound(
        self, seed: int, gamma: float
    ) -> None:
        mdp = random_mdp(seed, 1200, 3, 3, ending=0.01, classes=2)
        policy, q = policy_iteration(mdp, gamma)
        largest = float(np.abs(mdp.reward).max()) / (1 - gamma)
        v = sparse_values(mdp, policy, gamma)
        best = backed_up(mdp, v, gamma)
        gap = float((best.max(axis=1) - v).max())  # v* lies within gap / (1 - gamma) of v
        bound = 4e-11 * largest / (1 - gamma)
        assert gap <= 1e-11 * largest
        assert np.abs(q - best).max() + gap / (1 - gamma) <= bound
        assert (q.max(axis=1) - q[np.arange(1200), policy] <= 2e-11 * largest).all()


class TestEvaluatePolicy:
    @settings(max_examples=60)
    @given(data=st.data(), mdp=processes(4), gamma=GAMMAS | st.just(0.999))
    def test_the_error_is_that_of_rounding(
        self, data: st.DataObject, mdp: TabularMDP, gamma: float
    ) -> None:
        policy = data.draw(policies(mdp))
        v = evaluate_policy(mdp, policy, gamma)
        exact = [[x] for x in exact_values(mdp, policy, gamma)]
        rounding = 1e-14 * float(np.abs(mdp.reward).max()) / (1 - gamma) ** 2
        assert exact_error(v[:, None], exact) <= Fraction(rounding)

    @given(data=st.data(), mdp=processes(8), gamma=GAMMAS)
    def test_actions_are_worth_the_same_as_certainties(
        self, data: st.DataObject, mdp: TabularMDP, gamma: float
    ) -> None:
        rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
        policy = rng.integers(mdp.num_actions, size=mdp.num_states)
        certain = one_hot(mdp, policy)
        v = evaluate_policy(mdp, policy, gamma)
        np.testing.assert_allclose(evaluate_policy(mdp, certain, gamma), v, rtol=1e-12, atol=1e-10)
        for kind in (np.int8, np.uint64):
            assert evaluate_policy(mdp, policy.astype(kind), gamma).tolist() == v.tolist()
        same = evaluate_policy(mdp, certain.astype(np.int64), gamma)
        np.testing.assert_allclose(same, v, rtol=1e-12, atol=1e-10)

    @pytest.mark.parametrize("n", [1, 2, 5, 1000, 1001, 5000])
    @pytest.mark.parametrize("gamma", [0.0, 0.5, 0.95, 0.99])
    def test_always_forward_is_worth_its_closed_form(self, n: int, gamma: float) -> None:
        for slip, small, large in [(0.2, 2e-3, 1e-2), (0.0, 1.0, -3.0), (1.0, 4.0, 1.0)]:
            v = evaluate_policy(chain_mdp(n, slip, small, large), always(n, 0), gamma)
            expected = always_forward_value(n, slip, small, large, gamma)
            bound = (1e-13 if n <= 1000 else 1e-11) * max(small, abs(large)) / (1 - gamma)
            np.testing.assert_allclose(v, expected, rtol=1e-13, atol=bound)

    @pytest.mark.parametrize("gamma", [0.5, 0.99, 0.999])
    @pytest.mark.parametrize("kind", ["actions", "probabilities"])
    @pytest.mark.parametrize("states", [1000, 1001])
    def test_about_a_thousand_states_the_error_is_within_the_stated_bound(
        self, gamma: float, kind: str, states: int
    ) -> None:
        rng = np.random.default_rng(7)
        mdp = random_mdp(3, states, 3, 3, ending=0.001, classes=2)
        policy: npt.NDArray[Any] = rng.integers(3, size=states)
        if kind == "probabilities":
            policy = rng.dirichlet(np.ones(3), size=states)
        v = evaluate_policy(mdp, policy, gamma)
        largest = float(np.abs(mdp.reward).max()) / (1 - gamma)
        assert np.abs(v - sparse_values(mdp, policy, gamma)).max() <= 1.01e-11 * largest

    def test_beyond_a_thousand_states_it_iterates_as_long_as_it_must(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sweeps = counted(monkeypatch)
        mdp = chain_mdp(1001, slip=0.5, small=1.0, large=-1.0)
        evaluate_policy(mdp, always(1001, 0), 0.5)
        # All but the last state are worth 1; the k-th sweep changes them by 2^-k, and it ends at
        # 2^-(k + 1) <= 1e-11 x 2 x 0.5.
        assert sweeps() == 36

    def test_a_large_process_that_pays_nothing_is_worth_nothing(self) -> None:
        v = evaluate_policy(chain_mdp(1001, small=0, large=0), always(1001, 0), 0.9)
        assert (v.shape, str(v.dtype), v.max(), v.min()) == ((1001,), "float64", 0, 0)


class TestGaps:
    @settings(max_examples=40)
    @given(mdp=processes(3), gamma=GAMMAS)
    def test_they_are_the_exact_ones_to_twice_the_tolerance(
        self, mdp: TabularMDP, gamma: float
    ) -> None:
        exact = [[max(row) - q for q in row] for row in exact_q(mdp, gamma)]
        found = gaps(mdp, gamma, 1e-6)
        assert exact_error(found, exact) <= Fraction(2e-6)
        assert (found.min(axis=1) == 0).all()

    def test_on_the_default_chain_they_are_the_known_ones(self) -> None:
        found = gaps(chain_mdp(), 0.95)
        assert found[:, 0].tolist() == [0] * 5
        assert found[0, 1] == pytest.approx(61.3795 - 60.5778, abs=1e-4)


BAD_POLICIES = [
    ([0, 0, 0, 0], "int64 of shape (4,)"),
    ([0.0] * 5, "float64 of shape (5,)"),
    ([True] * 5, "bool of shape (5,)"),
    (0, "int64 of shape ()"),
    (None, "object of shape ()"),
    ("forward", "<U7 of shape ()"),
    ([[1.0, 0.0]] * 4, "float64 of shape (4, 2)"),
    ([[1.0, 0.0, 0.0]] * 5, "float64 of shape (5, 3)"),
    ([[True, False]] * 5, "bool of shape (5, 2)"),
    ([[1j, 0.0]] * 5, "complex128 of shape (5, 2)"),
]
CALLS: list[Callable[[Any], object]] = [
    lambda policy: evaluate_policy(chain_mdp(), policy, 0.9),
    lambda policy: policy_return(chain_mdp(), policy, 3),
    lambda policy: average_reward(chain_mdp(), policy),
    lambda policy: bias(chain_mdp(), policy),
]


@pytest.mark.parametrize("call", CALLS)
class TestBadPolicies:
    @pytest.mark.parametrize(("policy", "got"), BAD_POLICIES)
    def test_a_policy_of_the_wrong_kind_is_refused(self, call: Any, policy: Any, got: str) -> None:
        with pytest.raises(ValueError, match="policy") as caught:
            call(policy)
        assert str(caught.value) == (
            f"policy must be (5,) integer actions or (5, 2) probabilities, got {got}"
        )

    @pytest.mark.parametrize("policy", [[0, 0, 0, 0, 2], [0, 0, -1, 0, 0]])
    def test_an_action_that_does_not_exist_is_refused(self, call: Any, policy: Any) -> None:
        with pytest.raises(ValueError, match="policy") as caught:
            call(policy)
        expected = f"policy must hold actions in [0, 2), got {np.array(policy)!r}"
        assert str(caught.value) == expected

    @pytest.mark.parametrize(
        "row", [[0.5, 0.6], [1.5, -0.5], [math.nan, 1.0], [0.0, 0.0], [0.5, 0.5 + 2e-9], [2, -1]]
    )
    def test_rows_that_are_no_probabilities_are_refused(self, call: Any, row: Any) -> None:
        with pytest.raises(ValueError, match="policy") as caught:
            call([[1, 0], row, [0, 1], [0, 1], [0, 1]])
        expected = "policy must hold probabilities that sum to 1 in every state"
        assert str(caught.value) == expected

    def test_rows_may_be_off_by_rounding(self, call: Any) -> None:
        call([[0.5, 0.5 + 9e-10]] * 5)
        call([[0.5, 0.5 - 9e-10]] * 5)
