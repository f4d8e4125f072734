"""Learners with one deliberate mistake each, written without the packages under test."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

# Named as the explanations that should be found; "" is a correct learner.
MISTAKES = (
    "",
    "on-policy target",
    "epsilon-greedy target",
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
)
# Those that are mistakes of the targets alone.
KERAS_MISTAKES = (
    "",
    "epsilon-greedy target",
    "reward clipped",
    "reward scaled",
    "reward shifted",
    "gamma squared",
    "gamma left out",
    "no bootstrap",
    "another gamma",
    "mean of the next values",
    "minimum of the next values",
)
# The parameters of mistakes.
EPSILON, SCALE, SHIFT, GAMMA, N, CONFUSED = 0.6, 1.25, 0.5, 0.65, 3, (0, 1)


class Target(NamedTuple):
    """Q(state, action) is to be reward + discount * the value of next_state."""

    state: int
    action: int
    reward: float
    discount: float
    next_state: int
    next_action: int


class Planted:
    """The loop of Q-learning with epsilon-greedy actions; `mistake` is what it does wrong.

    A subclass has values, and moves them towards targets.
    """

    def __init__(
        self, env: Any, seed: int = 0, mistake: str = "", gamma: float = 0.9, epsilon: float = 0.3
    ) -> None:
        assert mistake in MISTAKES
        self.env, self.mistake, self.gamma, self.epsilon = env, mistake, gamma, epsilon
        self.num_states = int(env.observation_space.n)
        self.num_actions = int(env.action_space.n)
        self.rng = np.random.default_rng(seed)
        self.row = np.arange(self.num_states)  # that a state is looked up in
        if mistake == "states confused":
            self.row[CONFUSED[1]] = CONFUSED[0]
        self._seed: int | None = seed
        self.pending: list[Target] = []

    def q_values(self, observation: Any) -> Any:
        raise NotImplementedError

    def update(self, target: Target) -> None:
        raise NotImplementedError

    def learn(self, total_timesteps: int) -> Self:
        state, _ = self.env.reset(seed=self._seed)
        self._seed = None
        action, previous_reward = self.act(state), 0.0
        for _ in range(total_timesteps):
            next_state, reward, terminated, truncated, _ = self.env.step(action)
            next_action = self.act(next_state)
            upcoming, upcoming_action = next_state, next_action
            if terminated or truncated:
                upcoming, _ = self.env.reset()
                upcoming_action = self.act(upcoming)
            target = Target(
                state,
                action,
                self.reward_of(previous_reward if self.mistake == "previous reward" else reward),
                self.discount_of(terminated, truncated),
                {"bootstraps from the reset": upcoming, "bootstraps from this state": state}.get(
                    self.mistake, next_state
                ),
                next_action,
            )
            if self.mistake == "n-step returns, uncorrected":
                self._in_n_steps(target, terminated or truncated)
            elif not (
                self.mistake == "last transition never learned" and (terminated or truncated)
            ):
                self.update(target)
            state, action, previous_reward = upcoming, upcoming_action, reward
        return self

    def act(self, state: int) -> int:
        if self.rng.random() < self.epsilon:
            return int(self.rng.integers(self.num_actions))
        return int(self.q_values(state).argmax())

    def predict(self, observation: Any, deterministic: bool = False) -> tuple[Any, None]:
        return self.q_values(observation).argmax(axis=-1), None

    def value(self, rows: Any, next_action: Any) -> Any:
        """Return the values of next states, (B,), from their action values, (B, A)."""
        if self.mistake == "on-policy target":
            return rows[np.arange(len(rows)), next_action]
        if self.mistake == "epsilon-greedy target":
            return (1 - EPSILON) * rows.max(1) + EPSILON * rows.mean(1)
        if self.mistake == "mean of the next values":
            return rows.mean(1)
        if self.mistake == "minimum of the next values":
            return rows.min(1)
        return rows.max(1)

    def reward_of(self, reward: float) -> float:
        if self.mistake == "reward clipped":
            return max(-1.0, min(reward, 1.0))
        if self.mistake == "reward scaled":
            return SCALE * reward
        if self.mistake == "reward shifted":
            return reward + SHIFT
        return reward

    def discount_of(self, terminated: bool, truncated: bool) -> float:
        if terminated and self.mistake != "termination ignored":
            return 0.0
        if truncated and self.mistake == "truncation as termination":
            return 0.0
        wrong = {
            "gamma squared": self.gamma**2,
            "gamma left out": 1.0,
            "no bootstrap": 0.0,
            "another gamma": GAMMA,
        }
        return wrong.get(self.mistake, self.gamma)

    def _in_n_steps(self, latest: Target, ended: bool) -> None:
        self.pending.append(latest)
        while self.pending and (ended or len(self.pending) == N):
            total, discount = 0.0, 1.0
            for target in self.pending:
                total += discount * target.reward
                discount *= target.discount
            first = self.pending.pop(0)
            self.update(
                latest._replace(
                    state=first.state, action=first.action, reward=total, discount=discount
                )
            )


class PlantedTable(Planted):
    """A table of action values with a constant step size."""

    def __init__(
        self, env: Any, seed: int = 0, mistake: str = "", alpha: float = 0.1, **settings: float
    ) -> None:
        super().__init__(env, seed, mistake, **settings)
        self.alpha = alpha
        self.table: npt.NDArray[np.float64] = np.zeros((self.num_states, self.num_actions))

    def q_values(self, observation: Any) -> Any:
        return self.table[self.row[observation]]

    def update(self, target: Target) -> None:
        following = self.q_values(target.next_state)
        wanted = (
            target.reward + target.discount * self.value(following[None], target.next_action)[0]
        )
        place = self.row[target.state], target.action
        self.table[place] += self.alpha * (wanted - self.table[place])
