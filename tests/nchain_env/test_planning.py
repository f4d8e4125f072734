"""The exact answers against independent ones.

These are closed forms of the chain, rational arithmetic, SciPy, and counting out all that can
happen; nothing is compared with what the planner itself once returned.
"""

from __future__ import annotations

import itertools
import math
import re
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from gymnasium.envs.toy_text.taxi import TaxiEnv
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nchain_env import TabularMDP, chain_mdp, planning
from nchain_env.planning import (
    average_reward,
    evaluate_policy,
    optimal_return,
    policy_iteration,
    policy_return,
    value_iteration,
)

Array = npt.NDArray[np.float64]
Rows = list[list[Fraction]]

GAMMAS = st.sampled_from([0.0, 1e-9, 0.3, 0.5, 0.9, 0.95, 0.99])
HAS_LONG_DOUBLES = np.finfo(np.longdouble).eps < np.finfo(np.float64).eps
needs_long_doubles = pytest.mark.skipif(
    not HAS_LONG_DOUBLES, reason="this machine has no numbers finer than doubles"
)


# --- processes ------------------------------------------------------------------------------------


def random_mdp(
    seed: int, states: int, actions: int, outcomes: int, ending: float = 0.0, classes: int = 1
) -> TabularMDP:
    """A process that ends with some outcomes, and mostly stays among every `classes`-th state."""
    rng = np.random.default_rng(seed)
    shape = (states, actions, outcomes)
    next_state = rng.integers(states, size=shape)
    own = np.arange(states)[:, None, None] % classes
    inside = own + classes * (rng.integers(states, size=shape) // classes)
    stays = (rng.random((states, 1, 1)) < 0.8) & (inside < states)
    probability = rng.random(shape) ** 3 * (rng.random(shape) < 0.8)
    probability[:, :, 0] += 1e-3
    initial = rng.random(states) * (rng.random(states) < 0.5)
    initial[rng.integers(states)] += 0.1
    return TabularMDP(
        next_state=np.where(stays, inside, next_state),
        probability=probability / probability.sum(axis=-1, keepdims=True),
        reward=rng.normal(scale=10, size=shape).round(2),
        terminated=rng.random(shape) < ending,
        initial=initial / initial.sum(),
    )


@st.composite
def processes(draw: st.DrawFn, states: int = 4) -> TabularMDP:
    return random_mdp(
        draw(st.integers(0, 2**32 - 1)),
        draw(st.integers(1, states)),
        draw(st.integers(1, 3)),
        draw(st.integers(1, 3)),
        draw(st.sampled_from([0.0, 0.0, 0.2, 1.0])),
        draw(st.integers(1, 3)),
    )


@st.composite
def policies(draw: st.DrawFn, mdp: TabularMDP) -> npt.NDArray[Any]:
    """Actions, or probabilities of the actions, some of them 0."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    actions = rng.integers(mdp.num_actions, size=mdp.num_states)
    if draw(st.booleans()):
        return actions
    weights = rng.random((mdp.num_states, mdp.num_actions)) ** 3
    weights *= rng.random(weights.shape) < 0.7
    weights += np.eye(mdp.num_actions)[actions]
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def one_state(*rewards: float, probability: Sequence[float] = (1.0,)) -> TabularMDP:
    """One state and one action; outcome k pays rewards[k]."""
    shape = (1, 1, len(rewards))
    return TabularMDP(
        np.zeros(shape, dtype=np.int64),
        np.reshape(np.array(probability), shape),
        np.reshape(np.array(rewards), shape),
        np.zeros(shape, dtype=np.bool_),
        np.ones(1),
    )


def markov(P: Sequence[Sequence[float]], reward: Sequence[float], start: int = 0) -> TabularMDP:
    """A process without choice: P[s][s'] and the reward of being in s."""
    states = len(P)
    shape = (states, 1, states)
    return TabularMDP(
        np.broadcast_to(np.arange(states), shape),
        np.array(P)[:, None, :],
        np.broadcast_to(np.array(reward, dtype=np.float64)[:, None, None], shape),
        np.zeros(shape, dtype=np.bool_),
        np.eye(states)[start],
    )


# --- independent answers --------------------------------------------------------------------------


def one_hot(mdp: TabularMDP, policy: npt.NDArray[Any]) -> Array:
    """(S, A) probabilities, of either kind of policy."""
    return policy if policy.ndim == 2 else np.eye(mdp.num_actions)[policy]


def exact_model(mdp: TabularMDP) -> tuple[list[Rows], Rows]:
    """([S][A][S'] chances to go on in s', [S][A] expected rewards) as fractions."""
    chances, rewards = [], []
    for actions in mdp.P.values():
        chance = [[Fraction(0)] * mdp.num_states for _ in actions]
        for a, outcomes in actions.items():
            for p, s_next, _, end in outcomes:
                chance[a][s_next] += 0 if end else Fraction(p)
        chances.append(chance)
        rewards.append(
            [
                sum((Fraction(p) * Fraction(r) for p, _, r, _ in o), Fraction(0))
                for o in actions.values()
            ]
        )
    return chances, rewards


def exact_solve(matrix: Rows, right: list[Fraction]) -> list[Fraction]:
    """Gauss and Jordan, without rounding."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for i in range(len(rows)):
        pivot = next(k for k in range(i, len(rows)) if rows[k][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for k in range(len(rows)):
            if k != i:
                rows[k] = [x - rows[k][i] * y for x, y in zip(rows[k], rows[i], strict=True)]
    return [row[-1] for row in rows]


def exact_values(mdp: TabularMDP, policy: npt.NDArray[Any], gamma: float) -> list[Fraction]:
    chances, rewards = exact_model(mdp)
    weights = [[Fraction(w) for w in row] for row in one_hot(mdp, policy).tolist()]
    S, A = range(mdp.num_states), range(mdp.num_actions)
    matrix = [
        [(s == t) - Fraction(gamma) * sum(weights[s][a] * chances[s][a][t] for a in A) for t in S]
        for s in S
    ]
    return exact_solve(
        matrix, [sum((weights[s][a] * rewards[s][a] for a in A), Fraction(0)) for s in S]
    )


def exact_q(mdp: TabularMDP, gamma: float) -> Rows:
    """q* as fractions: the best of all deterministic policies is the best in every state."""
    S, A = range(mdp.num_states), range(mdp.num_actions)
    every = (np.array(p) for p in itertools.product(A, repeat=mdp.num_states))
    v = [max(values) for values in zip(*(exact_values(mdp, p, gamma) for p in every), strict=True)]
    chances, rewards = exact_model(mdp)
    return [
        [rewards[s][a] + Fraction(gamma) * sum(chances[s][a][t] * v[t] for t in S) for a in A]
        for s in S
    ]


def exact_error(q: Array, exact: Rows) -> Fraction:
    assert q.shape == (len(exact), len(exact[0]))
    return max(
        abs(Fraction(x) - y)
        for row, exact_row in zip(q.tolist(), exact, strict=True)
        for x, y in zip(row, exact_row, strict=True)
    )


def scipy(module: str) -> Any:
    """Return a module of SciPy; without SciPy the test is skipped."""
    return pytest.importorskip(f"scipy.{module}", reason="SciPy comes with the extra `agents`")


def sparse_model(mdp: TabularMDP, policy: npt.NDArray[Any]) -> tuple[Any, Array]:
    """(the S x S chances to go on as a SciPy matrix, the expected rewards) under a policy."""
    chosen = one_hot(mdp, policy)[:, :, None] * mdp.probability
    s = np.broadcast_to(np.arange(mdp.num_states)[:, None, None], chosen.shape)
    chances = scipy("sparse").coo_array(
        ((chosen * ~mdp.terminated).ravel(), (s.ravel(), mdp.next_state.ravel())),
        shape=(mdp.num_states, mdp.num_states),
    )
    return chances.tocsc(), (chosen * mdp.reward).sum(axis=(1, 2))


def sparse_values(mdp: TabularMDP, policy: npt.NDArray[Any], gamma: float) -> Array:
    chances, rewards = sparse_model(mdp, policy)
    identity = scipy("sparse").eye_array(mdp.num_states, format="csc")
    return np.asarray(scipy("sparse.linalg").spsolve(identity - gamma * chances, rewards))


def backed_up(mdp: TabularMDP, v: Array, gamma: float) -> Array:
    """(S, A) the Bellman backup, written a second time."""
    after = np.where(mdp.terminated, 0.0, v[mdp.next_state])
    return np.asarray((mdp.probability * (mdp.reward + gamma * after)).sum(axis=-1))


def always(n: int, action: int) -> npt.NDArray[np.int64]:
    return np.full(n, action)


def always_forward_value(n: int, slip: float, small: float, large: float, gamma: float) -> Array:
    """v(s) = c / (1 - a) + a^(n-1-s) (1 - slip) large / (1 - a), a = gamma (1 - slip).

    c = slip (small + gamma v(0)) is what a slip is worth; solved for v(0) with 1 - a - gamma slip
    = 1 - gamma.
    """
    a = gamma * (1 - slip)
    start = (slip * small + a ** (n - 1) * (1 - slip) * large) / (1 - gamma)
    to_go = n - 1 - np.arange(n)
    return np.asarray((slip * (small + gamma * start) + a**to_go * (1 - slip) * large) / (1 - a))


def always_forward_gain(n: int, slip: float, small: float, large: float) -> float:
    """The last state is where the chain is after n - 1 or more steps without a slip."""
    return slip * small + (1 - slip) ** (n - 1) * (1 - slip) * large


def limiting_gain(mdp: TabularMDP, policy: npt.NDArray[Any]) -> float:
    """Gain by squaring the matrix of the lazy chain 2^100 steps ahead; the end is a state."""
    chances, rewards = sparse_model(mdp, policy)
    states = mdp.num_states
    matrix = np.zeros((states + 1, states + 1))
    matrix[:states, :states] = chances.toarray()
    matrix[:, -1] = 1 - matrix.sum(axis=1)
    matrix[np.abs(matrix) < 1e-12] = 0
    matrix = (matrix + np.eye(states + 1)) / 2
    for _ in range(100):
        matrix = matrix @ matrix
        matrix /= matrix.sum(axis=1, keepdims=True)
    return float(np.append(mdp.initial, 0) @ matrix @ np.append(rewards, 0))


def outcomes_of_an_episode(
    mdp: TabularMDP, policy: npt.NDArray[Any], horizon: int
) -> Iterator[tuple[Fraction, Fraction]]:
    """(chance, return) of everything that can happen in one episode."""
    choice = [[Fraction(w) for w in row] for row in one_hot(mdp, policy).tolist()]
    episodes = [(Fraction(p), Fraction(0), s) for s, p in enumerate(mdp.initial.tolist()) if p]
    for _ in range(horizon):
        longer = []
        for chance, total, s in episodes:
            for a, weight in enumerate(choice[s]):
                for p, s_next, r, end in mdp.P[s][a] if weight else []:
                    after = (chance * weight * Fraction(p), total + Fraction(r))
                    if end:
                        yield after
                    elif p:
                        longer.append((*after, s_next))
        episodes = longer
    yield from ((chance, total) for chance, total, _ in episodes)


# --- the default chain ----------------------------------------------------------------------------

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


# --- value iteration ------------------------------------------------------------------------------


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
            r"which is what rounding may amount to; got 1e-30",
            str(caught.value),
        )

    @pytest.mark.parametrize("gamma", [math.nextafter(1, 0), 1 - 2.0**-50])
    @pytest.mark.parametrize("slip", [0.0, 0.2, 0.3])
    def test_a_gamma_that_no_numbers_can_tell_from_1_is_refused(
        self, gamma: float, slip: float
    ) -> None:
        with pytest.raises(ValueError, match="tolerance must be more than"):
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
    backup = planning._backup

    def counting(*args: Any) -> Any:
        calls.append(1)
        return backup(*args)

    monkeypatch.setattr(planning, "_backup", counting)

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
        q = planning._backup(planning._model(planning._outcomes(mdp, None), gamma), v)
        np.testing.assert_allclose(q.T, backed_up(mdp, v, gamma), rtol=1e-12, atol=1e-10)

    @given(mdp=processes(8), gamma=GAMMAS, seed=st.integers(0, 2**32 - 1))
    def test_it_brings_any_two_values_closer_by_the_discount(
        self, mdp: TabularMDP, gamma: float, seed: int
    ) -> None:
        v, w = np.random.default_rng(seed).normal(scale=100, size=(2, mdp.num_states))
        model = planning._model(planning._outcomes(mdp, None), gamma)
        v_next, w_next = (planning._backup(model, x).max(axis=0) for x in (v, w))
        assert np.abs(v_next - w_next).max() <= gamma * np.abs(v - w).max() + 1e-10

    @given(mdp=processes(8), gamma=GAMMAS, seed=st.integers(0, 2**32 - 1))
    def test_it_keeps_order(self, mdp: TabularMDP, gamma: float, seed: int) -> None:
        v, more = np.random.default_rng(seed).normal(scale=100, size=(2, mdp.num_states))
        model = planning._model(planning._outcomes(mdp, None), gamma)
        lower, upper = (planning._backup(model, x) for x in (v, v + np.abs(more)))
        assert (lower <= upper + 1e-10).all()


# --- policy iteration -----------------------------------------------------------------------------


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

        monkeypatch.setattr(planning, "evaluate_policy", misjudge)
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


# --- evaluation -----------------------------------------------------------------------------------


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


# --- finite horizon -------------------------------------------------------------------------------


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

    @pytest.mark.parametrize("horizon", [-1, 2.5, 10.0, "5", None, True, math.nan])
    def test_a_bad_horizon_is_refused(self, horizon: Any) -> None:
        expected = f"horizon must be an integer of at least 0, got {horizon!r}"
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


# --- gain -----------------------------------------------------------------------------------------


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
        monkeypatch.setattr(planning, "_GAIN_SWEEPS", 7)
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
            "the gain lies in [1, 2] after 7 sweeps: the policy's chain falls into parts with "
            "different gains, or mixes too slowly"
        )


# --- Gymnasium's own processes --------------------------------------------------------------------


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


# --- size -----------------------------------------------------------------------------------------


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
