"""A DQN with one deliberate mistake, written without the packages under test."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from planted import Planted, Target

Loss = type[torch.nn.SmoothL1Loss] | type[torch.nn.MSELoss]


class PlantedDQN(Planted):
    """DQN (Mnih et al. 2015) on one-hot states, with a gradient step every `train_freq` steps.

    There are so few states that the network is always called with all of them, and that its last
    values are kept to act by, and those of the target network in place of its weights.
    """

    def __init__(
        self,
        env: Any,
        seed: int = 0,
        mistake: str = "",
        learning_rate: float = 3e-3,
        batch_size: int = 32,
        hidden: int = 32,
        train_freq: int = 4,
        target_update_interval: int = 200,
        buffer_size: int = 100_000,
        loss: Loss = torch.nn.SmoothL1Loss,
        **settings: float,
    ) -> None:
        super().__init__(env, seed, mistake, **settings)
        torch.set_num_threads(1)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.net = torch.nn.Sequential(
                torch.nn.Linear(self.num_states, hidden),
                torch.nn.ReLU(),
                torch.nn.Linear(hidden, self.num_actions),
            )
        self.optimizer = torch.optim.Adam(self.net.parameters(), learning_rate, fused=True)
        self.loss, self.batch_size, self.train_freq = loss(), batch_size, train_freq
        self.target_update_interval = target_update_interval
        self.inputs = torch.eye(self.num_states)[self.row]  # (S, S): states confused look the same
        self.replay = np.zeros((buffer_size, len(Target._fields)))
        self.stored = 0
        self.table = self.target_table = self.net(self.inputs).detach().numpy()

    def q_values(self, observation: Any) -> Any:
        return self.table[observation]

    def update(self, target: Target) -> None:
        self.replay[self.stored % len(self.replay)] = target
        self.stored += 1
        if self.stored >= self.batch_size and self.stored % self.train_freq == 0:
            self._gradient_step()
        if self.stored % self.target_update_interval == 0:
            self.target_table = self.table

    def _gradient_step(self) -> None:
        chosen = self.rng.integers(min(self.stored, len(self.replay)), size=self.batch_size)
        state, action, reward, discount, next_state, next_action = self.replay[chosen].T
        following = self.target_table[next_state.astype(int)]
        wanted = reward + discount * self.value(following, next_action.astype(int))
        values = self.net(self.inputs)
        taken = values[state.astype(int), action.astype(int)]
        self.optimizer.zero_grad()
        self.loss(taken, torch.from_numpy(wanted.astype(np.float32))).backward()
        self.optimizer.step()
        self.table = values.detach().numpy()
