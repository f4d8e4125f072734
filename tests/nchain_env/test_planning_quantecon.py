"""The discounted answers beside QuantEcon's DiscreteDP, an independent implementation."""

import numpy as np
import pytest

from nchain_env import random_mdp
from nchain_env.planning import evaluate_policy, gaps, policy_iteration

quantecon = pytest.importorskip("quantecon.markov", reason="needs quantecon")


@pytest.mark.parametrize("seed", range(200))
def test_values_policies_and_gaps_are_those_of_quantecon(seed: int) -> None:
    rng = np.random.default_rng(seed)
    num_states, num_actions = int(rng.integers(1, 12)), int(rng.integers(1, 5))
    outcomes = int(rng.integers(1, num_states + 1))
    termination = float(rng.choice([0.0, 0.1, 0.7]))
    mdp = random_mdp(num_states, num_actions, outcomes, seed, termination=termination)
    gamma = float(rng.choice([0.0, 0.5, 0.95, 0.99]))
    # a last state without rewards takes the place of termination
    reward = np.zeros((num_states + 1, num_actions))
    reward[:-1] = (mdp.probability * mdp.reward).sum(axis=-1)
    reached = np.zeros((num_states + 1, num_actions, num_states + 1))
    reached[-1, :, -1] = 1.0
    next_state = np.where(mdp.terminated, num_states, mdp.next_state)
    s, a, _ = np.indices(next_state.shape)
    np.add.at(reached, (s, a, next_state), mdp.probability)
    process = quantecon.DiscreteDP(reward, reached, gamma)
    found = process.solve(method="policy_iteration")

    policy, q = policy_iteration(mdp, gamma)
    np.testing.assert_allclose(q.max(axis=1), found.v[:-1], rtol=0, atol=1e-9)
    theirs = reward + gamma * reached @ found.v
    np.testing.assert_allclose(q, theirs[:-1], rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        gaps(mdp, gamma), found.v[:-1, None] - theirs[:-1], rtol=0, atol=1e-9
    )
    assert (policy == found.sigma[:-1]).mean() > 0.99  # values of random rewards have no ties
    uniform = rng.integers(0, num_actions, num_states)
    evaluated = process.evaluate_policy(np.append(uniform, 0))
    np.testing.assert_allclose(
        evaluate_policy(mdp, uniform, gamma), evaluated[:-1], rtol=0, atol=1e-9
    )
