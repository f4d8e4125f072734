"""DeepSea's table against hand-computed entries, and against bsuite's own DeepSea."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

from nchain_env.planning import (
    diameter,
    optimal_bias,
    optimal_gain,
    optimal_return,
    policy_iteration,
)
from nchain_env.problems.deep_sea import deep_sea_mdp


def test_two_rows_are_the_table_written_out() -> None:
    # Cells 0 and 1 above 2 and 3; right costs 0.25 and pays 1 in the last column.
    assert deep_sea_mdp(2, unscaled_move_cost=0.5).P == {
        0: {0: [(1.0, 2, 0.0, False)], 1: [(1.0, 3, -0.25, False)]},
        1: {0: [(1.0, 2, 0.0, False)], 1: [(1.0, 3, 0.75, False)]},
        2: {0: [(1.0, 2, 0.0, True)], 1: [(1.0, 3, -0.25, True)]},
        3: {0: [(1.0, 2, 0.0, True)], 1: [(1.0, 3, 0.75, True)]},
    }


def test_the_stochastic_version_stays_in_its_column_and_has_noisy_ends() -> None:
    mdp = deep_sea_mdp(4, deterministic=False, unscaled_move_cost=1.0)
    assert mdp.next_state.shape == (16, 2, 4)
    # cell 5: row 1, column 1, without noise; right goes to column 2 or stays in column 1
    assert mdp.P[5] == {
        0: [(p, 8, 0.0, False) for p in (0.375, 0.375, 0.125, 0.125)],
        1: [
            (0.375, 10, -0.25, False),
            (0.375, 10, -0.25, False),
            (0.125, 9, -0.25, False),
            (0.125, 9, -0.25, False),
        ],
    }
    assert mdp.reward[12].tolist() == [[1, -1, 1, -1], [0.75, -1.25, 0.75, -1.25]]
    assert mdp.reward[15].tolist() == [[1, -1, 1, -1], [1.75, -0.25, 1.75, -0.25]]
    assert mdp.reward[13].tolist() == [[0] * 4, [-0.25] * 4]
    mean = (mdp.probability * mdp.reward).sum(axis=2)
    variance = (mdp.probability * (mdp.reward - mean[:, :, None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(mean[[12, 15]], [[0, -0.25], [0, 0.75]])
    np.testing.assert_allclose(variance[[12, 15]], 1.0)
    assert mdp.terminated[12:].all()
    assert not mdp.terminated[:12].any()


@pytest.mark.parametrize("size", [1, 2, 10, 50])
@pytest.mark.parametrize("mapping_seed", [None, 0, 7])
def test_the_optimal_return_is_099_and_needs_every_step_to_the_right(
    size: int, mapping_seed: int | None
) -> None:
    mdp = deep_sea_mdp(size, mapping_seed=mapping_seed)
    assert optimal_return(mdp, size) == pytest.approx(0.99, abs=1e-12)
    assert mdp.initial @ optimal_bias(mdp) == pytest.approx(0.99, abs=1e-12)
    assert optimal_gain(mdp) == pytest.approx(0, abs=1e-11)
    assert diameter(mdp) == (0 if size == 1 else math.inf)
    policy, _ = policy_iteration(mdp, 0.99)
    path = np.arange(size) * (size + 1)  # the diagonal
    right = mdp.next_state[path, policy[path], 0] % size
    assert right.tolist() == [*range(1, size), size - 1]


def test_the_stochastic_optimum_is_a_little_more_than_bsuites_figure() -> None:
    # bsuite's figure pays for every step to the right, but after a failure there is no reason to
    # go on to the right: of ten steps, nine must succeed.
    figure = 0.9**9 - 0.01
    best = optimal_return(deep_sea_mdp(10, deterministic=False), 10)
    assert figure < best < figure + 0.01


def test_the_mapping_is_drawn_with_its_seed() -> None:
    mapping = np.random.RandomState(5).binomial(1, 0.5, [3, 3]).ravel()
    mdp, plain = deep_sea_mdp(3, mapping_seed=5), deep_sea_mdp(3)
    assert 0 < mapping.sum() < 9
    for cell, right in enumerate(mapping.tolist()):
        assert mdp.P[cell][right] == plain.P[cell][1]
        assert mdp.P[cell][1 - right] == plain.P[cell][0]


@pytest.mark.parametrize("size", [1, 2, 5, 10, 20])
@pytest.mark.parametrize("mapping_seed", [None, 0, 42])
def test_its_trajectories_are_those_of_bsuite(size: int, mapping_seed: int | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # bsuite's imports, and its note on unmapped actions
        bsuite = pytest.importorskip("bsuite.environments.deep_sea", reason="needs bsuite")
        peer = bsuite.DeepSea(
            size, randomize_actions=mapping_seed is not None, mapping_seed=mapping_seed
        )
    mdp = deep_sea_mdp(size, mapping_seed=mapping_seed)
    policy, _ = policy_iteration(mdp, 0.99)
    rng = np.random.default_rng(0)
    for episode in range(50):
        step = peer.reset()
        cell = 0
        for t in range(size):
            assert np.flatnonzero(step.observation).tolist() == [cell]
            explore = rng.random() < episode / 50
            action = int(rng.integers(2)) if explore else int(policy[cell])
            step = peer.step(action)
            assert mdp.reward[cell, action, 0] == step.reward
            assert mdp.terminated[cell, action, 0] == step.last() == (t == size - 1)
            cell = int(mdp.next_state[cell, action, 0])


BAD: list[tuple[dict[str, Any], str]] = [
    ({"size": 0}, "size must be an integer of at least 1, got 0"),
    ({"size": 10**7}, "size must be small enough for memory"),
    ({"deterministic": 1}, "deterministic must be one of True, False, got 1"),
    (
        {"unscaled_move_cost": math.inf},
        "unscaled_move_cost must be a number in [-1e+300, 1e+300], got inf",
    ),
    ({"mapping_seed": -1}, "mapping_seed must be an integer in [0, 4294967296), got -1"),
    ({"mapping_seed": 2**32}, "mapping_seed must be an integer in [0, 4294967296), got 4294967296"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_a_bad_parameter_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        deep_sea_mdp(**arguments)
    assert str(caught.value).startswith(message)
