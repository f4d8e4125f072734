"""NChain-v0 for Gymnasium: the environment, its vector form and its outcome table."""

import gymnasium as gym

from nchain_env.mdp import TabularMDP
from nchain_env.problems.chain import NChainEnv, NChainVectorEnv, chain_mdp
from nchain_env.tabular_env import TabularEnv
from nchain_env.vector_env import TabularVectorEnv

__all__ = [
    "NChainEnv",
    "NChainVectorEnv",
    "TabularEnv",
    "TabularMDP",
    "TabularVectorEnv",
    "chain_mdp",
]
__version__ = "0.1.0"

# Registering an id twice warns, and importlib.reload runs this module again.
if "NChain-v0" not in gym.registry:
    gym.register(
        id="NChain-v0",
        entry_point="nchain_env.problems.chain:NChainEnv",
        vector_entry_point="nchain_env.problems.chain:NChainVectorEnv",
        max_episode_steps=1000,
    )
