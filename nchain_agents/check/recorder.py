"""An environment, or a vector environment, that records what an agent does to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import VectorEnv, VectorWrapper

from nchain_agents.check.experience import Experience, Step, experience
from nchain_env.vector_env import AutoresetMode


def _nothing(steps: int) -> None:
    """Do nothing after a step."""


class _Track:
    """The steps of one environment.

    A reset in the midst of an episode begins another sequence, because the steps before and after
    it do not follow each other.
    """

    def __init__(self) -> None:
        self.sequences: list[list[Step]] = [[]]
        self.over = False
        self._state = -1  # before the first reset

    def begin(self, observation: Any) -> None:
        """Begin an episode."""
        if not self.over and self.sequences[-1]:
            self.sequences.append([])
        self._state, self.over = int(observation), False

    def add(self, action: Any, reward: Any, observation: Any, *ends: Any, ghost: Any) -> None:
        """Add a step; `ends` are whether it terminated, and whether it truncated the episode."""
        next_state, (terminated, truncated) = int(observation), map(bool, ends)
        self.sequences[-1].append(
            (
                self._state,
                int(action),
                float(reward),
                next_state,
                terminated,
                truncated,
                bool(ghost),
            )
        )
        self._state = next_state
        self.over = terminated or truncated or (self.over and not ghost)


class Recorder(gym.Wrapper[Any, Any, Any, Any]):
    """Records the transitions, the seeds of `reset`, and what an agent must not do.

    Args:
        env: An environment with discrete observations and actions.
        on_step: Called after each step with the number of steps.

    Attributes:
        steps: The number of steps.
        seeds: The argument `seed` of each reset.
        illegal: The actions that are not in the action space.
        past_the_end: The number of steps between the end of an episode and a reset.
    """

    def __init__(self, env: gym.Env[Any, Any], on_step: Callable[[int], None] = _nothing) -> None:
        super().__init__(env)
        self._after_step = on_step
        self._track = _Track()
        self.steps = 0
        self.seeds: list[Any] = []
        self.illegal: list[Any] = []
        self.past_the_end = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Reset, and record the seed."""
        observation, info = super().reset(seed=seed, options=options)
        self.seeds.append(seed)
        self._track.begin(observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and record the transition; of an action that `env` refuses, only the action."""
        if not self.action_space.contains(action):
            self.illegal.append(action)
        self.past_the_end += self._track.over
        result = super().step(action)
        observation, reward, terminated, truncated, _ = result
        self._track.add(action, reward, observation, terminated, truncated, ghost=False)
        self.steps += 1
        self._after_step(self.steps)
        return result

    @property
    def abandoned(self) -> int:
        """The number of episodes that a reset cut short."""
        return len(self._track.sequences) - 1

    @property
    def experience(self) -> Experience:
        """The transitions."""
        return _experience(self.observation_space, self.action_space, [self._track])


class VectorRecorder(VectorWrapper):  # it takes types only since Gymnasium 1.4
    """Records a vector environment in any autoreset mode, as `Recorder` does an environment.

    In NEXT_STEP mode, the step after an episode's end is a ghost step: it begins the next episode,
    and its action is ignored. In SAME_STEP mode, the final observation is that of the infos.

    Args:
        env: A vector environment with discrete observations and actions, whose metadata have its
            `autoreset_mode`.
        on_step: Called after each step with the number of steps.

    Attributes:
        steps: The number of steps of all environments, without ghost steps.
        seeds: The argument `seed` of each reset; a tuple where it was a list.
        illegal: The actions that are not in the action space.
        past_the_end: The number of steps between the end of an episode and a reset.
    """

    def __init__(
        self, env: VectorEnv[Any, Any, Any], on_step: Callable[[int], None] = _nothing
    ) -> None:
        super().__init__(env)
        self._mode = AutoresetMode(env.metadata["autoreset_mode"])
        self._after_step = on_step
        self._tracks = [_Track() for _ in range(env.num_envs)]
        self.steps = 0
        self.seeds: list[Any] = []
        self.illegal: list[Any] = []
        self.past_the_end = 0

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Reset all environments or those of `options["reset_mask"]`, and record the seed."""
        begins = np.ones(self.num_envs, dtype=np.bool_)
        if options is not None and "reset_mask" in options:
            begins = np.array(options["reset_mask"])  # Gymnasium takes the mask out of the options
        observations, infos = super().reset(seed=seed, options=options)
        self.seeds.append(tuple(seed) if isinstance(seed, list) else seed)
        for i in np.flatnonzero(begins):
            self._tracks[i].begin(observations[i])
        return observations, infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step, and record the transitions; of actions that `env` refuses, only the actions."""
        self.illegal += self._illegal(actions)
        over = np.array([track.over for track in self._tracks])
        ghost = over & (self._mode is AutoresetMode.NEXT_STEP)
        self.past_the_end += int(np.count_nonzero(over & ~ghost))
        result = super().step(actions)
        observations, rewards, terminations, truncations, infos = result
        for i, track in enumerate(self._tracks):
            ended = terminations[i] or truncations[i]
            resets = ended and self._mode is AutoresetMode.SAME_STEP
            final = infos["final_obs"][i] if resets else observations[i]
            track.add(
                actions[i], rewards[i], final, terminations[i], truncations[i], ghost=ghost[i]
            )
            if resets:
                track.begin(observations[i])
        self.steps += int(np.count_nonzero(~ghost))
        self._after_step(self.steps)
        return result

    def _illegal(self, actions: npt.ArrayLike) -> list[Any]:
        given = np.asarray(actions)
        if given.shape != (self.num_envs,):
            return [actions]
        return [action for action in given if not self.single_action_space.contains(action)]

    @property
    def abandoned(self) -> int:
        """The number of episodes that a reset cut short."""
        return sum(len(track.sequences) - 1 for track in self._tracks)

    @property
    def experience(self) -> Experience:
        """The transitions, one environment after the other."""
        return _experience(self.single_observation_space, self.single_action_space, self._tracks)


def _experience(observations: Any, actions: Any, tracks: list[_Track]) -> Experience:
    sequences = [sequence for track in tracks for sequence in track.sequences]
    return experience(int(observations.n), int(actions.n), sequences)
