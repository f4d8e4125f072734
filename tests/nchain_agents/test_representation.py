"""What agents and presets show of themselves."""

import gymnasium as gym
import pytest

from nchain_agents import PosteriorSampling, QLearning, RewardSum
from nchain_agents.presets import Preset, problem
from nchain_env import NChainEnv, chain_mdp

pytest.importorskip("numba", reason="needs the agents extra")


def test_an_agent_shows_its_environment_and_what_differs_from_the_defaults() -> None:
    assert repr(RewardSum("NChain-v0")) == "RewardSum('NChain-v0')"
    agent = QLearning(gym.make("NChain-v0", n=8), epsilon=0.5, gamma=0.95, seed=3)
    assert repr(agent) == "QLearning('NChain-v0 n=8', epsilon=0.5)"
    assert repr(QLearning(NChainEnv(slip=0.1))) == "QLearning(NChainEnv(slip=0.1))"
    shown = (
        "PosteriorSampling(TabularEnv(<TabularMDP: 3 states, 2 actions, 2 outcomes>), prior=2.0)"
    )
    assert repr(PosteriorSampling(chain_mdp(3), prior=2)) == shown


def test_an_agent_shows_how_long_it_has_learned() -> None:
    assert repr(QLearning("NChain-v0").learn(1500)) == "<QLearning('NChain-v0') after 1,500 steps>"


def test_a_preset_shows_what_it_has() -> None:
    shown = "Preset('mine', 'mine:Agent', parameters={'gamma': 0.9})"
    assert repr(Preset("mine", "mine:Agent", {"gamma": 0.9})) == shown
    assert repr(problem().preset("reward-sum")) == "Preset('reward-sum', 'nchain_agents:RewardSum')"
