"""A network that is a table learns what tabular Q-learning learns, update for update."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the keras or the jax extra")

import keras

from nchain_agents import KerasDQN

# Keras reads JAX's arrays in a way that NumPy warns about
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't:DeprecationWarning"
)


class Log(gym.Wrapper[Any, Any, Any, Any]):
    """Writes down every transition."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.transitions: list[tuple[int, int, float, int, bool]] = []

    def reset(self, **options: Any) -> Any:
        self.state, info = super().reset(**options)
        return self.state, info

    def step(self, action: Any) -> Any:
        result = super().step(action)
        self.transitions.append((self.state, action, float(result[1]), result[0], result[2]))
        self.state = result[0]
        return result


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("double_q", [False, True])
def test_a_linear_network_on_one_hot_states_is_q_learning(ends: bool, double_q: bool) -> None:
    if ends:  # by their rules, in the hole and at the goal
        env, states, actions = Log(gym.make("FrozenLake-v1", desc=["SFG", "FHF"])), 6, 4
    else:  # only cut off
        env, states, actions = Log(gym.make("NChain-v0", max_episode_steps=30)), 5, 2
    table = keras.Sequential(
        [
            keras.Input((states,)),
            keras.layers.Dense(actions, use_bias=False, kernel_initializer="zeros"),
        ]
    )
    gamma, step_size = 0.9, 0.25
    agent = KerasDQN(
        env,
        gamma=gamma,
        model=table,
        # the gradient of the squared error is twice the error
        optimizer=keras.optimizers.SGD(step_size / 2),
        loss="mse",
        double_q=double_q,  # with the target network equal to the network, it changes nothing
        max_grad_norm=1e9,
        buffer_size=1,
        batch_size=1,
        train_freq=1,
        target_update_interval=1,
        learning_starts=0,
        exploration_initial_eps=0.5,
        exploration_final_eps=0.5,
        seed=0,
    )
    q, replayed = np.zeros((states, actions)), 0
    for _ in range(30):
        agent.learn(7)
        for s, a, reward, reached, terminated in env.transitions[replayed:]:
            target = reward + (0.0 if terminated else gamma * q[reached].max())
            q[s, a] += step_size * (target - q[s, a])
        replayed = len(env.transitions)
        assert agent.q_values(np.arange(states)) == pytest.approx(q, rel=1e-5, abs=1e-5)
    assert replayed == 210
    assert (q != 0).any()
    assert any(transition[4] for transition in env.transitions) == ends
