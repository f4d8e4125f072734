"""The shipped tables tell the explanations apart."""

import numpy as np
import pytest

from nchain_agents.check.problems import CHOICES, CONTINUING, ENDING
from nchain_agents.check.search import compared, names
from nchain_env.planning import value_iteration

MIXTURES = ("mean of the next values", "n-step returns, uncorrected")
PROBLEMS = (ENDING, CONTINUING, *CHOICES)


@pytest.mark.parametrize("gamma", [0.8, 0.9, 0.95])
def test_the_values_of_any_two_explanations_differ(gamma: float) -> None:
    found = [compared(problem, gamma=gamma) for problem in (ENDING, CONTINUING)]
    distance = np.maximum(*(one.distance for one in found))
    assert np.abs(np.diag(distance)).max() < 0.03  # a value that grows without end has not settled
    np.fill_diagonal(distance, np.inf)
    # the square of 0.8 is 0.64, and the other gamma is 0.65
    gammas = [names().index(name) for name in ("gamma squared", "another gamma")]
    distance[np.ix_(gammas, gammas)] = np.inf
    # gamma and its square lie the nearer to each other, the nearer gamma is to 1
    least = 0.8 * gamma * (1 - gamma)
    assert distance.min() >= min(least, 0.08)


def test_the_choices_of_any_two_explanations_differ_but_for_scaled_rewards() -> None:
    differ = sum(compared(problem).differ for problem in PROBLEMS)
    same = {frozenset((names()[i], names()[j])) for i, j in np.argwhere(np.triu(differ == 0, k=1))}
    confused = {pair for pair in same if "states confused" in pair}
    # the mixture of the maximum and the mean chooses as one of them, or as a mixture along the way
    mixed = {frozenset(("epsilon-greedy target", other)) for other in MIXTURES}
    assert same - confused == {frozenset(("correct", "reward scaled"))} | mixed


def test_the_values_are_small_enough_for_networks() -> None:
    for problem in PROBLEMS:
        assert np.abs(value_iteration(problem.mdp, 0.9)).max() <= 6.0
        assert np.abs(value_iteration(problem.mdp, 0.99)).max() <= 60.0
    # no error of Q-learning's is so large that Huber's loss bends it
    assert np.abs(value_iteration(CONTINUING.mdp, 0.9)).max() <= 1.5


def test_the_correct_values_are_those_of_the_exact_planner() -> None:
    for problem in PROBLEMS:
        values = compared(problem).values[0]
        np.testing.assert_allclose(values, value_iteration(problem.mdp, 0.9), atol=1e-6)
