import dataclasses
import inspect
import os
import re
import subprocess
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the keras or the jax extra")

import keras

from nchain_agents import KerasDQN
from nchain_agents.agent import Agent
from nchain_agents.callbacks import EveryNTimesteps, StopAtConvergence
from nchain_agents.deep.encoding import Encoding
from nchain_agents.deep.hyperparameters import Hyperparameters
from nchain_agents.deep.replay import Batch, Replay

# Keras reads JAX's arrays in a way that NumPy warns about
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't:DeprecationWarning"
)

SMALL: dict[str, Any] = {
    "learning_starts": 20,
    "batch_size": 8,
    "train_freq": 2,
    "target_update_interval": 25,
    "buffer_size": 64,
    "net_arch": [6],
    "compiled": False,
    "seed": 0,
}


class Scripted(gym.Env[Any, Any]):
    """Gives what it is told to, in episodes of five steps."""

    def __init__(
        self,
        observation_space: gym.Space[Any],
        observation: Any,
        rewards: tuple[float, ...] = (1.0, 1.0),
        actions: int = 2,
    ) -> None:
        self.observation_space, self.observation = observation_space, observation
        self.action_space, self.rewards = gym.spaces.Discrete(actions), rewards
        self.steps = 0

    def reset(self, **_: Any) -> Any:
        return self.observation, {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return self.observation, self.rewards[action], self.steps % 5 == 0, False, {}


def row(before: int, after: int, action: int, reward: float, discount: float) -> list[float]:
    return [before, after, action, reward, discount, 0.0]


def one_layer(weights: Any, bias: Any = (0, 0)) -> list[Any]:
    return [np.array(weights, np.float32), np.array(bias, np.float32)]


WEIGHTS = one_layer([[1, 2], [0, 0], [3, 5], [0, 0], [0, 0]])
TARGET = one_layer([[0, 0], [4, 6], [8, 7], [0, 0], [0, 0]])
# 0 -> 1 by action 1 for 0.5, and 2 -> 2 by action 0 for 1, where the episode terminates
BATCH = np.array([[row(0, 1, 1, 0.5, 0.5), row(2, 2, 0, 1.0, 0.0)]], np.float32)
SEEN = np.zeros((1, 1), np.float32)


def learned(agent: KerasDQN, batches: Any = BATCH, share: float = 0.0) -> list[Any]:
    """The weights after the network learned from the batches, from the same beginning."""
    agent.network.set_weights(WEIGHTS)
    agent.target_network.set_weights(TARGET)
    agent.training_state.learner.learn(batches, SEEN, share)
    weights: list[Any] = agent.network.get_weights()
    return weights


def test_an_update_is_one_adam_step_on_the_huber_loss_of_the_td_error() -> None:
    agent = KerasDQN("NChain-v0", learning_rate=0.1, net_arch=[], max_grad_norm=1e9, seed=0)
    weights, bias = learned(agent)
    # targets: 0.5 + 0.5 x 6 = 3.5 and 1 (terminated); errors: 1.5 and -2;
    # Huber: 1.5 - 0.5 and 2 - 0.5, mean 1.25
    assert agent.last_loss == pytest.approx(1.25)
    # Adam's first step is the learning rate, whatever the size of the gradient
    assert weights[0] == pytest.approx([1, 2.1], abs=1e-5)
    assert weights[2] == pytest.approx([2.9, 5], abs=1e-5)
    assert bias == pytest.approx([-0.1, 0.1], abs=1e-5)
    assert (weights[[1, 3, 4]] == 0).all()
    assert (agent.target_network.get_weights()[0] == TARGET[0]).all()


@pytest.mark.parametrize(
    ("parameters", "loss", "changes"),
    [
        # d/dq of the mean: -error for mse (1/2 x 2), -1/2 sign(error) for Huber beyond 1
        ({"loss": "mse"}, (1.5**2 + 2**2) / 2, (1.5, -2.0)),
        ({"loss": "huber"}, 1.25, (0.5, -0.5)),
        # the gradient in W and bias, (0.5, 0.5, 0.5, 0.5) up to signs, has norm 1
        ({"loss": "huber", "max_grad_norm": 0.1}, 1.25, (0.05, -0.05)),
        # the network prefers neither action in state 1, and takes the lower: worth 4, not 6
        ({"loss": "mse", "double_q": True}, (0.5**2 + 2**2) / 2, (0.5, -2.0)),
    ],
)
def test_losses_clipping_and_double_q_are_what_they_say(
    parameters: dict[str, Any], loss: float, changes: tuple[float, float]
) -> None:
    # plain gradient descent with step size 1
    agent = KerasDQN(
        "NChain-v0", net_arch=[], optimizer=keras.optimizers.SGD(1.0), seed=0, **parameters
    )
    weights, bias = learned(agent)
    assert agent.last_loss == pytest.approx(loss)
    assert weights[0] == pytest.approx([1, 2 + changes[0]], abs=1e-5)
    assert weights[2] == pytest.approx([3 + changes[1], 5], abs=1e-5)
    assert bias == pytest.approx(changes[::-1], abs=1e-5)


def test_several_gradient_steps_are_taken_one_after_the_other() -> None:
    agent = KerasDQN("NChain-v0", learning_rate=0.1, net_arch=[], seed=0)
    together = learned(agent, np.concatenate([BATCH, BATCH, BATCH]))
    agent = KerasDQN("NChain-v0", learning_rate=0.1, net_arch=[], seed=0)
    learned(agent)
    for _ in range(2):
        agent.training_state.learner.learn(BATCH, SEEN, 0.0)
    for ours, theirs in zip(together, agent.network.get_weights(), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)


def test_the_target_network_moves_by_tau_before_the_network_learns() -> None:
    agent = KerasDQN("NChain-v0", net_arch=[], tau=0.25, seed=0)
    learned(agent, share=0.25)
    moved, bias = agent.target_network.get_weights()
    assert moved == pytest.approx(0.75 * TARGET[0] + 0.25 * WEIGHTS[0])
    assert (bias == 0).all()


def test_updates_of_the_target_between_gradient_steps_are_made_up_for() -> None:
    agent = KerasDQN("NChain-v0", tau=0.5, train_freq=4, target_update_interval=2, seed=0)
    # two updates at a half each, in the four steps before step 8
    assert agent.hyperparameters.combined_tau(8, 1) == pytest.approx(0.75)
    agent = KerasDQN("NChain-v0", tau=1.0, train_freq=4, target_update_interval=6, seed=0)
    assert [agent.hyperparameters.combined_tau(step, 1) for step in (4, 8, 12, 16)] == [0, 1, 1, 0]


def test_the_values_that_come_with_an_update_are_those_after_it() -> None:
    agent = KerasDQN("NChain-v0", learning_rate=0.1, net_arch=[4], seed=0)
    values = agent.training_state.learner.learn(BATCH, np.array([[3.0]], np.float32), 0.0)
    assert values[0] == pytest.approx(agent.q_values(3), abs=1e-6)


def test_each_hyperparameter_is_an_argument_a_parameter_an_attribute_and_documented() -> None:
    arguments = inspect.signature(KerasDQN).parameters
    fields = {field.name: field for field in dataclasses.fields(Hyperparameters)}
    assert list(arguments) == ["env", *fields, "model", "optimizer", "seed", "tensorboard_log"]
    assert KerasDQN.parameters == tuple(fields)
    agent = KerasDQN("NChain-v0")
    text = " ".join(str(KerasDQN.__doc__).split())
    for name, field in fields.items():
        assert arguments[name].default == field.default
        assert arguments[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert getattr(agent, name) == getattr(Hyperparameters(), name)
        assert f"{name}: {field.metadata['doc']}" in text


def test_a_hyperparameter_that_is_assigned_is_checked_and_counts_from_then_on() -> None:
    agent = KerasDQN("NChain-v0", **SMALL).learn(20)
    agent.exploration_final_eps = 0.25  # type: ignore[misc]
    with pytest.raises(ValueError, match=r"exploration_final_eps must be a number in \[0, 1\]"):
        agent.exploration_final_eps = 2  # type: ignore[misc]
    assert agent.exploration_final_eps == agent.hyperparameters.exploration_final_eps == 0.25
    agent.learn(40)
    assert agent.epsilon == pytest.approx(0.25)

    def shrink(agent: Any) -> None:
        agent.exploration_final_eps = 0.5 if agent.num_timesteps < 100 else 0.125

    agent = KerasDQN(Scripted(gym.spaces.Discrete(3), 1), **SMALL)
    agent.learn(200, callback=shrink)
    assert agent.num_timesteps == 200
    assert agent.epsilon == pytest.approx(0.125)


def test_weights_begin_as_torch_draws_them() -> None:
    agent = KerasDQN("CartPole-v1", net_arch=[100], seed=0)
    first, bias, second, _ = agent.network.get_weights()
    for weights, bound in ((first, 0.5), (bias, 0.5), (second, 0.1)):
        assert 0.95 * bound < np.abs(weights).max() <= bound
        assert abs(weights.mean()) < bound / 3


def test_equal_seeds_learn_equal_weights_and_others_do_not() -> None:
    def weights(seed: int) -> bytes:
        agent = KerasDQN("NChain-v0", **SMALL | {"seed": seed}).learn(200)
        return b"".join(weights.tobytes() for weights in agent.network.get_weights())

    assert weights(1) == weights(1)
    assert weights(1) != weights(2)


def test_learning_in_parts_is_learning_at_once() -> None:
    constant = {"exploration_initial_eps": 0.3, "exploration_final_eps": 0.3}
    once = KerasDQN("NChain-v0", **SMALL | constant).learn(150)
    parts = KerasDQN("NChain-v0", **SMALL | constant).learn(63).learn(1).learn(86)
    for ours, theirs in zip(once.network.get_weights(), parts.network.get_weights(), strict=True):
        assert ours.tobytes() == theirs.tobytes()


def test_a_callback_every_n_steps_changes_nothing_that_is_learned() -> None:
    looked = []

    def look(agent: Agent) -> None:
        looked.append((agent.num_timesteps, agent.total_reward))

    whole = KerasDQN("NChain-v0", **SMALL).learn(150)
    parts = KerasDQN("NChain-v0", **SMALL).learn(150, EveryNTimesteps(40, look))
    assert [step for step, _ in looked] == [40, 80, 120, 150]
    assert looked[-1][1] == whole.total_reward > 0
    for ours, theirs in zip(whole.network.get_weights(), parts.network.get_weights(), strict=True):
        assert ours.tobytes() == theirs.tobytes()


def test_it_takes_boxes_of_any_shape_and_several_discrete_numbers() -> None:
    cart = KerasDQN("CartPole-v1", **SMALL).learn(60)
    observation, _ = cart.env.reset(seed=0)
    action, _ = cart.predict(observation, deterministic=True)
    assert action in (0, 1)
    assert cart.q_values(np.stack([observation] * 3)).shape == (3, 2)

    space = gym.spaces.MultiDiscrete([2, 3], start=[5, 0])
    grid = KerasDQN(Scripted(space, np.array([6, 2]), (0, 0, 0), actions=3), **SMALL).learn(60)
    assert grid.network.input_shape == (None, 5)
    assert grid.q_values(np.array([5, 2])).shape == (3,)
    encoded = np.asarray(Encoding(space).encode(np.array([[6.0, 2.0], [5.0, 0.0]])))
    assert encoded.tolist() == [[0, 1, 0, 0, 1], [1, 0, 1, 0, 0]]

    plane = gym.spaces.Box(0, 9, (2, 3))
    agent = KerasDQN(Scripted(plane, np.ones((2, 3), np.float32)), **SMALL).learn(60)
    assert agent.network.input_shape == (None, 6)
    assert agent.q_values(np.ones((4, 2, 3))).shape == (4, 2)


def test_a_model_of_the_users_learns_in_its_own_shape_with_its_optimizer() -> None:
    image = gym.spaces.Box(0, 255, (4, 4, 1), np.uint8)
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Conv2D(2, 3),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    before = [np.array(v) for v in map(keras.ops.convert_to_numpy, model.variables)]
    optimizer = keras.optimizers.RMSprop(0.01)
    env = Scripted(image, np.full((4, 4, 1), 7, np.uint8))
    agent = KerasDQN(env, model=model, optimizer=optimizer, **SMALL).learn(100)
    assert agent.network is model
    assert int(optimizer.iterations) == 40
    after = [keras.ops.convert_to_numpy(v) for v in model.variables]
    # the statistics of the batch normalization too
    assert all((a != b).any() for a, b in zip(before[:4], after[:4], strict=True))
    assert (before[4] != after[4]).any()
    assert (before[5] != after[5]).any()


def test_terminal_rewards_are_learned_as_they_are() -> None:
    class Bandit(Scripted):
        def step(self, action: Any) -> Any:
            return 0, (3.0, -1.0)[action], True, False, {}

    parameters = SMALL | {"learning_rate": 0.05}
    agent = KerasDQN(Bandit(gym.spaces.Discrete(1), 0), **parameters).learn(600)
    assert agent.q_values(0) == pytest.approx([3.0, -1.0], abs=0.1)


def test_a_truncated_episode_goes_on_in_its_value() -> None:
    class Payday(Scripted):
        def step(self, action: Any) -> Any:
            return 0, 1.0, False, True, {}

    parameters = SMALL | {"gamma": 0.5, "learning_rate": 0.05, "target_update_interval": 2}
    agent = KerasDQN(Payday(gym.spaces.Discrete(1), 0), **parameters).learn(1000)
    # 1 + 1/2 + 1/4 + ...
    assert agent.q_values(0) == pytest.approx([2.0, 2.0], abs=0.1)


def test_epsilon_decays_by_episodes_as_in_the_tutorial() -> None:
    constant = {"exploration_initial_eps": 0.5, "exploration_final_eps": 0.5}
    env = Scripted(gym.spaces.Discrete(1), 0)
    agent = KerasDQN(env, exploration_decay=0.9, **SMALL | constant)
    seen: list[float] = []
    agent.learn(50, callback=lambda _: seen.append(agent.epsilon))
    # episodes of five steps; the first four are spent on learning_starts, at random
    assert seen[:4] == [1.0] * 4
    assert seen[4:] == pytest.approx([0.5 * 0.9**episode for episode in range(5, 11)])


def test_a_callback_stops_the_training_and_sees_what_was_learned() -> None:
    networks: list[bytes] = []

    def twice(agent: Any) -> bool:
        networks.append(agent.network.get_weights()[0].tobytes())
        return len(networks) < 20

    env = Scripted(gym.spaces.Discrete(3), 1)
    agent = KerasDQN(env, **SMALL).learn(1000, callback=twice)
    assert agent.num_timesteps == 100
    assert len(set(networks[4:])) == 16  # it learns from step 22 on


def test_it_stops_when_the_network_has_converged() -> None:
    env = Scripted(gym.spaces.Discrete(1), 0)
    agent = KerasDQN(env, **SMALL | {"gamma": 0.0, "learning_rate": 0.05})
    stop = StopAtConvergence(1e-4, window=100)
    agent.learn(20_000, callback=stop)
    assert stop.converged
    assert 200 < agent.num_timesteps < 20_000
    assert agent.q_values(0) == pytest.approx([1.0, 1.0], abs=1e-2)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_rewards_and_observations_that_are_not_finite_stop_the_training(bad: float) -> None:
    class Breaks(Scripted):
        fault = "reward"

        def step(self, action: Any) -> Any:
            observation, reward, *rest = super().step(action)
            if self.steps == 33 and self.fault == "reward":
                reward = bad
            if self.steps == 33 and self.fault == "observation":
                observation = np.array([0.0, bad], np.float32)
            return observation, reward, *rest

    space = gym.spaces.Box(-1, 1, (2,))
    for fault in ("reward", "observation"):
        env = Breaks(space, np.zeros(2, np.float32))
        env.fault = fault
        agent = KerasDQN(env, **SMALL)
        with pytest.raises(ValueError, match=rf"the {fault} .*{bad}.* at step 33"):
            agent.learn(100)
        assert agent.num_timesteps == 32
        assert all(np.isfinite(weights).all() for weights in agent.network.get_weights())
        assert np.isfinite(agent.training_state.replay.rows).all()
        agent.learn(10)  # goes on in a new episode
        assert agent.num_timesteps == 42

    class BeginsBroken(Scripted):
        def reset(self, **_: Any) -> Any:
            return (np.array([0.0, bad], np.float32) if self.steps == 35 else self.observation), {}

    agent = KerasDQN(BeginsBroken(space, np.zeros(2, np.float32)), **SMALL)
    with pytest.raises(ValueError, match=rf"the observation .*{bad}.* at step 36"):
        agent.learn(100)
    agent.env.unwrapped.steps = 0  # type: ignore[attr-defined]
    assert agent.learn(10).num_timesteps == 45

    env = Breaks(space, np.array([0.0, bad], np.float32))
    with pytest.raises(ValueError, match=r"the observation .* at step 1"):
        KerasDQN(env, **SMALL).learn(100)


def test_the_replay_buffer_keeps_the_newest_and_samples_whole_transitions() -> None:
    buffer = Replay(3, 2, gamma=0.5)
    assert len(buffer) == 0
    for i in range(5):
        before, after = np.full((1, 2), i, np.float32), np.full((1, 2), i + 1, np.float32)
        end = np.array([i == 4])
        buffer.add(before, after, np.array([i % 2]), np.array([10.0 * i]), end, end)
    assert len(buffer) == 3
    batch = Batch.of(buffer.sample(np.random.default_rng(0).random(200)))
    assert set(batch.rewards.tolist()) == {20.0, 30.0, 40.0}
    number = batch.observations[:, 0]
    assert (batch.rewards == 10 * number).all()
    assert (batch.next_observations[:, 1] == number + 1).all()
    assert (batch.actions == number % 2).all()
    assert (batch.discounts == np.where(number == 4, 0.0, 0.5)).all()
    assert (batch.ended == (number == 4)).all()


def test_n_step_returns_end_with_the_episode_and_with_the_newest_transition() -> None:
    buffer = Replay(6, 1, gamma=0.5, n_steps=3)
    for i in range(8):  # keeps 2 to 7; an episode is cut off after 4
        before, after = np.array([[float(i)]], np.float32), np.array([[i + 1.0]], np.float32)
        no, ended = np.array([False]), np.array([i == 4])
        buffer.add(before, after, np.array([0]), np.array([2.0**i]), no, ended)
    batch = Batch.of(buffer.sample((np.arange(6) + 0.5) / 6))
    spans = {
        int(first): (reward, reached, discount)
        for first, reached, reward, discount in zip(
            batch.observations[:, 0],
            batch.next_observations[:, 0],
            batch.rewards,
            batch.discounts,
            strict=True,
        )
    }
    # 2^i + 2^(i+1) / 2 + 2^(i+2) / 4 is as many times 2^i as there are steps
    assert spans == {
        2: (12.0, 5.0, 0.125),
        3: (16.0, 5.0, 0.25),
        4: (16.0, 5.0, 0.5),
        5: (96.0, 8.0, 0.125),
        6: (128.0, 8.0, 0.25),
        7: (128.0, 8.0, 0.5),
    }


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"learning_rate": 0}, r"learning_rate must be a number in \(0, inf\)"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"gradient_steps": 0}, "gradient_steps .* must be an integer of at least 1, got 0"),
        ({"n_steps": 0}, "n_steps must be an integer of at least 1, got 0"),
        ({"tau": 1.5}, r"tau must be a number in \(0, 1\]"),
        ({"exploration_final_eps": 2}, r"exploration_final_eps must be a number in \[0, 1\]"),
        ({"exploration_decay": -1}, "exploration_decay"),
        ({"net_arch": [0]}, "net_arch must be an integer of at least 1, got 0"),
        ({"max_grad_norm": float("nan")}, "max_grad_norm"),
        ({"loss": "mae"}, "loss must be one of 'huber', 'mse', got 'mae'"),
        ({"double_q": 1}, "double_q must be one of False, True, got 1"),
        ({"compiled": "yes"}, "compiled must be one of False, True, 'auto', got 'yes'"),
        ({"model": "dense"}, "model must be a Keras model, got 'dense'"),
        ({"optimizer": "adam"}, "optimizer must be a Keras optimizer, got 'adam'"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KerasDQN("NChain-v0", **parameters)


def test_a_model_that_does_not_fit_the_spaces_is_refused() -> None:
    narrow = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    with pytest.raises(
        ValueError, match=r"model must give 2 values.* got output shape \(None, 3\)"
    ):
        KerasDQN("NChain-v0", model=narrow)
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"model must take 5 numbers.* got input shape"):
        KerasDQN("NChain-v0", model=other)


def test_unsupported_spaces_and_observations_are_refused() -> None:
    with pytest.raises(ValueError, match="discrete or box observations"):
        KerasDQN("Blackjack-v1")
    with pytest.raises(ValueError, match="discrete actions numbered from 0"):
        KerasDQN("Pendulum-v1")
    agent = KerasDQN("NChain-v0", **SMALL)
    with pytest.raises(ValueError, match=r"observation must be in Discrete\(5\)"):
        agent.predict(5)
    with pytest.raises(ValueError, match="observation must have shape"):
        agent.predict([[0, 1]])


@pytest.mark.parametrize(
    ("backend", "hidden", "message"),
    [
        pytest.param(
            *("torch", "", r"ValueError.*KERAS_BACKEND must be 'tensorflow'.*nchain-env\[jax\]"),
            marks=pytest.mark.slow,
        ),
        ("jax", "jax", r"ModuleNotFoundError.*pip install -e '.*\[jax\]'"),
        ("tensorflow", "tensorflow", r"ModuleNotFoundError.*pip install -e '.*\[keras\]'"),
        ("tensorflow", "keras", r"ModuleNotFoundError.*pip install -e '.*\[keras\]'"),
    ],
)
def test_a_missing_backend_is_named_with_its_extra(backend: str, hidden: str, message: str) -> None:
    program = (
        f"import sys; sys.modules[{hidden!r} or 'nothing'] = None; import nchain_agents\n"
        "try: nchain_agents.KerasDQN('NChain-v0')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(message, done.stdout), done.stdout


def test_a_vec_env_of_sb3_is_refused_with_what_to_use_instead() -> None:
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    env = vec_env.DummyVecEnv([lambda: gym.make("NChain-v0")])
    message = "env must be .* got stable-baselines3's DummyVecEnv; use gymnasium.make_vec"
    with pytest.raises(ValueError, match=message):
        KerasDQN(env)
    agent = KerasDQN(gym.make_vec("NChain-v0", num_envs=1), **SMALL)
    with pytest.raises(ValueError, match=message):
        agent.env = env
    assert agent.learn(10).num_timesteps == 10


def test_rewards_too_large_for_single_precision_stop_the_training() -> None:
    env = Scripted(gym.spaces.Discrete(3), 1, rewards=(1e300, 1e300))
    agent = KerasDQN(env, **SMALL)
    with pytest.raises(ValueError, match=r"the reward 1e\+300 at step 1; it must be finite, and"):
        agent.learn(10)
    env.rewards = (1e15, -1e15)
    agent.learn(40)
    assert np.isfinite(agent.last_loss)
    assert np.isfinite(agent.q_values(1)).all()


def test_an_observation_to_predict_for_must_be_finite() -> None:
    agent = KerasDQN(Scripted(gym.spaces.Box(-1, 1, (2,)), np.zeros(2, np.float32)), **SMALL)
    for bad in (np.nan, np.inf, 1e300):
        with pytest.raises(ValueError, match="observation must be finite"):
            agent.predict(np.array([0.0, bad]))


def test_a_training_that_diverges_says_so() -> None:
    agent = KerasDQN("NChain-v0", **SMALL | {"learning_rate": 1e38})
    with pytest.raises(ValueError, match="learning_rate 1e\\+38 lets the training diverge"):
        agent.learn(200)


def test_a_misspelt_hyperparameter_is_named() -> None:
    with pytest.raises(
        TypeError, match=r"^KerasDQN has no parameter 'gama'; did you mean gamma\?$"
    ):
        KerasDQN("NChain-v0", gama=0.9)
    with pytest.raises(TypeError, match=r"^KerasDQN has no parameter 'zzz'$"):
        KerasDQN("NChain-v0", zzz=1)


def test_it_tells_the_probabilities_of_its_actions() -> None:
    agent = KerasDQN("NChain-v0", **SMALL, exploration_final_eps=0.2)
    np.testing.assert_array_equal(agent.action_probabilities(np.arange(5)), np.full((5, 2), 0.5))
    agent.learn(60)
    greedy, _ = agent.predict(np.arange(5), deterministic=True)
    expected = 0.1 + 0.8 * np.eye(2)[greedy]
    np.testing.assert_allclose(agent.action_probabilities(np.arange(5)), expected)
    np.testing.assert_allclose(agent.action_probabilities(3), expected[3])


def test_the_agent_shows_what_differs_from_the_defaults() -> None:
    agent = KerasDQN("NChain-v0", net_arch=[64, 64], learning_rate=0.5)  # a list of the default
    assert repr(agent) == "KerasDQN('NChain-v0', learning_rate=0.5)"
