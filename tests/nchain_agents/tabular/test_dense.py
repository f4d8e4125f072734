"""The exact solution of sampled models, begun from any guess."""

import numpy as np
import pytest

from nchain_agents.tabular.dense import solved
from nchain_env import TabularMDP
from nchain_env.mdp import FloatArray
from nchain_env.planning import value_iteration


def random_model(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, TabularMDP]:
    """Return probabilities and rewards, and the same model as a table; some outcomes end it."""
    states, actions = int(rng.integers(1, 8)), int(rng.integers(1, 5))
    probability = rng.dirichlet(np.full(states + 1, 0.3), size=(states, actions))
    reward = rng.normal(size=(states, actions))
    outcomes = np.arange(states + 1)
    mdp = TabularMDP(
        next_state=np.broadcast_to(outcomes % states, probability.shape),
        probability=probability,
        reward=np.broadcast_to(reward[:, :, None], probability.shape),
        terminated=np.broadcast_to(outcomes == states, probability.shape),
        initial=np.full(states, 1 / states),
    )
    return probability[:, :, :-1], reward, mdp


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.99])
def test_the_solution_is_that_of_value_iteration_from_any_guess(gamma: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        probability, reward, mdp = random_model(rng)
        exact = value_iteration(mdp, gamma, 1e-10)
        for guess in (np.zeros_like(reward), rng.normal(size=reward.shape), exact):
            np.testing.assert_allclose(
                solved(probability, reward, gamma, guess), exact, rtol=0, atol=2e-10
            )


def test_rewards_of_any_size_are_solved_alike() -> None:
    rng = np.random.default_rng(1)
    probability, reward, _ = random_model(rng)
    q = solved(probability, reward, 0.9, reward)
    for unit in (2.0**-900, 2.0**900):
        scaled = solved(probability, reward * unit, 0.9, reward)
        np.testing.assert_allclose(scaled / unit, q, rtol=1e-12)


def test_a_gamma_that_rounding_makes_1_is_refused() -> None:
    message = "^gamma must be farther from 1 than the probabilities' sums are by rounding"
    certain = np.ones((1, 1, 1))
    with pytest.raises(ValueError, match=message):
        solved(certain * (1 + 1e-15), np.ones((1, 1)), 1 - 1e-15, np.zeros((1, 1)))
