"""An agent whose policy is known at every step: backward, and forward from a step on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


class Scripted:
    """Goes forward from the step `forward_from[seed]` on; `fails` are seeds that raise."""

    def __init__(
        self,
        env: Any,
        *,
        forward_from: Mapping[int, int] | None = None,
        fails: Collection[int] = (),
        takes: int | None = None,
        seed: int = 0,
    ) -> None:
        self.env, self.steps, self.takes = env, 0, takes
        self.forward_from = (forward_from or {}).get(seed)
        self.seed, self.fails = seed, fails

    def learn(self, total_timesteps: int) -> None:
        if self.seed in self.fails:
            raise RuntimeError(f"seed {self.seed} fails")
        self.env.reset(seed=self.seed)
        for _ in range(self.takes or total_timesteps):
            self.steps += 1
            self.env.step(self.predict(0)[0])

    def predict(self, observation: Any, *args: Any, **kwargs: Any) -> tuple[int, None]:
        forward = self.forward_from is not None and self.steps >= self.forward_from
        return (0 if forward else 1), None


class Threshold(Scripted):
    """Goes forward with the k-th tuning seed if x > k / 4; fails if x is above `fails_above`."""

    def __init__(
        self, env: Any, *, x: float = 0.3, fails_above: float = 1.0, kind: str = "a", seed: int = 0
    ) -> None:
        fails = {seed} if x > fails_above else set()
        forward_from = {seed: 0} if x > (seed - 1_000_000) / 4 else {}
        super().__init__(env, forward_from=forward_from, fails=fails, seed=seed)
