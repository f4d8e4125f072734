from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the keras extra")
pytest.importorskip("tensorflow", reason="needs the keras extra")

from nchain_agents import KerasDQN, load
from nchain_agents.deep.replay import Batch, ReplayBuffer

SMALL: dict[str, Any] = {
    "learning_starts": 20,
    "batch_size": 8,
    "train_freq": 2,
    "target_update_interval": 25,
    "buffer_size": 64,
    "net_arch": [6],
    "seed": 0,
}


def one_hot(*states: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.eye(5, dtype=np.float32)[list(states)]


def test_the_replay_buffer_keeps_the_newest_and_samples_whole_transitions() -> None:
    buffer = ReplayBuffer(3, 2)
    assert len(buffer) == 0
    for i in range(5):
        before, after = np.full(2, i, np.float32), np.full(2, i + 1, np.float32)
        buffer.add(before, i % 2, 10.0 * i, after, i == 4)
    assert len(buffer) == 3
    batch = buffer.sample(200, np.random.default_rng(0))
    assert set(batch.rewards.tolist()) == {20.0, 30.0, 40.0}
    number = batch.observations[:, 0]
    assert (batch.rewards == 10 * number).all()
    assert (batch.reached[:, 1] == number + 1).all()
    assert (batch.actions == number % 2).all()
    assert (batch.terminated == (number == 4)).all()


def test_an_update_is_one_adam_step_on_the_huber_loss_of_the_td_error() -> None:
    agent = KerasDQN(
        "NChain-v0", gamma=0.5, learning_rate=0.1, net_arch=[], max_grad_norm=1e9, seed=0
    )
    weights = np.array([[1, 2], [0, 0], [3, 5], [0, 0], [0, 0]], dtype=np.float32)
    target = np.array([[0, 0], [4, 6], [8, 7], [0, 0], [0, 0]], dtype=np.float32)
    agent.network.set_weights([weights, np.zeros(2, np.float32)])
    agent.target_network.set_weights([target, np.zeros(2, np.float32)])
    batch = Batch(
        observations=one_hot(0, 2),
        actions=np.array([1, 0]),
        rewards=np.array([0.5, 1.0], dtype=np.float32),
        reached=one_hot(1, 2),
        terminated=np.array([False, True]),
    )
    # targets: 0.5 + 0.5 x 6 = 3.5 and 1 (terminated); errors: 1.5 and -2;
    # Huber: 1.5 - 0.5 and 2 - 0.5, mean 1.25
    assert agent._learner.update(batch) == pytest.approx(1.25)
    # Adam's first step is the learning rate, whatever the size of the gradient
    learned, bias = agent.network.get_weights()
    assert learned[0] == pytest.approx([1, 2.1], abs=1e-5)
    assert learned[2] == pytest.approx([2.9, 5], abs=1e-5)
    assert bias == pytest.approx([-0.1, 0.1], abs=1e-5)
    assert (learned[[1, 3, 4]] == 0).all()
    assert (agent.target_network.get_weights()[0] == target).all()


def test_the_target_network_moves_by_tau() -> None:
    agent = KerasDQN("NChain-v0", net_arch=[], tau=0.25, seed=0)
    agent.network.set_weights([np.full((5, 2), 4.0), np.zeros(2)])
    agent.target_network.set_weights([np.full((5, 2), 8.0), np.ones(2)])
    agent._update_target()
    moved, bias = agent.target_network.get_weights()
    assert (moved == 7.0).all()
    assert (bias == 0.75).all()


def test_equal_seeds_learn_equal_weights_and_others_do_not() -> None:
    def learned(seed: int) -> bytes:
        agent = KerasDQN("NChain-v0", **SMALL | {"seed": seed}).learn(200)
        return b"".join(weights.tobytes() for weights in agent.network.get_weights())

    assert learned(1) == learned(1)
    assert learned(1) != learned(2)


def test_it_takes_boxes_of_any_shape_and_several_discrete_numbers() -> None:
    cart = KerasDQN("CartPole-v1", **SMALL).learn(60)
    observation, _ = cart.env.reset(seed=0)
    action, _ = cart.predict(observation, deterministic=True)
    assert action in (0, 1)
    assert cart.q_values(np.stack([observation] * 3)).shape == (3, 2)

    class Grid(gym.Env[Any, Any]):
        observation_space = gym.spaces.MultiDiscrete([2, 3])
        action_space = gym.spaces.Discrete(3)

        def reset(self, **_: Any) -> Any:
            return np.array([0, 2]), {}

        def step(self, action: Any) -> Any:
            return np.array([1, 1]), 1.0, True, False, {}

    grid = KerasDQN(Grid(), **SMALL).learn(60)
    assert grid.network.input_shape == (None, 5)
    assert grid.q_values(np.array([1, 2])).shape == (3,)


def test_terminal_rewards_are_learned_as_they_are() -> None:
    class Bandit(gym.Env[Any, Any]):
        observation_space = gym.spaces.Discrete(1)
        action_space = gym.spaces.Discrete(2)

        def reset(self, **_: Any) -> Any:
            return 0, {}

        def step(self, action: Any) -> Any:
            return 0, (3.0, -1.0)[action], True, False, {}

    agent = KerasDQN(Bandit(), **SMALL | {"learning_rate": 0.05}).learn(600)
    assert agent.q_values(0) == pytest.approx([3.0, -1.0], abs=0.1)


def test_a_saved_network_comes_back_the_same(tmp_path: Path) -> None:
    agent = KerasDQN("NChain-v0", **SMALL).learn(100)
    agent.save(tmp_path / "agent")
    loaded = load(tmp_path / "agent")
    assert isinstance(loaded, KerasDQN)
    assert loaded.net_arch == [6]
    for ours, theirs in zip(agent._arrays().values(), loaded._arrays().values(), strict=True):
        assert ours.tobytes() == theirs.tobytes()
    loaded.learn(50)
    with pytest.raises(ValueError, match="must fit the saved network"):
        KerasDQN.load(tmp_path / "agent", gym.make("NChain-v0", n=3))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"learning_rate": 0}, r"learning_rate must be a number in \(0, inf\)"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"tau": 1.5}, r"tau must be a number in \(0, 1\]"),
        ({"exploration_final_eps": 2}, r"epsilon \(final\)"),
        ({"net_arch": [0]}, "net_arch must be an integer of at least 1, got 0"),
        ({"max_grad_norm": float("nan")}, "max_grad_norm"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KerasDQN("NChain-v0", **parameters)


def test_unsupported_spaces_and_observations_are_refused() -> None:
    with pytest.raises(ValueError, match="discrete or box observations"):
        KerasDQN("Blackjack-v1")
    with pytest.raises(ValueError, match="discrete actions"):
        KerasDQN("Pendulum-v1")
    agent = KerasDQN("NChain-v0", **SMALL)
    with pytest.raises(ValueError, match=r"observation must be in Discrete\(5\)"):
        agent.predict(5)
    with pytest.raises(ValueError, match="observation must have shape"):
        agent.predict([[0, 1]])
