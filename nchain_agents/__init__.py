"""Agents that learn NChain-v0 (and other small environments), and what their policies are worth.

Names are imported when first used, so that `import nchain_agents` costs nothing and Keras, torch
and Numba are loaded only by those who need them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nchain_agents.agent import Agent, load
    from nchain_agents.deep.keras_dqn import KerasDQN
    from nchain_agents.evaluation import score
    from nchain_agents.tabular.q_learning import QLearning
    from nchain_agents.tabular.reward_sum import RewardSum

__all__ = ["Agent", "KerasDQN", "QLearning", "RewardSum", "load", "score"]

_HOMES = {
    "Agent": "nchain_agents.agent",
    "KerasDQN": "nchain_agents.deep.keras_dqn",
    "QLearning": "nchain_agents.tabular.q_learning",
    "RewardSum": "nchain_agents.tabular.reward_sum",
    "load": "nchain_agents.agent",
    "score": "nchain_agents.evaluation",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
