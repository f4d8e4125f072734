"""Episodes that follow each other at once."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from planning_oracles import random_mdp

from nchain_env import TabularMDP, chain_mdp
from nchain_env.planning import average_reward, optimal_gain, restarting
from nchain_env.problems.deep_sea import deep_sea_mdp


@pytest.mark.parametrize("seed", range(20))
def test_the_gain_is_the_return_of_an_episode_by_its_length(seed: int) -> None:
    """The renewal-reward theorem, with episodes that begin in several states."""
    drawn = random_mdp(seed, 5, 2, 3, 0.2, 3)
    ends = drawn.terminated | (np.arange(3) == 0)  # each action may end the episode
    mdp = replace(drawn, terminated=ends)
    policy = np.random.default_rng(seed).dirichlet(np.ones(2), size=5)
    p = policy[:, :, None] * mdp.probability
    stays = np.zeros((5, 5))
    for s, a, k in np.ndindex(p.shape):
        stays[s, mdp.next_state[s, a, k]] += p[s, a, k] * (not mdp.terminated[s, a, k])
    rewards = (p * mdp.reward).sum(axis=(1, 2))
    returns, lengths = np.linalg.solve(np.eye(5) - stays, np.stack([rewards, np.ones(5)], 1)).T
    expected = (mdp.initial @ returns) / (mdp.initial @ lengths)
    assert average_reward(restarting(mdp), policy) == pytest.approx(expected, abs=1e-9)


def test_optimal_gains_by_hand() -> None:
    # 10 steps to the right cost 0.01 together and end with 1
    assert optimal_gain(restarting(deep_sea_mdp(10))) == pytest.approx(0.99 / 10, abs=1e-14)
    # the goal of the small lake without slips is 6 steps away
    lake = TabularMDP.from_env(gym.make("FrozenLake-v1", is_slippery=False))
    assert optimal_gain(lake) == 0
    assert optimal_gain(restarting(lake)) == pytest.approx(1 / 6, abs=1e-14)


def test_what_never_ends_is_returned_as_it_is() -> None:
    mdp = chain_mdp()
    assert restarting(mdp) is mdp


def test_too_many_starts_for_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    mdp = random_mdp(0, 5, 2, 3, 0.4, 3)
    with monkeypatch.context() as patched:
        patched.setattr("os.sysconf", lambda name: 10)
        with pytest.raises(ValueError, match="mdp must be small enough for memory, got"):
            restarting(mdp)
