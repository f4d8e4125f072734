from collections import Counter

import numpy as np
import pytest
from scipy.stats import binomtest

from nchain_agents.exploration import (
    Constant,
    Decay,
    Linear,
    epsilon_greedy,
    epsilon_schedule,
    greedy,
)


def test_greedy_takes_the_largest_and_draws_nothing_for_it() -> None:
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert greedy(np.array([1.0, 3.0, 2.0]), rng) == 1
    assert greedy(np.array([-1.0]), rng) == 0
    assert rng.bit_generator.state == before


def test_greedy_breaks_ties_evenly_among_the_largest_only() -> None:
    rng = np.random.default_rng(0)
    counts = Counter(greedy(np.array([2.0, 1.0, 2.0, 2.0]), rng) for _ in range(9000))
    assert set(counts) == {0, 2, 3}
    for action in counts:
        assert binomtest(counts[action], 9000, 1 / 3).pvalue > 1e-6


def test_epsilon_greedy_explores_with_probability_epsilon_over_all_actions() -> None:
    rng = np.random.default_rng(1)
    actions = Counter(epsilon_greedy(np.array([0.0, 1.0]), 0.3, rng) for _ in range(10_000))
    # the greedy action is also among those explored
    assert binomtest(actions[0], 10_000, 0.15).pvalue > 1e-6


def test_schedules_give_the_values_written_out_by_hand() -> None:
    assert Constant(0.3)(0.9, 7) == 0.3
    # the tutorial multiplies before its first episode: 0.5 x 0.999
    assert Decay(0.5, 0.999)(0.0, 0) == pytest.approx(0.4995)
    assert Decay(0.5, 0.9)(0.0, 1) == pytest.approx(0.405)
    linear = Linear(1.0, 0.1, 0.5)
    assert [linear(p, 0) for p in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([1.0, 0.55, 0.1, 0.1])
    assert Linear(1.0, 0.1, 0.0)(0.0, 0) == 0.1


def test_a_schedule_can_be_written_as_a_number_or_its_fields() -> None:
    assert epsilon_schedule(0.2) == Constant(0.2)
    assert epsilon_schedule({"initial": 0.5, "decay": 0.9}) == Decay(0.5, 0.9)
    fields = {"initial": 1.0, "final": 0.1, "fraction": 0.5}
    assert epsilon_schedule(fields) == Linear(1.0, 0.1, 0.5)
    assert epsilon_schedule(Linear(1.0, 0.1, 0.5)) == Linear(1.0, 0.1, 0.5)


@pytest.mark.parametrize(
    ("epsilon", "message"),
    [
        (1.5, r"epsilon \(initial\) must be a number in \[0, 1\], got 1.5"),
        (float("nan"), "got nan"),
        ("0.1", "got '0.1'"),
        ({"initial": 0.5, "decay": 2.0}, r"epsilon \(decay\)"),
        ({"start": 0.5}, "must be a number, {initial, decay} or"),
    ],
)
def test_a_bad_schedule_is_refused_by_name(epsilon: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        epsilon_schedule(epsilon)  # type: ignore[arg-type]
