"""The problems of a check: small tables on which different updates have different values.

Transitions and rewards are deterministic, so that the values of Q-learning are exact for any step
size, and rewards are so balanced that no value is much larger than a reward: networks learn them in
a few thousand steps, also with a discount factor near 1. Episodes start in every state alike, which
explores for agents that do not, and time limits are short, because what is done wrong at them is
then done often. `python -m nchain_agents.check.search` finds such tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import TimeLimit

from nchain_env import TabularEnv, TabularMDP, TabularVectorEnv


@dataclass(frozen=True)
class Problem:
    """A deterministic table with a time limit.

    Args:
        name: Its name in reports.
        next_state: The state after each action, for each state.
        reward: The reward of each action in each state.
        terminates: The pairs of state and action that terminate the episode.
        max_episode_steps: The time limit.
    """

    name: str
    next_state: tuple[tuple[int, ...], ...]
    reward: tuple[tuple[float, ...], ...]
    terminates: tuple[tuple[int, int], ...]
    max_episode_steps: int

    @cached_property
    def mdp(self) -> TabularMDP:
        """The table."""
        next_state = np.array(self.next_state)[:, :, None]
        terminated = np.zeros(next_state.shape, dtype=np.bool_)
        for pair in self.terminates:
            terminated[pair] = True
        states = len(next_state)
        return TabularMDP(
            next_state,
            np.ones(next_state.shape),
            np.array(self.reward)[:, :, None],
            terminated,
            np.full(states, 1 / states),
        )

    def make(self) -> gym.Env[int, int]:
        """Return the environment."""
        return TimeLimit(TabularEnv(self.mdp), self.max_episode_steps)

    def make_vec(self, num_envs: int, autoreset_mode: str) -> TabularVectorEnv:
        """Return a vector environment of it."""
        limit = self.max_episode_steps
        return TabularVectorEnv(
            self.mdp, num_envs, max_episode_steps=limit, autoreset_mode=autoreset_mode
        )


# The errors of a learner are hardly larger than 1 in the first two problems, so that Huber's loss
# does not bend what it learns; one reward is larger, which clipping changes.
# What ends an episode is an action that terminates or, more often, the time limit.
ENDING = Problem(
    "ending",
    next_state=((0, 1), (2, 3), (2, 2), (2, 0)),
    reward=((-0.3, 0.0), (-0.3, -0.6), (1.2, -0.6), (-0.9, -0.3)),
    terminates=((0, 0), (2, 0), (3, 1)),
    max_episode_steps=3,
)
# Only the time limit ends an episode.
CONTINUING = Problem(
    "continuing",
    next_state=((2, 0), (1, 0), (2, 3), (0, 0)),
    reward=((0.8, -0.2), (0.0, -0.6), (-0.2, 0.0), (-0.6, -0.6)),
    terminates=(),
    max_episode_steps=3,
)
# Their best actions differ between all explanations, except those that never change one, such as
# rewards twice as large. They are for agents that have no values.
CHOICES = (
    Problem(
        "choices 1",
        next_state=((1, 3), (2, 1), (0, 3), (2, 0)),
        reward=((2.0, 0.5), (0.5, 0.0), (1.5, -2.0), (-0.5, 0.5)),
        terminates=((0, 0), (2, 0)),
        max_episode_steps=2,
    ),
    Problem(
        "choices 2",
        next_state=((2, 2), (1, 0), (0, 0), (3, 2)),
        reward=((-0.5, 1.0), (1.0, 1.0), (-1.5, -1.5), (-1.0, 2.0)),
        terminates=((1, 0), (3, 0)),
        max_episode_steps=3,
    ),
    Problem(
        "choices 3",
        next_state=((2, 1), (0, 3), (3, 0), (0, 2)),
        reward=((-1.0, -1.0), (0.5, -1.0), (-0.5, 1.5), (-1.5, 1.0)),
        terminates=((1, 0), (2, 0), (3, 1)),
        max_episode_steps=3,
    ),
    Problem(
        "choices 4",
        next_state=((2, 1), (0, 1), (2, 3), (1, 1)),
        reward=((1.0, 0.5), (-2.0, -1.0), (0.5, -1.5), (-1.0, 0.5)),
        terminates=((1, 1),),
        max_episode_steps=2,
    ),
)
