import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from nchain_agents import PosteriorSampling, QLearning
from nchain_agents.exploration import (
    best_value,
    boltzmann,
    choose,
    greedy,
    policy_value,
    probabilities,
)
from nchain_agents.schedules import epsilon_schedule

Q = np.array([[9.0, 9.0, 9.0, 9.0], [1.0, 3.0, 2.0, 3.0], [0.0, -1.0, 5.0, 4.0]])


class Always:
    """Stands in for a generator: always the same number, counted."""

    def __init__(self, number: float) -> None:
        self.number = number
        self.draws = 0

    def random(self) -> float:
        self.draws += 1
        return self.number


def frequencies(draw: Any, times: int = 20_000) -> Counter[int]:
    return Counter(draw() for _ in range(times))


def assert_frequency(count: int, times: int, probability: float) -> None:
    assert binomtest(count, times, probability).pvalue > 1e-6


def test_greedy_takes_the_largest_and_draws_nothing_for_it() -> None:
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert greedy(Q, 2, rng) == 2
    assert greedy(np.array([[-1.0]]), 0, rng) == 0
    assert greedy(np.array([[-3.0, -2.0, -1.0]]), 0, rng) == 2
    assert rng.bit_generator.state == before


def test_greedy_breaks_ties_evenly_among_the_largest_only() -> None:
    rng = np.random.default_rng(0)
    two = frequencies(lambda: greedy(Q, 1, rng))
    assert set(two) == {1, 3}
    assert_frequency(two[1], 20_000, 1 / 2)
    four = frequencies(lambda: greedy(Q, 0, rng))
    for action in range(4):
        assert_frequency(four[action], 20_000, 1 / 4)


def test_epsilon_greedy_explores_with_probability_epsilon_over_all_actions() -> None:
    rng = np.random.default_rng(1)
    counts = frequencies(lambda: choose(Q, 2, 0.3, 0.0, rng))
    for action, probability in enumerate([0.075, 0.075, 0.775, 0.075]):
        assert_frequency(counts[action], 20_000, probability)
    assert set(frequencies(lambda: choose(Q, 2, 0.0, 0.0, rng), 100)) == {2}
    always = frequencies(lambda: choose(Q, 2, 1.0, 0.0, rng))
    for action in range(4):
        assert_frequency(always[action], 20_000, 1 / 4)


def test_boltzmann_chooses_in_proportion_to_the_exponential_of_the_value() -> None:
    rng = np.random.default_rng(2)
    weights = [math.exp(v / 2.0) for v in (0.0, -1.0, 5.0, 4.0)]
    counts = frequencies(lambda: boltzmann(Q, 2, 2.0, rng))
    for action in range(4):
        assert_frequency(counts[action], 20_000, weights[action] / sum(weights))
    # half of the time at random, half of it by the weights
    mixed = frequencies(lambda: choose(Q, 2, 0.5, 2.0, rng))
    for action in range(4):
        probability = 0.5 / 4 + 0.5 * weights[action] / sum(weights)
        assert_frequency(mixed[action], 20_000, probability)


@pytest.mark.parametrize(
    ("number", "epsilon", "action", "draws"),
    [
        (0.0, 0.0, 2, 0),  # nothing is drawn where nothing is explored
        (0.5, 0.5, 2, 1),  # a number equal to epsilon does not explore
        (0.0, 0.5, 0, 1),
        (0.125, 0.5, 1, 1),  # a quarter of the way below epsilon: the second of four
        (0.4999, 0.5, 3, 1),
    ],
)
def test_a_number_below_epsilon_names_the_action(
    number: float, epsilon: float, action: int, draws: int
) -> None:
    rng: Any = Always(number)
    assert choose(Q, 2, epsilon, 0.0, rng) == action
    assert rng.draws == draws


def test_any_temperature_above_0_takes_lesser_actions_too() -> None:
    q, rng = np.array([[0.0, 1e-3]]), Always(0.0)
    for temperature, action in ((0.0, 1), (0.01, 0), (1.0, 0), (2.0, 0)):
        assert choose(q, 0, 0.0, temperature, rng) == action  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "action"), [(0.0, 0), (0.2499, 0), (0.25, 1), (0.4999, 1), (0.5, 2), (0.9999, 2)]
)
def test_a_number_names_the_action_by_the_shares_of_the_weights(number: float, action: int) -> None:
    rng: Any = Always(number)
    # the weights are 1/2, 1/2 and 1, exactly
    q = np.array([[0.0, 0.0, 0.0], [math.log(0.5), math.log(0.5), 0.0]])
    assert [math.exp(value) for value in q[1]] == [0.5, 0.5, 1.0]
    assert boltzmann(q, 1, 1.0, rng) == action


def test_an_action_of_no_weight_is_never_taken() -> None:
    rng: Any = Always(0.0)
    assert boltzmann(np.array([[-1e6, 0.0]]), 0, 1e-3, rng) == 1


def test_rounding_leaves_no_number_without_an_action() -> None:
    rng: Any = Always(float(np.nextafter(1.0, 0.0)))
    rows = np.random.default_rng(4).normal(size=(2000, 6))
    assert {boltzmann(rows, state, 0.7, rng) for state in range(2000)} == {5}


def test_boltzmann_does_not_overflow() -> None:
    rng = np.random.default_rng(3)
    assert boltzmann(np.array([[1e6, -1e6, 0.0]]), 0, 1e-3, rng) == 0


def test_the_value_of_a_policy_is_the_mean_over_its_actions() -> None:
    # state 1: mean 9/4, largest 3
    assert policy_value(Q, 1, 0.0, 0.0) == 3.0
    assert policy_value(Q, 1, 1.0, 0.0) == pytest.approx(2.25)
    assert policy_value(Q, 1, 0.2, 0.0) == pytest.approx(0.2 * 2.25 + 0.8 * 3.0)
    two = np.array([[1.0, 1.0 + 2 * math.log(3.0)]])  # weights 1 and 3 at temperature 2
    assert policy_value(two, 0, 0.0, 2.0) == pytest.approx(1.0 + 1.5 * math.log(3.0))
    assert policy_value(np.array([[-1e6, 1e6]]), 0, 0.0, 1e-3) == 1e6
    assert best_value(Q, 2) == 5.0


def test_schedules_give_the_values_written_out_by_hand() -> None:
    assert epsilon_schedule(0.3).epsilon(9, 10, 7) == 0.3
    # the tutorial multiplies before its first episode: 0.5 x 0.999
    decay = epsilon_schedule({"initial": 0.5, "decay": 0.9})
    assert decay.epsilon(0, 10, 0) == pytest.approx(0.45)
    assert decay.epsilon(5, 10, 1) == pytest.approx(0.405)
    linear = epsilon_schedule({"initial": 1.0, "final": 0.1, "fraction": 0.5})
    values = [linear.epsilon(step, 100, 3) for step in (0, 25, 50, 100)]
    assert values == pytest.approx([1.0, 0.55, 0.1, 0.1])
    at_once = epsilon_schedule({"initial": 1.0, "final": 0.1, "fraction": 0.0})
    assert [at_once.epsilon(step, 100, 0) for step in (1, 50)] == [0.1, 0.1]
    soon = epsilon_schedule({"initial": 1.0, "final": 0.5, "fraction": 0.01})
    assert [soon.epsilon(step, 100, 0) for step in (0, 1, 2)] == [1.0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("epsilon", "message"),
    [
        (1.5, r"epsilon must be a number in \[0, 1\], got 1.5"),
        (float("nan"), "got nan"),
        ("0.1", "got '0.1'"),
        ({"initial": 0.5, "decay": 2.0}, r"epsilon \(decay\)"),
        (
            {"initial": -1, "final": 0.1, "fraction": 0.5},
            r"epsilon \(initial\) must be .*, got -1$",
        ),
        (
            {"start": 0.5},
            r"^epsilon must be a number, {initial, decay} or {initial, final, fraction}, "
            r"got {'start': 0.5}$",
        ),
    ],
)
def test_a_bad_schedule_is_refused_by_name(epsilon: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        epsilon_schedule(epsilon)


def test_the_probabilities_of_the_actions_by_hand() -> None:
    q = np.array([[1.0, 3.0, 3.0, 0.0], [0.0, 1.0, 2.0, 3.0]])
    greedy = probabilities(q, 0.2, 0.0)
    np.testing.assert_allclose(greedy, [[0.05, 0.45, 0.45, 0.05], [0.05, 0.05, 0.05, 0.85]])
    warm = probabilities(q[1] * np.log(2.0), 0.0, 1.0)
    np.testing.assert_allclose(warm, np.array([1, 2, 4, 8]) / 15)
    # what is worse by more than any float has the probability 0
    np.testing.assert_array_equal(probabilities(np.array([1e300, -1e300]), 0.0, 1e-300), [1, 0])


@pytest.mark.parametrize(
    "parameters",
    [{"epsilon": 0.3}, {"epsilon": 0.1, "temperature": 2.0, "initial_q": (0.0, 5.0)}],
)
def test_an_agent_acts_with_the_probabilities_that_it_tells(parameters: dict[str, Any]) -> None:
    agent = QLearning("NChain-v0", seed=0, compiled=False, **parameters).learn(200)
    told = agent.action_probabilities(np.arange(5))
    actions, _ = agent.predict(np.tile(np.arange(5), 4000))
    forward = (actions.reshape(4000, 5) == 0).mean(axis=0)
    error = np.sqrt(told[:, 0] * told[:, 1] / 4000)
    assert (abs(forward - told[:, 0]) < 4.5 * error).all()
    np.testing.assert_allclose(agent.action_probabilities(2), told[2])


def test_a_planner_tells_the_policy_of_its_plan() -> None:
    agent = PosteriorSampling("NChain-v0", seed=1, compiled=False).learn(300)
    told = agent.action_probabilities(np.arange(5))
    np.testing.assert_array_equal(told, np.eye(2)[agent.predict(np.arange(5))[0]])
    np.testing.assert_array_equal(told, np.eye(2)[agent.tables.q.argmax(axis=1)])
