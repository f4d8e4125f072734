"""Agents that learn NChain-v0 (and other small environments), and what their policies are worth.

Names are imported when first used, so that `import nchain_agents` costs nothing and Keras, torch
and Numba are loaded only by those who need them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nchain_agents.agent import Agent, load
    from nchain_agents.callbacks import EveryNTimesteps, StopAfterEpisodes, StopAtConvergence
    from nchain_agents.comparing import compare
    from nchain_agents.deep.keras_dqn import KerasDQN
    from nchain_agents.evaluation import score
    from nchain_agents.tabular.batch import learn_many
    from nchain_agents.tabular.double_q_learning import DoubleQLearning
    from nchain_agents.tabular.expected_sarsa import ExpectedSarsa
    from nchain_agents.tabular.posterior_sampling import PosteriorSampling
    from nchain_agents.tabular.q_learning import QLearning
    from nchain_agents.tabular.reward_sum import RewardSum
    from nchain_agents.tabular.sarsa import Sarsa

__all__ = [
    "Agent",
    "DoubleQLearning",
    "EveryNTimesteps",
    "ExpectedSarsa",
    "KerasDQN",
    "PosteriorSampling",
    "QLearning",
    "RewardSum",
    "Sarsa",
    "StopAfterEpisodes",
    "StopAtConvergence",
    "compare",
    "learn_many",
    "load",
    "score",
]

_HOMES = {
    "Agent": "nchain_agents.agent",
    "DoubleQLearning": "nchain_agents.tabular.double_q_learning",
    "EveryNTimesteps": "nchain_agents.callbacks",
    "ExpectedSarsa": "nchain_agents.tabular.expected_sarsa",
    "KerasDQN": "nchain_agents.deep.keras_dqn",
    "PosteriorSampling": "nchain_agents.tabular.posterior_sampling",
    "QLearning": "nchain_agents.tabular.q_learning",
    "RewardSum": "nchain_agents.tabular.reward_sum",
    "Sarsa": "nchain_agents.tabular.sarsa",
    "StopAfterEpisodes": "nchain_agents.callbacks",
    "StopAtConvergence": "nchain_agents.callbacks",
    "compare": "nchain_agents.comparing",
    "learn_many": "nchain_agents.tabular.batch",
    "load": "nchain_agents.agent",
    "score": "nchain_agents.evaluation",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nchain_agents.extras import needed_for

    with needed_for(f"nchain_agents.{name}", "agents"):
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
