"""Learners with one deliberate mistake each, written without the package."""

from __future__ import annotations

from typing import Any

import numpy as np


class PlantedTable:
    """A table learner; `mistake` names what it does wrong."""

    def __init__(self, env: Any, seed: int = 0, mistake: str = "", gamma: float = 0.9, alpha: float = 0.1, epsilon: float = 0.3):
        self.env, self.seed, self.mistake = env, seed, mistake
        self.gamma, self.alpha, self.epsilon = gamma, alpha, epsilon
        self.S, self.A = int(env.observation_space.n), int(env.action_space.n)
        self.q = np.zeros((self.S, self.A))
        self.rng = np.random.default_rng(seed)

    def look(self, s: int) -> int:
        return 0 if self.mistake == "states confused" and s == 1 else s

    def act(self, s: int) -> int:
        if self.rng.random() < self.epsilon:
            return int(self.rng.integers(self.A))
        return int(self.q[self.look(s)].argmax())

    def learn(self, total_timesteps: int) -> Any:
        m, q, g = self.mistake, self.q, self.gamma
        s, _ = self.env.reset(seed=self.seed)
        a = self.act(s)
        prev = 0.0
        window: list[Any] = []
        for _ in range(total_timesteps):
            n, r, term, trunc, _ = self.env.step(a)
            ended = term or trunc
            used = r
            if m == "previous reward":
                used = prev
            if m == "reward clipped":
                used = max(-1.0, min(1.0, r))
            if m == "reward scaled":
                used = 1.25 * r
            if m == "reward shifted":
                used = r + 0.5
            prev = r
            seen = n
            if ended:
                seen, _ = self.env.reset()
            following = self.act(seen)
            target_state = n
            if m == "bootstraps from the reset":
                target_state = seen
            if m == "bootstraps from this state":
                target_state = s
            row = q[self.look(target_state)]
            value = row.max()
            if m == "on-policy target":
                value = row[self.act(n)] if ended else row[following]
            if m == "mean of the next values":
                value = row.mean()
            if m == "minimum of the next values":
                value = row.min()
            discount = g
            if m == "gamma squared":
                discount = g * g
            if m == "another gamma":
                discount = g - 0.25
            if m == "gamma left out":
                discount = 1.0
            if m == "no bootstrap":
                discount = 0.0
            if term and m != "termination ignored":
                discount = 0.0
            if trunc and m == "truncation as termination":
                discount = 0.0
            if m == "n-step returns, uncorrected":
                window.append((s, a, used))
                if len(window) == 3 or ended:
                    while window:
                        total = sum(g**k * w[2] for k, w in enumerate(window))
                        boot = 0.0 if term else g ** len(window) * row.max()
                        self.move(window[0][0], window[0][1], total + boot)
                        window.pop(0)
                        if not ended:
                            break
            elif not (ended and m == "last transition never learned"):
                self.move(s, a, used + discount * value)
            s, a = seen, following
        return self

    def move(self, s: int, a: int, target: float) -> None:
        s = self.look(s)
        self.q[s, a] += self.alpha * (target - self.q[s, a])

    def q_values(self, obs: Any) -> Any:
        look = np.arange(self.S)
        if self.mistake == "states confused":
            look[1] = 0
        return self.q[look[np.asarray(obs)]]

    def predict(self, obs: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False) -> Any:
        return self.q_values(obs).argmax(axis=-1), None


MISTAKES = [
    "",
    "on-policy target",
    "truncation as termination",
    "termination ignored",
    "bootstraps from the reset",
    "previous reward",
    "reward clipped",
    "reward scaled",
    "reward shifted",
    "gamma squared",
    "gamma left out",
    "no bootstrap",
    "another gamma",
    "mean of the next values",
    "minimum of the next values",
    "bootstraps from this state",
    "n-step returns, uncorrected",
    "last transition never learned",
    "states confused",
]
