"""The modules that define the public names of the package, imported when a name is first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from nchain_agents.extras import needed_for

MODULES = {
    "Agent": "nchain_agents.agent",
    "BootstrappedDQN": "nchain_agents.deep.bootstrapped_dqn",
    "DoubleQLearning": "nchain_agents.tabular.double_q_learning",
    "EveryNTimesteps": "nchain_agents.callbacks",
    "ExpectedSarsa": "nchain_agents.tabular.expected_sarsa",
    "KerasDQN": "nchain_agents.deep.keras_dqn",
    "MBIEEB": "nchain_agents.tabular.mbie_eb",
    "OptimisticQLearning": "nchain_agents.tabular.optimistic_q_learning",
    "PosteriorSampling": "nchain_agents.tabular.posterior_sampling",
    "QLearning": "nchain_agents.tabular.q_learning",
    "RMax": "nchain_agents.tabular.rmax",
    "RewardSum": "nchain_agents.tabular.reward_sum",
    "Sarsa": "nchain_agents.tabular.sarsa",
    "StopAfterEpisodes": "nchain_agents.callbacks",
    "StopAtConvergence": "nchain_agents.callbacks",
    "UCRL2": "nchain_agents.tabular.ucrl2",
    "check_agent": "nchain_agents.checking",
    "compare": "nchain_agents.comparing",
    "compare_file": "nchain_agents.comparing",
    "learn_many": "nchain_agents.batch",
    "load": "nchain_agents.agent",
    "score": "nchain_agents.evaluation",
    "tune": "nchain_agents.tuning",
}


def public(name: str) -> Any:
    """Return the class or function of a public name."""
    with needed_for(f"nchain_agents.{name}", "agents"):
        return getattr(import_module(MODULES[name]), name)
