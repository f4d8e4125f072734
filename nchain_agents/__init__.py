"""Agents that learn NChain-v0 (and other small environments), and what their policies are worth.

Names are imported when first used, so that `import nchain_agents` costs nothing and Keras, torch
and Numba are loaded only by those who need them.
"""

from typing import TYPE_CHECKING, Any

from nchain_agents.public_names import MODULES, public

if TYPE_CHECKING:
    from nchain_agents.agent import Agent, load
    from nchain_agents.batch import learn_many
    from nchain_agents.callbacks import EveryNTimesteps, StopAfterEpisodes, StopAtConvergence
    from nchain_agents.checking import check_agent
    from nchain_agents.comparing import compare, compare_file
    from nchain_agents.deep.bootstrapped_dqn import BootstrappedDQN
    from nchain_agents.deep.keras_dqn import KerasDQN
    from nchain_agents.evaluation import score
    from nchain_agents.tabular.double_q_learning import DoubleQLearning
    from nchain_agents.tabular.expected_sarsa import ExpectedSarsa
    from nchain_agents.tabular.mbie_eb import MBIEEB
    from nchain_agents.tabular.optimistic_q_learning import OptimisticQLearning
    from nchain_agents.tabular.posterior_sampling import PosteriorSampling
    from nchain_agents.tabular.q_learning import QLearning
    from nchain_agents.tabular.reward_sum import RewardSum
    from nchain_agents.tabular.rmax import RMax
    from nchain_agents.tabular.sarsa import Sarsa
    from nchain_agents.tabular.ucrl2 import UCRL2
    from nchain_agents.tuning import tune

__all__ = [
    "MBIEEB",
    "UCRL2",
    "Agent",
    "BootstrappedDQN",
    "DoubleQLearning",
    "EveryNTimesteps",
    "ExpectedSarsa",
    "KerasDQN",
    "OptimisticQLearning",
    "PosteriorSampling",
    "QLearning",
    "RMax",
    "RewardSum",
    "Sarsa",
    "StopAfterEpisodes",
    "StopAtConvergence",
    "check_agent",
    "compare",
    "compare_file",
    "learn_many",
    "load",
    "score",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return public(name)


def __dir__() -> list[str]:
    return __all__
