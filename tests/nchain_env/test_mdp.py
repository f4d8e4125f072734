"""The outcome table: what it refuses, that it cannot change, and that it reads toy-text exactly."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import pytest
from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from gymnasium.envs.toy_text.taxi import TaxiEnv
from gymnasium.envs.toy_text.utils import categorical_sample
from hypothesis import example, given
from hypothesis import strategies as st

from nchain_env import TabularMDP, chain_mdp
from nchain_env.mdp import TransitionDict

FIELDS = ("next_state", "probability", "reward", "terminated", "initial")

# Two states, one action, two outcomes.
GOOD: dict[str, Any] = {
    "next_state": [[[0, 1]], [[1, 0]]],
    "probability": [[[0.25, 0.75]], [[1.0, 0.0]]],
    "reward": [[[1.0, -2.0]], [[3, 4]]],
    "terminated": [[[False, True]], [[False, False]]],
    "initial": [0.5, 0.5],
}


def build(**changes: Any) -> TabularMDP:
    return TabularMDP(**{**GOOD, **changes})


def assert_equal(one: TabularMDP, other: TabularMDP) -> None:
    for name in FIELDS:
        left, right = getattr(one, name), getattr(other, name)
        assert left.dtype == right.dtype, name
        np.testing.assert_array_equal(left, right, err_msg=name)


class TestArrays:
    def test_the_fields_are_arrays_of_the_stated_shapes_and_dtypes(self) -> None:
        mdp = build()
        expected = {
            "next_state": np.int64,
            "probability": np.float64,
            "reward": np.float64,
            "terminated": np.bool_,
            "initial": np.float64,
        }
        for name, dtype in expected.items():
            array = getattr(mdp, name)
            assert array.dtype == dtype
            assert array.flags.c_contiguous
            assert array.tolist() == GOOD[name]
        assert (mdp.num_states, mdp.num_actions) == (2, 1)

    def test_states_and_actions_are_counted_on_their_own_axes(self) -> None:
        shape = (2, 3, 5)
        mdp = TabularMDP(
            np.ones(shape, dtype=np.int64),
            np.full(shape, 0.2),
            np.zeros(shape),
            np.zeros(shape, dtype=np.bool_),
            np.array([1.0, 0.0]),
        )
        assert (mdp.num_states, mdp.num_actions) == (2, 3)

    def test_arrays_of_narrower_types_are_widened(self) -> None:
        mdp = build(
            next_state=np.array(GOOD["next_state"], dtype=np.uint8),
            probability=np.array(GOOD["probability"], dtype=np.float32),
            reward=np.array([[[1, 2]], [[3, 4]]], dtype=np.int16),
        )
        assert mdp.next_state.tolist() == GOOD["next_state"]
        assert mdp.probability.tolist() == GOOD["probability"]
        assert mdp.reward.tolist() == [[[1.0, 2.0]], [[3.0, 4.0]]]

    def test_arrays_in_fortran_order_are_laid_out_anew(self) -> None:
        mdp = build(next_state=np.asfortranarray(GOOD["next_state"]))
        assert mdp.next_state.flags.c_contiguous
        assert mdp.next_state.tolist() == GOOD["next_state"]

    @pytest.mark.parametrize("name", [*FIELDS, "cumulative", "cumulative_initial"])
    @pytest.mark.parametrize(
        "remade",
        [
            lambda mdp: mdp,
            copy.copy,
            copy.deepcopy,
            lambda mdp: pickle.loads(pickle.dumps(mdp)),
            lambda mdp: TabularMDP.from_P(mdp.P, mdp.initial),
        ],
        ids=["new", "copied", "deepcopied", "pickled", "read"],
    )
    def test_no_array_can_be_written_to(self, name: str, remade: Any) -> None:
        mdp = build()
        assert mdp.cumulative[0, 0, 1] == 1.0  # what is cached must not come along writable
        array = getattr(remade(mdp), name)
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0

    def test_no_field_can_be_replaced(self) -> None:
        with pytest.raises(FrozenInstanceError):
            build().reward = np.zeros((2, 1, 2))  # type: ignore[misc]

    @pytest.mark.parametrize("remade", [copy.copy, copy.deepcopy])
    def test_a_copy_holds_the_same_arrays(self, remade: Any) -> None:
        assert_equal(remade(build()), build())

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_a_pickled_table_holds_the_same_arrays(self, protocol: int) -> None:
        again = pickle.loads(pickle.dumps(build(), protocol))
        assert type(again) is TabularMDP
        assert_equal(again, build())

    def test_what_it_was_made_from_stays_writable_and_apart(self) -> None:
        arrays = {name: np.array(value) for name, value in GOOD.items()}
        arrays["reward"] = arrays["reward"].astype(np.float64)
        mdp = TabularMDP(**arrays)
        for array in arrays.values():
            assert array.flags.writeable
            array[...] = 0
        assert_equal(mdp, build())

    def test_tables_are_hashable_and_equal_only_to_themselves(self) -> None:
        mdp = build()
        assert mdp == mdp
        assert mdp != build()
        assert len({mdp, build(), mdp}) == 2

    def test_cumulative_probabilities_are_the_running_sums_of_the_outcomes(self) -> None:
        mdp = build()
        assert mdp.cumulative.tolist() == [[[0.25, 1.0]], [[1.0, 1.0]]]
        assert mdp.cumulative_initial.tolist() == [0.5, 1.0]
        assert mdp.cumulative is mdp.cumulative
        assert mdp.cumulative_initial is mdp.cumulative_initial


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"next_state": [[0, 1], [1, 0]]},
                "next_state must have shape (S, A, K), none of them 0, got (2, 2)",
            ),
            (
                {"next_state": [[[[0, 1]], [[1, 0]]]]},
                "next_state must have shape (S, A, K), none of them 0, got (1, 2, 1, 2)",
            ),
            (
                {"next_state": np.zeros((2, 1, 0), dtype=np.int64)},
                "next_state must have shape (S, A, K), none of them 0, got (2, 1, 0)",
            ),
            (
                {"next_state": np.zeros((2, 0, 2), dtype=np.int64)},
                "next_state must have shape (S, A, K), none of them 0, got (2, 0, 2)",
            ),
            (
                {"next_state": np.zeros((0, 1, 2), dtype=np.int64)},
                "next_state must have shape (S, A, K), none of them 0, got (0, 1, 2)",
            ),
            ({"next_state": 0}, "next_state must have shape (S, A, K), none of them 0, got ()"),
            ({"next_state": [[[0, 2]], [[1, 0]]]}, "next_state must lie in [0, 2)"),
            ({"next_state": [[[0, 1]], [[1, -1]]]}, "next_state must lie in [0, 2)"),
            (
                {"next_state": np.array([[[0, 2**63]], [[1, 0]]], dtype=np.uint64)},
                "next_state must lie in [0, 2)",
            ),
            (
                {"next_state": [[[0.0, 1.0]], [[1.0, 0.0]]]},
                "next_state must hold int64 values, got float64",
            ),
            ({"next_state": [[["0", "1"]], [["1", "0"]]]}, "next_state must hold int64 values"),
            ({"probability": [[[1.0]], [[1.0]]]}, "probability must have the shape of next_state"),
            ({"probability": [[[0.5, 0.6]], [[1, 0]]]}, "probability must sum to 1"),
            ({"probability": [[[0.5, 0.5]], [[1, 1e-6]]]}, "probability must sum to 1"),
            ({"probability": [[[0.5, 0.5]], [[0.0, 0.0]]]}, "probability must sum to 1"),
            ({"probability": [[[0.5, math.inf]], [[1, 0]]]}, "probability must sum to 1"),
            ({"probability": [[[-0.5, 1.5]], [[1, 0]]]}, "probability must be at least 0"),
            ({"probability": [[[0.5, 0.5]], [[math.nan, 0]]]}, "probability must be at least 0"),
            ({"probability": [[[0.5, 0.5]], [[1j, 0]]]}, "probability must hold float64 values"),
            ({"reward": [[[1.0, 2.0]]]}, "reward must have the shape of next_state"),
            ({"reward": 0.0}, "reward must have the shape of next_state"),
            ({"reward": [[[1.0, math.inf]], [[3, 4]]]}, "reward must be finite"),
            ({"reward": [[[1.0, -math.inf]], [[3, 4]]]}, "reward must be finite"),
            ({"reward": [[[1.0, 2.0]], [[math.nan, 4]]]}, "reward must be finite"),
            ({"reward": [[["a", "b"]], [["c", "d"]]]}, "reward must hold float64 values"),
            ({"reward": None}, "reward must hold float64 values, got object"),
            ({"reward": [[[1.0, 2.0]], [[3.0]]]}, "reward must be an array"),
            ({"terminated": [[[True]], [[True]]]}, "terminated must have the shape of next_state"),
            ({"terminated": [[[0, 1]], [[0, 0]]]}, "terminated must hold bool values, got int64"),
            ({"initial": [1.0]}, "initial must have shape (2,), got (1,)"),
            ({"initial": [[1.0, 0.0]]}, "initial must have shape (2,), got (1, 2)"),
            ({"initial": 1.0}, "initial must have shape (2,), got ()"),
            ({"initial": [0.5, 0.6]}, "initial must sum to 1 over its last axis, off by 0.1"),
            ({"initial": [-0.5, 1.5]}, "initial must be at least 0"),
            ({"initial": [math.nan, 1.0]}, "initial must be at least 0"),
            ({"initial": ["a", "b"]}, "initial must hold float64 values"),
        ],
    )
    def test_a_bad_array_is_refused_by_name(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
            build(**changes)
        assert str(caught.value).startswith(message)

    def test_the_message_of_a_wrong_shape_says_both_shapes(self) -> None:
        with pytest.raises(ValueError, match="reward") as caught:
            build(reward=[[[1.0, 2.0]]])
        assert str(caught.value) == (
            "reward must have the shape of next_state, (2, 1, 2), got (1, 1, 2)"
        )

    def test_the_message_of_a_bad_value_says_what_was_there(self) -> None:
        messages = {
            "next_state": (
                [[[0, 9]], [[1, 0]]],
                "next_state must lie in [0, 2), got values outside",
            ),
            "reward": ([[[0, math.nan]], [[1, 0]]], "reward must be finite, got NaN or infinity"),
            "initial": ([-1.0, 2.0], "initial must be at least 0, got negative values or NaN"),
        }
        for name, (value, message) in messages.items():
            with pytest.raises(ValueError, match=name) as caught:
                build(**{name: value})
            assert str(caught.value) == message

    def test_probabilities_may_be_off_by_rounding_but_not_by_more(self) -> None:
        build(probability=[[[0.5, 0.5 + 9e-10]], [[1.0, 0.0]]])
        build(probability=[[[0.5, 0.5 - 9e-10]], [[1.0, 0.0]]], initial=[0.5, 0.5 - 9e-10])
        for error in (-2e-9, 2e-9):
            with pytest.raises(ValueError, match=r"probability must sum to 1 .*, off by 2e-09$"):
                build(probability=[[[0.5, 0.5 + error]], [[1.0, 0.0]]])
            with pytest.raises(ValueError, match=r"initial must sum to 1 .*, off by 2e-09$"):
                build(initial=[0.5, 0.5 + error])


@st.composite
def dictionaries(draw: st.DrawFn) -> tuple[TransitionDict, list[float]]:
    """A toy-text dictionary with rows of different lengths, and a start distribution."""
    states, actions = draw(st.integers(1, 4)), draw(st.integers(1, 3))

    def distribution(size: int) -> list[float]:
        weights = draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))
        weights[draw(st.integers(0, size - 1))] += 1
        return [weight / sum(weights) for weight in weights]

    def row() -> list[tuple[float, int, float, bool]]:
        return [
            (
                p,
                draw(st.integers(0, states - 1)),
                # 1.0 is the least here: a reward of 0 is left to the tests of the padding below
                draw(st.floats(1.0, 1e300) | st.floats(-1e300, -1.0)),
                draw(st.booleans()),
            )
            for p in distribution(draw(st.integers(1, 4)))
        ]

    P = {s: {a: row() for a in range(actions)} for s in range(states)}
    return P, distribution(states)


class TestDictionary:
    @given(dictionaries())
    def test_reading_a_dictionary_and_giving_it_back_changes_nothing(
        self, given_: tuple[TransitionDict, list[float]]
    ) -> None:
        P, initial = given_
        mdp = TabularMDP.from_P(P, initial)
        assert mdp.P == P
        assert mdp.initial.tolist() == initial
        assert_equal(TabularMDP.from_P(mdp.P, mdp.initial), mdp)

    @given(n=st.integers(1, 8), slip=st.floats(0, 1))
    @example(n=1, slip=0.0)
    @example(n=1, slip=1.0)
    @example(n=5, slip=0.0)
    @example(n=5, slip=1.0)
    def test_a_chain_survives_the_way_through_its_dictionary(self, n: int, slip: float) -> None:
        mdp = chain_mdp(n, slip)
        assert_equal(TabularMDP.from_P(mdp.P, mdp.initial), mdp)

    def test_a_process_that_ends_without_reward_survives_it_too(self) -> None:
        mdp = TabularMDP([[[0]]], [[[1.0]]], [[[0.0]]], [[[True]]], [1.0])  # type: ignore[arg-type]
        assert mdp.P == {0: {0: [(1.0, 0, 0.0, True)]}}
        assert_equal(TabularMDP.from_P(mdp.P, mdp.initial), mdp)

    def test_short_rows_are_filled_with_outcomes_that_never_happen(self) -> None:
        P: TransitionDict = {
            0: {0: [(1.0, 1, 5.0, False)], 1: [(0.5, 0, 1.0, True), (0.5, 1, 2.0, False)]},
            1: {0: [(0.25, 0, 3.0, False), (0.75, 1, 4.0, True)], 1: [(1.0, 0, 6.0, True)]},
        }
        mdp = TabularMDP.from_P(P, [0.0, 1.0])
        assert mdp.next_state.tolist() == [[[1, 0], [0, 1]], [[0, 1], [0, 1]]]
        assert mdp.probability.tolist() == [[[1, 0], [0.5, 0.5]], [[0.25, 0.75], [1, 0]]]
        assert mdp.reward.tolist() == [[[5, 0], [1, 2]], [[3, 4], [6, 0]]]
        assert mdp.terminated.tolist() == [
            [[False, True], [True, False]],
            [[False, True], [True, True]],
        ]
        assert mdp.initial.tolist() == [0, 1]
        assert mdp.P == P

    @pytest.mark.parametrize(
        "outcome",
        [
            (0.0, 1, 0.0, True),  # leads elsewhere
            (0.0, 0, 1.0, True),  # would pay
            (0.0, 0, 0.0, False),  # would go on
            (0.5, 0, 0.0, True),  # happens
        ],
    )
    def test_an_outcome_is_kept_though_it_resembles_the_filling(
        self, outcome: tuple[float, int, float, bool]
    ) -> None:
        first = (1.0 - outcome[0], 1, 1.0, False)
        P: TransitionDict = {
            0: {0: [first, outcome]},
            1: {0: [(0.0, 1, 0.0, True), (0.5, 0, 0.0, True), (0.5, 1, 0.0, True)]},
        }
        assert TabularMDP.from_P(P, [1.0, 0.0]).P == P

    def test_the_dictionary_holds_plain_python_numbers(self) -> None:
        ((p, s_next, r, end),) = build().P[0][0][1:]
        assert [type(value) for value in (p, s_next, r, end)] == [float, int, float, bool]
        assert [type(key) for key in (*build().P, *build().P[0])] == [int, int, int]

    def test_states_may_come_in_any_order(self) -> None:
        P: TransitionDict = {
            1: {1: [(1.0, 0, 4.0, True)], 0: [(1.0, 1, 3.0, False)]},
            0: {0: [(1.0, 1, 1.0, False)], 1: [(1.0, 0, 2.0, False)]},
        }
        mdp = TabularMDP.from_P(P, [1.0, 0.0])
        assert mdp.reward.tolist() == [[[1.0], [2.0]], [[3.0], [4.0]]]
        assert mdp.P == P

    ROW = ((1.0, 0, 0.0, False),)
    STATES = "P must be a dictionary with the states 0, 1, ..., S - 1 as keys"
    ACTIONS = "P must have the same actions 0, 1, ..., A - 1 in every state"
    OUTCOME = "P[0][0][0] must be (probability, next_state, reward, terminated), got "

    @pytest.mark.parametrize(
        ("P", "message"),
        [
            (None, STATES),
            ({}, STATES),
            ([{0: list(ROW)}], STATES),
            ({1: {0: list(ROW)}}, STATES),
            ({0: {0: list(ROW)}, 2: {0: list(ROW)}}, STATES),
            ({"a": {0: list(ROW)}}, STATES),
            ({0: {}}, ACTIONS),
            ({0: [list(ROW)]}, ACTIONS),
            ({0: 3}, ACTIONS),
            ({0: {1: list(ROW)}}, ACTIONS),
            ({0: {0: list(ROW)}, 1: {}}, ACTIONS),
            ({0: {0: list(ROW)}, 1: {0: list(ROW), 1: list(ROW)}}, ACTIONS),
            ({0: {0: list(ROW), 1: list(ROW)}, 1: {0: list(ROW)}}, ACTIONS),
            ({0: {0: []}}, "P[0][0] must be a list of outcomes, got []"),
            ({0: {0: None}}, "P[0][0] must be a list of outcomes, got None"),
            (
                {0: {0: list(ROW), 1: list(ROW)}, 1: {0: list(ROW), 1: "no"}},
                "P[1][1] must be a list of outcomes, got 'no'",
            ),
            ({0: {0: [(1.0, 0, 0.0)]}}, OUTCOME + "(1.0, 0, 0.0)"),
            ({0: {0: [(1.0, 0, 0.0, False, 1)]}}, OUTCOME + "(1.0, 0, 0.0, False, 1)"),
            ({0: {0: [7]}}, OUTCOME + "7"),
            ({0: {0: [("x", 0, 0.0, False)]}}, OUTCOME + "('x', 0, 0.0, False)"),
            ({0: {0: [(1.0, 0.5, 0.0, False)]}}, OUTCOME + "(1.0, 0.5, 0.0, False)"),
            ({0: {0: [(1.0, 0, None, False)]}}, OUTCOME + "(1.0, 0, None, False)"),
            ({0: {0: [(1.0, 2**70, 0.0, False)]}}, OUTCOME + f"(1.0, {2**70}, 0.0, False)"),
            ({0: {0: [(1.0, 1, 0.0, False)]}}, "next_state must lie in [0, 1)"),
            ({0: {0: [(0.5, 0, 0.0, False)]}}, "probability must sum to 1"),
            ({0: {0: [(1.0, 0, math.inf, False)]}}, "reward must be finite"),
        ],
    )
    def test_a_malformed_dictionary_is_refused_with_the_place(self, P: Any, message: str) -> None:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
            TabularMDP.from_P(P, [1.0])
        assert str(caught.value).startswith(message)

    @pytest.mark.parametrize("initial", [[0.5], [1.0, 0.0], "x", None])
    def test_a_bad_start_distribution_is_refused(self, initial: Any) -> None:
        with pytest.raises(ValueError, match=r"^initial must "):
            TabularMDP.from_P({0: {0: [(1.0, 0, 0.0, False)]}}, initial)


class TestEnvironments:
    @pytest.mark.parametrize(
        ("env_class", "options"),
        [
            (FrozenLakeEnv, {}),
            (FrozenLakeEnv, {"is_slippery": False}),
            (FrozenLakeEnv, {"map_name": "8x8"}),
            (FrozenLakeEnv, {"desc": ["SFS", "HFG"]}),
            (FrozenLakeEnv, {"success_rate": 0.9}),
            (FrozenLakeEnv, {"success_rate": 1.0}),
            (FrozenLakeEnv, {"success_rate": 0.0, "reward_schedule": (5, -3, -1)}),
            (TaxiEnv, {}),
            (TaxiEnv, {"is_rainy": True}),
            (CliffWalkingEnv, {}),
            (CliffWalkingEnv, {"is_slippery": True}),
        ],
    )
    def test_the_model_read_from_a_toy_text_environment_is_its_own(
        self, toy_text: Callable[..., Any], env_class: Any, options: dict[str, Any]
    ) -> None:
        model = toy_text(env_class, **options)
        mdp = TabularMDP.from_env(model)
        assert mdp.P == model.P
        assert mdp.initial.tolist() == model.initial_state_distrib.tolist()
        assert (mdp.num_states, mdp.num_actions) == (
            model.observation_space.n,
            model.action_space.n,
        )
        assert_equal(TabularMDP.from_P(mdp.P, mdp.initial), mdp)

    def test_wrappers_are_looked_through(self) -> None:
        env: gym.Env[Any, Any] = gym.make("FrozenLake-v1", max_episode_steps=7)
        wrapped: gym.Env[Any, Any] = gym.wrappers.TransformReward(
            gym.wrappers.RecordEpisodeStatistics(env), lambda reward: -float(reward)
        )
        assert_equal(TabularMDP.from_env(wrapped), TabularMDP.from_env(env.unwrapped))

    def test_a_table_that_the_environment_keeps_is_taken_as_it_is(self) -> None:
        env: gym.Env[Any, Any] = gym.make("NChain-v0", n=7, slip=0.3)
        model: Any = env.unwrapped
        assert TabularMDP.from_env(env) is model.mdp
        assert_equal(model.mdp, chain_mdp(7, 0.3))

    def test_something_else_by_the_name_of_mdp_is_not_taken(self) -> None:
        env: gym.Env[Any, Any] = gym.make("FrozenLake-v1")
        env.unwrapped.mdp = "not a table"  # type: ignore[attr-defined]
        assert TabularMDP.from_env(env).num_states == 16

    @pytest.mark.parametrize(
        ("env_id", "name"), [("Blackjack-v1", "BlackjackEnv"), ("CartPole-v1", "CartPoleEnv")]
    )
    def test_an_environment_without_a_model_is_refused(self, env_id: str, name: str) -> None:
        with pytest.raises(ValueError, match=r"^env must") as caught:
            TabularMDP.from_env(gym.make(env_id))
        assert str(caught.value) == (
            "env must have a model, toy-text's `P` and `initial_state_distrib`; "
            f"{name} has no `P`, "
            "P[state][action] = [(probability, next_state, reward, terminated), ...]"
        )

    def test_an_environment_without_a_start_distribution_is_refused(self) -> None:
        env: gym.Env[Any, Any] = gym.make("FrozenLake-v1")
        del env.unwrapped.initial_state_distrib  # type: ignore[attr-defined]
        missing = (
            r"FrozenLakeEnv has no `initial_state_distrib`, "
            r"the \(S,\) probabilities of the state after a reset$"
        )
        with pytest.raises(ValueError, match=missing):
            TabularMDP.from_env(env)


class OneNumber:
    """A generator that draws the number it was given."""

    def __init__(self, number: float) -> None:
        self.number = number

    def random(self) -> float:
        return self.number


class TestSampling:
    """The outcome of a number u is the first whose cumulative probability exceeds u."""

    @staticmethod
    def sampled(probability: npt.NDArray[np.float64], u: float) -> int:
        return int(categorical_sample(probability, OneNumber(u)))  # type: ignore[arg-type]

    @given(dictionaries(), st.floats(0, 1, exclude_max=True))
    def test_it_is_the_outcome_that_toy_text_takes(
        self, given_: tuple[TransitionDict, list[float]], u: float
    ) -> None:
        mdp = TabularMDP.from_P(*given_)
        edges = [*mdp.cumulative.ravel().tolist(), *mdp.cumulative_initial.tolist()]
        for number in (u, *(edge for edge in edges if edge < 1)):
            for s in range(mdp.num_states):
                for a in range(mdp.num_actions):
                    first = int(np.argmax(mdp.cumulative[s, a] > number))
                    assert first == self.sampled(mdp.probability[s, a], number)
            first = int(np.argmax(mdp.cumulative_initial > number))
            assert first == self.sampled(mdp.initial, number)

    @given(slip=st.floats(0, 1), u=st.floats(0, 1, exclude_max=True))
    @example(slip=0.2, u=0.2)
    @example(slip=0.2, u=np.nextafter(0.2, 0))
    def test_the_chain_slips_exactly_when_the_number_is_below_slip(
        self, slip: float, u: float
    ) -> None:
        mdp = chain_mdp(2, slip)
        first = int(np.argmax(mdp.cumulative[0, 0] > u))
        assert (first == 0) == (u < slip)
