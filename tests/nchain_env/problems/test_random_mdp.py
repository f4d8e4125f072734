"""Random processes have the stated distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nchain_env.problems.random_mdp import random_mdp


def test_next_states_are_distinct_and_probabilities_sum_to_one() -> None:
    mdp = random_mdp(7, 3, 7, seed=1)
    assert mdp.next_state.shape == (7, 3, 7)
    assert (np.sort(mdp.next_state, axis=2) == np.arange(7)).all()
    np.testing.assert_allclose(mdp.probability.sum(axis=2), 1)
    assert mdp.initial.tolist() == [1 / 7] * 7
    assert not mdp.terminated.any()


def test_the_moments_are_those_of_the_stated_distributions() -> None:
    mdp = random_mdp(500, 20, 4, seed=2, termination=0.25)
    # 40,000 numbers; Dirichlet(1, 1, 1, 1): mean 1/4, variance 3/80
    assert mdp.probability.var() == pytest.approx(3 / 80, rel=0.03)
    assert mdp.reward.mean() == pytest.approx(0, abs=0.02)
    assert mdp.reward.std() == pytest.approx(1, rel=0.02)
    assert mdp.terminated.mean() == pytest.approx(0.25, abs=0.01)
    assert mdp.next_state.mean() == pytest.approx(249.5, rel=0.01)


def test_the_seed_decides() -> None:
    same = [random_mdp(5, 2, 3, seed=s).probability.tolist() for s in (3, 3, 4)]
    assert same[0] == same[1] != same[2]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"num_states": 0}, "num_states must be an integer of at least 1, got 0"),
    ({"num_states": 10**13}, "num_states must be small enough for memory"),
    ({"num_actions": 1.5}, "num_actions must be an integer of at least 1, got 1.5"),
    ({"outcomes": 11}, "outcomes must be an integer in [1, 11), got 11"),
    ({"seed": -1}, "seed must be an integer of at least 0, got -1"),
    ({"termination": 1.1}, "termination must be a number in [0, 1], got 1.1"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_a_bad_parameter_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        random_mdp(**arguments)
    assert str(caught.value).startswith(message)
