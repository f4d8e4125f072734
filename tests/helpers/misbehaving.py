"""A correct table learner, and others that each do one thing wrong with their environment."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import numpy as np

Result = tuple[Any, float, bool, bool]


class Plain:
    """Q-learning, correct, and written without the package."""

    epsilon = 0.3

    def __init__(self, env: Any, seed: int) -> None:
        self.env, self.seed = env, seed
        self.rng = np.random.default_rng(seed)
        self.q = np.zeros((env.observation_space.n, env.action_space.n))

    def greedy(self, s: Any) -> int:
        return int(self.q[s].argmax())

    def act(self, s: int) -> Any:
        if self.rng.random() < self.epsilon:
            return int(self.rng.integers(2))
        return self.greedy(s)

    def first(self) -> int:
        return int(self.env.reset(seed=self.seed)[0])

    def after(self, s: int, terminated: bool, truncated: bool) -> int:
        """Return the state to act in after a step into `s`."""
        return int(self.env.reset()[0]) if terminated or truncated else s

    def update(self, s: int, a: int, r: float, n: int, terminated: bool) -> None:
        target = r + (0.0 if terminated else 0.9 * self.q[n].max())
        self.q[s, a] += 0.1 * (target - self.q[s, a])

    def step(self, s: int) -> int:
        a = self.act(s)
        n, r, terminated, truncated, _ = self.env.step(a)
        self.update(s, int(a), r, n, terminated)
        return self.after(n, terminated, truncated)

    def learn(self, total_timesteps: int) -> None:
        s = self.first()
        for _ in range(total_timesteps):
            s = self.step(s)

    def q_values(self, observation: Any) -> Any:
        return self.q[observation]

    def predict(self, observation: Any, deterministic: bool = False) -> tuple[Any, Any]:
        if deterministic:
            return self.q[observation].argmax(axis=-1), None
        return self.act(observation), None


class TakesFewerSteps(Plain):
    def learn(self, total_timesteps: int) -> None:
        super().learn(total_timesteps - 1)


class TakesMoreSteps(Plain):
    def learn(self, total_timesteps: int) -> None:
        super().learn(total_timesteps + 30)


class EndsItsEpisode(Plain):
    def learn(self, total_timesteps: int) -> None:
        s, taken, self.over = self.first(), 0, False
        while taken < total_timesteps or not self.over:
            s = self.step(s)
            taken += 1

    def after(self, s: int, terminated: bool, truncated: bool) -> int:
        self.over = terminated or truncated
        return super().after(s, terminated, truncated)


class CountsEpisodes(Plain):
    """As many episodes as the time limit makes of the steps, however long they are."""

    def learn(self, total_timesteps: int) -> None:
        s = self.first()
        for _ in range(-(-total_timesteps // 23)):
            over = False
            while not over:
                a = self.act(s)
                n, r, terminated, truncated, _ = self.env.step(a)
                self.update(s, a, r, n, terminated)
                over = terminated or truncated
                s = self.after(n, terminated, truncated)


class TakesNoSteps(Plain):
    def learn(self, total_timesteps: int) -> None:
        pass


class IgnoresTruncation(Plain):
    def after(self, s: int, terminated: bool, truncated: bool) -> int:
        return super().after(s, terminated, False)


class IgnoresTermination(Plain):
    def after(self, s: int, terminated: bool, truncated: bool) -> int:
        return super().after(s, False, truncated)


class ResetsEarly(Plain):
    def learn(self, total_timesteps: int) -> None:
        s = self.first()
        for t in range(total_timesteps):
            s = self.step(s)
            if t % 10 == 9:
                s = self.env.reset()[0]


class SeedsEveryEpisode(Plain):
    def after(self, s: int, terminated: bool, truncated: bool) -> int:
        return self.first() if terminated or truncated else s


class IllegalAction(Plain):
    def act(self, s: int) -> Any:
        return 2


class ArrayAction(Plain):
    """An array of length 1."""

    def act(self, s: int) -> Any:
        return np.array([1])


class NotSeeded(Plain):
    def __init__(self, env: Any, seed: int) -> None:
        super().__init__(env, seed)
        self.rng = np.random.default_rng()


class DrawsGlobally(Plain):
    """Not repeatable either, unless the program seeds `random`."""

    def act(self, s: int) -> int:
        return random.randrange(2) if random.random() < self.epsilon else self.greedy(s)


class SeedsGlobally(DrawsGlobally):
    """As stable-baselines3 does."""

    def __init__(self, env: Any, seed: int) -> None:
        super().__init__(env, seed)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002


class SamplesTheSpace(Plain):
    def act(self, s: int) -> int:
        return int(self.env.action_space.sample()) if self.rng.random() < 0.3 else self.greedy(s)


class ConstantSeed(Plain):
    def __init__(self, env: Any, seed: int) -> None:
        super().__init__(env, 0)


class Greedy(Plain):
    epsilon = 0.0


class Optimistic(Greedy):
    """Explores without chance: correct, and the same with every seed."""

    def __init__(self, env: Any, seed: int) -> None:
        super().__init__(env, seed)
        self.q += 100.0


class PredictExplores(Plain):
    def predict(self, observation: Any, deterministic: bool = False) -> tuple[Any, Any]:
        return super().act(observation), None


class PredictLearns(Plain):
    def predict(self, observation: Any, deterministic: bool = False) -> tuple[Any, Any]:
        result = super().predict(observation, deterministic)
        self.q[observation] -= 1e-3
        return result


class PredictSteps(Plain):
    def predict(self, observation: Any, deterministic: bool = False) -> tuple[Any, Any]:
        self.env.reset()
        self.env.step(0)
        return super().predict(observation, deterministic)


class PredictsIllegally(Plain):
    def predict(self, observation: Any, deterministic: bool = False) -> tuple[Any, Any]:
        return 2 + super().predict(observation, deterministic)[0], None


class BatchOfTheFirst(Plain):
    """Takes the first observation of a batch for all of them; the values differ."""

    def predict(self, observation: Any, deterministic: bool = False) -> tuple[Any, Any]:
        if np.ndim(observation):
            return np.repeat(1 - self.greedy(observation[0]), len(observation)), None
        return self.greedy(observation), None


class SingleOnly(Plain):
    """Correct: it does not take batches."""

    def predict(self, observation: Any, deterministic: bool = False) -> tuple[Any, Any]:
        return [row.argmax() for row in self.q][int(observation)], None


class BatchesOfOneOnly(Plain):
    """Correct: it takes batches of one only, and has no values."""

    q_values: Any = None

    def predict(self, observation: Any, deterministic: bool = False) -> tuple[Any, Any]:
        (s,) = observation
        return np.array([self.greedy(s)]), None


class CannotPredict(Plain):
    def predict(self, observation: Any) -> Any:  # type: ignore[override]
        return self.greedy(observation)


class PredictsNoState(Plain):
    def predict(self, observation: Any, deterministic: bool = False) -> Any:
        return self.greedy(observation)


class Raises(Plain):
    def learn(self, total_timesteps: int) -> None:
        super().learn(10)
        raise RuntimeError("out of luck\nat the second line")


class Exits(Plain):
    def learn(self, total_timesteps: int) -> None:
        raise SystemExit("enough")


class RaisesWithoutEpisodes(Plain):
    """A mean over no episodes."""

    def learn(self, total_timesteps: int) -> None:
        self.episodes = 0
        super().learn(total_timesteps)
        self.mean = total_timesteps / self.episodes

    def after(self, s: int, terminated: bool, truncated: bool) -> int:
        self.episodes += terminated or truncated
        return super().after(s, terminated, truncated)


class RaisesInShortEpisodes(Plain):
    """It takes the second step of each episode for granted."""

    def learn(self, total_timesteps: int) -> None:
        self.episode: list[int] = []
        super().learn(total_timesteps)

    def after(self, s: int, terminated: bool, truncated: bool) -> int:
        self.episode.append(s)
        if terminated or truncated:
            assert self.episode[1] >= 0
            self.episode = []
        return super().after(s, terminated, truncated)


class StepsForever(Plain):
    def learn(self, total_timesteps: int) -> None:
        s = self.first()
        while True:
            with suppress(Exception):
                s = self.step(s)


class NoPredict:
    def __init__(self, env: Any, seed: int) -> None:
        pass

    def learn(self, total_timesteps: int) -> None:
        pass


class LearnsEpisodes(Plain):
    def learn(self, episodes: int) -> None:
        super().learn(episodes * 10)


class NoLearn:
    def __init__(self, env: Any, seed: int) -> None:
        pass
