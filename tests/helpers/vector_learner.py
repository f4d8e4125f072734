"""A table learner on vector environments, right or with one mistake."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


class VectorLearner:
    """Q-learning in all environments of a vector environment, in any autoreset mode.

    Args:
        envs: The vector environment.
        seed: The seed.
        mode: Its autoreset mode.
        mistake: "" or the name of an explanation.
    """

    gamma = 0.9

    def __init__(self, envs: Any, seed: int, mode: str = "NextStep", mistake: str = "") -> None:
        self.envs, self.seed, self.mode, self.mistake = envs, seed, mode, mistake
        shape = (int(envs.single_observation_space.n), int(envs.single_action_space.n))
        self.q = np.zeros(shape)
        self.rng = np.random.default_rng(seed)

    def learn(self, total_timesteps: int) -> VectorLearner:
        envs, num_envs = self.envs, self.envs.num_envs
        states, _ = envs.reset(seed=self.seed)
        over = np.zeros(num_envs, dtype=bool)
        steps: int = 0
        while steps < total_timesteps:
            explores = self.rng.random(num_envs) < 0.5
            random = self.rng.integers(self.q.shape[1], size=num_envs)
            actions = np.where(explores, random, self.q[states].argmax(axis=1))
            observations, rewards, terminated, truncated, infos = envs.step(actions)
            ended = terminated | truncated
            final = observations.copy()
            if self.mode == "SameStep" and self.mistake != "bootstraps from the reset":
                for k in np.flatnonzero(ended):
                    final[k] = infos["final_obs"][k]
            for i in range(num_envs):
                ghost = self.mode == "NextStep" and bool(over[i])
                steps += int(not ghost)
                if ghost and self.mistake != "learns from ghost steps":
                    continue
                bootstrap = 0.0 if terminated[i] else self.q[final[i]].max()
                pair = (int(states[i]), int(actions[i]))
                self.q[pair] += 0.1 * (rewards[i] + self.gamma * bootstrap - self.q[pair])
            if self.mode == "Disabled" and ended.any():
                observations, _ = envs.reset(options={"reset_mask": ended.copy()})
            states, over = observations, ended
        return self

    def q_values(self, observations: npt.ArrayLike) -> Any:
        return self.q[np.asarray(observations)]

    def predict(self, observations: npt.ArrayLike, deterministic: bool = False) -> tuple[Any, None]:
        return self.q_values(observations).argmax(axis=-1), None
