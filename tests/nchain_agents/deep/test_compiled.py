"""The compiled training loop learns what the stepped one learns."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.toy_text import FrozenLakeEnv

pytest.importorskip("keras", reason="needs the keras or the jax extra")

import keras

from nchain_agents import EveryNTimesteps, KerasDQN, QLearning, learn_many

# Keras reads JAX's arrays in a way that NumPy warns about
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't:DeprecationWarning"
)
ON_JAX = keras.backend.backend() == "jax"
needs_jax = pytest.mark.skipif(not ON_JAX, reason="needs KERAS_BACKEND=jax")

PLAIN: dict[str, Any] = {
    "buffer_size": 300,
    "batch_size": 8,
    "train_freq": 1,
    "target_update_interval": 50,
    "net_arch": [8],
}
RICH: dict[str, Any] = {
    **PLAIN,
    "train_freq": 3,
    "gradient_steps": 2,
    "tau": 0.3,
    "target_update_interval": 2,
    "n_steps": 3,
    "double_q": True,
    "loss": "mse",
    "exploration_decay": 0.97,
}
ONLINE: dict[str, Any] = {
    "buffer_size": 1,
    "batch_size": 1,
    "train_freq": 1,
    "target_update_interval": 1,
    "learning_starts": 0,
    "loss": "mse",
    "net_arch": [10],
    "activation": "sigmoid",
}


def everything(agent: KerasDQN) -> list[Any]:
    """What must be equal where two agents have gone the same way."""
    env: Any = agent.env.unwrapped
    return [
        agent.num_timesteps,
        agent.episode_returns.tolist(),
        agent.training_state.replay.added.tolist(),
        agent.training_state.returns.tolist(),
        agent.training_state.observation,
        env.s,
        agent.np_random.bit_generator.state,
        env.np_random.bit_generator.state,
    ]


def close(ours: KerasDQN, theirs: KerasDQN) -> bool:
    rows = np.array_equal(ours.training_state.replay.rows, theirs.training_state.replay.rows)
    weights = ours.network.get_weights() + ours.target_network.get_weights()
    others = theirs.network.get_weights() + theirs.target_network.get_weights()
    return rows and all(
        np.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(weights, others, strict=True)
    )


def environment(env_id: str) -> Any:
    return gym.make(env_id, max_episode_steps=70)


@pytest.mark.parametrize(
    ("env_id", "parameters"),
    [
        pytest.param("NChain-v0", PLAIN, id="chain-plain"),
        pytest.param("FrozenLake-v1", RICH, id="lake-rich"),
        pytest.param("FrozenLake-v1", ONLINE, id="lake-online"),
        *(
            pytest.param(env_id, parameters, marks=pytest.mark.slow)
            for env_id, parameters in [
                ("NChain-v0", RICH),
                ("NChain-v0", ONLINE),
                ("FrozenLake-v1", PLAIN),
                ("CliffWalking-v1", PLAIN),
                ("CliffWalking-v1", RICH),
                ("CliffWalking-v1", ONLINE),
            ]
        ),
    ],
)
def test_compiled_and_stepped_go_the_same_way(env_id: str, parameters: dict[str, Any]) -> None:
    stepped = KerasDQN(environment(env_id), compiled=False, seed=3, **parameters)
    compiled = KerasDQN(environment(env_id), compiled=True, seed=3, **parameters)
    for steps in (500, 1, 200):
        stepped.learn(steps)
        compiled.learn(steps)
        assert everything(compiled) == everything(stepped)
        assert close(compiled, stepped)
        assert compiled.epsilon == pytest.approx(stepped.epsilon, rel=1e-4)
        # a small loss is the square of what rounding leaves of two values
        assert compiled.last_loss == pytest.approx(stepped.last_loss, rel=1e-3, abs=1e-6)


@pytest.mark.slow
def test_it_stops_at_each_episode_for_a_callback_and_changes_nothing() -> None:
    through = KerasDQN(environment("FrozenLake-v1"), compiled=True, seed=3, **RICH).learn(500)
    halted = KerasDQN(environment("FrozenLake-v1"), compiled=True, seed=3, **RICH)
    seen: list[tuple[int, int]] = []

    def note(agent: Any) -> None:
        seen.append(
            (len(agent.episode_returns), agent.training_state.replay.added[0] - agent.num_timesteps)
        )

    halted.learn(500, callback=note)
    assert everything(halted) == everything(through)
    assert close(halted, through)
    assert seen == [(count, 0) for count in range(1, len(through.episode_returns) + 1)]
    halted.learn(500, callback=lambda agent: len(agent.episode_returns) < len(seen) + 2)
    assert len(halted.episode_returns) == len(seen) + 2
    stepped = KerasDQN(environment("FrozenLake-v1"), compiled=False, seed=3, **RICH).learn(500)
    stepped.learn(500, callback=lambda agent: len(agent.episode_returns) < len(seen) + 2)
    assert everything(halted) == everything(stepped)


def test_interrupted_it_keeps_what_was_finished_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from nchain_agents.deep import compiled

    class Interrupted(compiled.Program):
        """Takes 100 steps at a time, and is interrupted once in the second hundred."""

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.chunk, self.runs = 100, 0
            whole = self.compiled_run(False)

            def interrupted(*arguments: Any) -> Any:
                self.runs += 1
                after = whole(*arguments)
                if self.runs == 2:
                    raise KeyboardInterrupt
                return after

            self.compiled_run = lambda stop: interrupted  # type: ignore[assignment]

    monkeypatch.setattr(compiled, "Program", Interrupted)
    agent = KerasDQN(environment("FrozenLake-v1"), compiled=True, seed=3, **PLAIN)
    with pytest.raises(KeyboardInterrupt):
        agent.learn(300)
    stepped = KerasDQN(environment("FrozenLake-v1"), compiled=False, seed=3, **PLAIN)
    stepped.learn(300, EveryNTimesteps(100, lambda agent: False))
    assert agent.num_timesteps == 100
    assert everything(agent) == everything(stepped)
    assert close(agent, stepped)
    agent.learn(200)
    stepped.learn(200)
    assert everything(agent) == everything(stepped)
    assert close(agent, stepped)


@needs_jax
def test_agents_that_learn_together_learn_what_each_learns_alone() -> None:
    together = [KerasDQN(environment("FrozenLake-v1"), seed=seed, **RICH) for seed in range(4)]
    learn_many(together, 300)
    learn_many(together, 100)
    for seed, agent in enumerate(together):
        alone = KerasDQN(environment("FrozenLake-v1"), seed=seed, **RICH).learn(300).learn(100)
        assert everything(agent) == everything(alone)
        assert close(agent, alone)
    assert len({tuple(agent.episode_returns) for agent in together}) > 1


@needs_jax
def test_agents_that_differ_do_not_learn_together() -> None:
    agent = KerasDQN("NChain-v0", **PLAIN)
    for others, message in (
        ([agent, agent], "have an environment each"),
        ([agent, KerasDQN("NChain-v0", **PLAIN | {"gamma": 0.5})], "the same hyperparameters"),
        ([agent, KerasDQN("FrozenLake-v1", **PLAIN)], "agents must have"),
        ([KerasDQN("CartPole-v1", **PLAIN)], "the training cannot be compiled: env must"),
    ):
        with pytest.raises(ValueError, match=message):
            learn_many(others, 10)
    with pytest.raises(ValueError, match="total_timesteps"):
        learn_many([agent], 0)
    with pytest.raises(ValueError, match="agents must be all table learners, or all KerasDQN"):
        learn_many([agent, QLearning("NChain-v0")], 10)


def test_split_numbers_compare_like_the_numbers() -> None:
    from nchain_agents.deep.table_env import first_above
    from nchain_env.uniform import split

    rng = np.random.default_rng(0)
    numbers = rng.random(3000)
    near = np.nextafter(numbers, 1.0)
    for thresholds in (numbers, near, np.round(numbers, 2), np.full(3000, 1.0)):
        rows = np.stack([thresholds, np.ones(3000)], axis=1)
        for i in range(0, 3000, 50):
            high, low = split(rows[i])
            number = tuple(part[i] for part in split(numbers))
            # as Gymnasium's categorical_sample does
            assert first_above((high, low), number) == np.argmax(rows[i] > numbers[i])


class Toll(FrozenLakeEnv):
    """Each step costs 0.1, by a `step` of its own."""

    def step(self, a: Any) -> Any:
        reached, reward, *rest = super().step(a)  # type: ignore[no-untyped-call]
        return reached, reward - 0.1, *rest


def test_what_an_environment_pays_is_learned_and_not_what_its_table_says() -> None:
    auto, stepped = (
        KerasDQN(gym.wrappers.TimeLimit(Toll(), 70), compiled=how, seed=3, **PLAIN)
        for how in ("auto", False)
    )
    for agent in (auto, stepped):
        agent.learn(200)
    assert auto.episode_returns == stepped.episode_returns
    assert max(auto.episode_returns) < 1.0
    assert close(auto, stepped)
    refused = KerasDQN(Toll(), compiled=True, seed=3, **PLAIN)
    with pytest.raises(ValueError, match=r"cannot be compiled: env may do .*: Toll\.step is not"):
        refused.learn(10)


def test_a_table_that_was_changed_between_two_trainings_is_read_again() -> None:
    agents = [
        KerasDQN(environment("FrozenLake-v1"), compiled=how, seed=3, **PLAIN)
        for how in (True, False)
    ]
    for agent in agents:
        agent.learn(100)
        model: Any = agent.env.unwrapped
        model.P = {
            s: {a: [(p, t, r - 0.5, end) for p, t, r, end in row] for a, row in rows.items()}
            for s, rows in model.P.items()
        }
        agent.learn(200)
    assert everything(agents[0]) == everything(agents[1])
    assert min(agents[0].episode_returns) < -1.0


def test_what_cannot_be_compiled_says_why() -> None:
    agent = KerasDQN("CartPole-v1", compiled=True, **PLAIN)
    with pytest.raises(ValueError, match="the training cannot be compiled: env must have a model"):
        agent.learn(10)
