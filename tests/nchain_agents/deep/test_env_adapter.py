"""KerasDQN on vector environments: what it learns from, in every autoreset mode."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

pytest.importorskip("keras", reason="needs the keras or the jax extra")

from nchain_agents import KerasDQN
from nchain_agents.deep.replay import Batch
from nchain_env import NChainVectorEnv

MODES = list(AutoresetMode)
SMALL: dict[str, Any] = {
    "learning_starts": 20,
    "batch_size": 4,
    "buffer_size": 600,
    "net_arch": [],
    "gamma": 0.5,
    "seed": 0,
}


class Counter(gym.Env[Any, Any]):
    """Counts its steps: episode e of environment k shows 10,000 k + 100 e + step, for 1, 2, ..."""

    observation_space = gym.spaces.Box(0, 1e6, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, k: int) -> None:
        self.k, self.episode, self.steps = k, -1, 0

    def _see(self) -> Any:
        return np.array([10_000 * self.k + 100 * self.episode + self.steps], np.float32)

    def reset(self, **_: Any) -> Any:
        self.episode, self.steps = self.episode + 1, 0
        return self._see(), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        over = self.steps == 3 + self.k  # episodes of different lengths
        terminated = over and self.episode % 2 == 0
        return self._see(), float(self.steps), terminated, over and not terminated, {}


def counters(mode: AutoresetMode, num: int = 3) -> Any:
    makers = [lambda k=k: Counter(k) for k in range(num)]
    return SyncVectorEnv(makers, autoreset_mode=mode)


@pytest.mark.parametrize("mode", MODES)
def test_every_transition_of_every_episode_is_kept_and_nothing_else(mode: AutoresetMode) -> None:
    agent = KerasDQN(counters(mode), **SMALL).learn(100)
    assert agent.num_timesteps == agent.training_state.replay.added.sum() >= 100
    for k in range(3):
        length, count = 3 + k, int(agent.training_state.replay.added[k])
        batch = Batch.of(agent.training_state.replay.rows[:count, k])
        step, episode = np.arange(count) % length, np.arange(count) // length
        before = 10_000 * k + 100 * episode + step
        assert (batch.observations[:, 0] == before).all()
        assert (batch.next_observations[:, 0] == before + 1).all()
        assert (batch.rewards == step + 1).all()
        last = step == length - 1
        assert (batch.ended == last).all()
        assert (batch.discounts == np.where(last & (episode % 2 == 0), 0.0, 0.5)).all()


@pytest.mark.parametrize("mode", MODES)
def test_returns_are_those_of_the_episodes(mode: AutoresetMode) -> None:
    agent = KerasDQN(counters(mode), **SMALL).learn(60)
    assert set(agent.episode_returns) == {1 + 2 + 3, 1 + 2 + 3 + 4, 1 + 2 + 3 + 4 + 5}


@pytest.mark.parametrize("mode", MODES)
def test_going_on_leaves_no_gap(mode: AutoresetMode) -> None:
    once = KerasDQN(counters(mode), **SMALL).learn(90)
    parts = KerasDQN(counters(mode), **SMALL)
    while parts.num_timesteps < once.num_timesteps:
        parts.learn(1)
    assert (
        parts.training_state.replay.rows[:, :, :2] == once.training_state.replay.rows[:, :, :2]
    ).all()


@pytest.mark.parametrize("mode", MODES)
def test_it_learns_the_chain_in_a_vector_environment(mode: AutoresetMode) -> None:
    env = NChainVectorEnv(4, slip=0.0, max_episode_steps=50, autoreset_mode=mode)
    agent = KerasDQN(
        env,
        gamma=0.9,
        learning_rate=1e-2,
        learning_starts=100,
        target_update_interval=40,
        gradient_steps=2,
        exploration_final_eps=1.0,
        net_arch=[16],
        seed=0,
    ).learn(6000)
    actions, _ = agent.predict(np.arange(5), deterministic=True)
    assert actions.tolist() == [0, 0, 0, 0, 0]


def test_transitions_of_several_environments_are_sampled_alike() -> None:
    agent = KerasDQN(counters(AutoresetMode.NEXT_STEP), **SMALL).learn(100)
    kept = len(agent.training_state.replay)
    batch = Batch.of(agent.training_state.replay.sample((np.arange(kept) + 0.5) / kept))
    assert len(set(batch.observations[:, 0].tolist())) == kept == agent.num_timesteps


def test_n_step_returns_do_not_mix_environments() -> None:
    agent = KerasDQN(counters(AutoresetMode.NEXT_STEP), n_steps=3, **SMALL).learn(100)
    kept = len(agent.training_state.replay)
    batch = Batch.of(agent.training_state.replay.sample((np.arange(kept) + 0.5) / kept))
    begin, reached = batch.observations[:, 0], batch.next_observations[:, 0]
    assert (begin // 100 == reached // 100).all()  # same environment, same episode
    steps = reached - begin
    first = begin % 100 + 1
    expected = sum((first + i) * 0.5**i * (i < steps) for i in range(3))
    assert batch.rewards == pytest.approx(expected)
    assert set(steps.tolist()) == {1.0, 2.0, 3.0}


def test_gradient_steps_of_minus_one_are_as_many_as_the_transitions() -> None:
    agent = KerasDQN(
        counters(AutoresetMode.SAME_STEP), gradient_steps=-1, train_freq=2, **SMALL
    ).learn(60)
    # 20 calls; learning begins after 20 steps, at call 8: seven times of 2 x 3
    assert int(agent.optimizer.iterations) == 42


def test_it_asks_for_the_autoreset_mode() -> None:
    env = counters(AutoresetMode.NEXT_STEP)
    env.metadata = {}
    with pytest.raises(ValueError, match="env must have an AutoresetMode as metadata"):
        KerasDQN(env, **SMALL)
