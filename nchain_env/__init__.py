"""Outcome tables as environments for Gymnasium: NChain-v0, RiverSwim-v0, DeepSea-v0, and any other.

NChain-v0 is the five-state chain of OpenAI gym. The environments, their vector forms and the exact
answers of `nchain_env.planning` all read one outcome table.
"""

import gymnasium as gym

from nchain_env.mdp import TabularMDP
from nchain_env.problems.chain import NChainEnv, NChainVectorEnv, chain_mdp
from nchain_env.problems.deep_sea import DeepSeaEnv, deep_sea_mdp
from nchain_env.problems.random_mdp import random_mdp
from nchain_env.problems.river_swim import RiverSwimEnv, river_swim_mdp
from nchain_env.tabular_env import TabularEnv
from nchain_env.vector_env import TabularVectorEnv

__all__ = [
    "DeepSeaEnv",
    "NChainEnv",
    "NChainVectorEnv",
    "RiverSwimEnv",
    "TabularEnv",
    "TabularMDP",
    "TabularVectorEnv",
    "chain_mdp",
    "deep_sea_mdp",
    "random_mdp",
    "river_swim_mdp",
]
__version__ = "0.1.0"

# The environments, and a mean return that only an agent reaches which has solved the problem: more
# than the best stationary deterministic policies have that are not optimal in every state.
_REGISTERED = {
    # always forward has 3,664, the best other policy 3,038
    "NChain-v0": ("chain:NChainEnv", "chain:NChainVectorEnv", 3400.0),
    # always right has 661,264, the best other policy 301,269
    "RiverSwim-v0": ("river_swim:RiverSwimEnv", "river_swim:vector_env", 500_000.0),
    # always right has 0.99, all others at most 0
    "DeepSea-v0": ("deep_sea:DeepSeaEnv", "deep_sea:vector_env", 0.9),
}

for _id, (_env, _vector_env, _threshold) in _REGISTERED.items():
    # Registering an id twice warns, and importlib.reload runs this module again.
    if _id not in gym.registry:
        gym.register(
            id=_id,
            entry_point=f"nchain_env.problems.{_env}",
            vector_entry_point=f"nchain_env.problems.{_vector_env}",
            max_episode_steps=1000,
            reward_threshold=_threshold,
        )
