"""Table learners, and an environment that plays back what a test says."""

from typing import Any

import gymnasium as gym

from nchain_agents import (
    MBIEEB,
    UCRL2,
    DoubleQLearning,
    ExpectedSarsa,
    OptimisticQLearning,
    PosteriorSampling,
    QLearning,
    RewardSum,
    RMax,
    Sarsa,
)
from nchain_agents.tabular.temporal_difference import TemporalDifferenceAgent

AGENTS = (
    RewardSum,
    QLearning,
    Sarsa,
    ExpectedSarsa,
    DoubleQLearning,
    PosteriorSampling,
    UCRL2,
    MBIEEB,
    RMax,
    OptimisticQLearning,
)


class Script(gym.Env[Any, Any]):
    """Plays back (next_state, reward, terminated, truncated) from state 0, whatever is done."""

    observation_space = gym.spaces.Discrete(3)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, *steps: tuple[int, float, bool, bool]) -> None:
        self.steps = iter(steps)

    def reset(self, **kwargs: Any) -> tuple[int, dict[str, Any]]:
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        next_state, reward, terminated, truncated = next(self.steps)
        return next_state, reward, terminated, truncated, {}


def learner(
    *steps: tuple[int, float, bool, bool],
    kind: type[TemporalDifferenceAgent] = QLearning,
    **parameters: Any,
) -> TemporalDifferenceAgent:
    parameters = {"epsilon": 0.0, "gamma": 0.5} | parameters
    agent = kind(Script(*steps), **parameters)
    # state 0 prefers action 1; state 2 is worth 8
    agent.q[:] = [[0.0, 4.0], [0.0, 0.0], [8.0, 6.0]]
    return agent
