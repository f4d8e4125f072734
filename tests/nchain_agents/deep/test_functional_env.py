"""Functional environments of JAX are compiled into the training, and stepped where they must be."""

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit

pytest.importorskip("keras", reason="needs the jax extra")

import keras

if keras.backend.backend() != "jax":
    pytest.skip("needs KERAS_BACKEND=jax", allow_module_level=True)

import jax
import jax.numpy as jnp
from gymnasium.envs.functional_jax_env import FunctionalJaxEnv
from gymnasium.experimental.functional import FuncEnv

from nchain_agents import KerasDQN, learn_many
from nchain_env import TabularMDP, chain_mdp
from nchain_env.functional import TabularFuncEnv

# Keras reads JAX's arrays in a way that NumPy warns about
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't:DeprecationWarning"
)

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
    "n_steps": 3,
    "double_q": True,
    "exploration_decay": 0.97,
}


class Walk(FuncEnv[Any, Any, Any, Any, Any, Any, Any]):
    """A walk on a line with random steps, which is seen with noise, and ends far from 0."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2, 1), np.float32)
    action_space = gym.spaces.Discrete(3)
    scale = 1.0
    # where it gives what cannot be learned from
    edge = np.inf

    def initial(self, rng: Any, params: Any = None) -> Any:
        return {"place": jax.random.uniform(rng), "steps": 0}

    def transition(self, state: Any, action: Any, rng: Any, params: Any = None) -> Any:
        move = (action - 1) * 0.3 + 0.2 * jax.random.normal(rng)
        return {"place": state["place"] + self.scale * move, "steps": state["steps"] + 1}

    def observation(self, state: Any, rng: Any, params: Any = None) -> Any:
        noise = 0.01 * jax.random.normal(rng)
        place = jnp.where(state["place"] > self.edge, jnp.nan, state["place"])
        return jnp.array([[place + noise], [state["steps"] / 10]])

    def reward(self, state: Any, action: Any, next_state: Any, rng: Any, params: Any = None) -> Any:
        return state["place"] - next_state["place"] + jnp.abs(next_state["place"])

    def terminal(self, state: Any, rng: Any, params: Any = None) -> Any:
        return jnp.abs(state["place"]) > 2


def walk(**constants: Any) -> Any:
    return TimeLimit(FunctionalJaxEnv(Walk(constants)), 20)


def lake() -> Any:
    mdp = TabularMDP.from_env(gym.make("FrozenLake-v1"))
    return TimeLimit(FunctionalJaxEnv(TabularFuncEnv(mdp)), 70)


def cart_pole() -> Any:
    pytest.importorskip("flax", reason="Gymnasium's functional CartPole needs it")
    return gym.make("phys2d/CartPole-v1")


def everything(agent: KerasDQN) -> list[Any]:
    """What must be equal where two agents have gone the same way."""
    env: Any = agent.env.unwrapped
    limit: Any = agent.env
    while not isinstance(limit, TimeLimit):
        limit = limit.env
    return [
        agent.num_timesteps,
        len(agent.episode_returns),
        agent.training_state.replay.added.tolist(),
        agent.np_random.bit_generator.state,
        jax.random.key_data(env.rng).tolist(),
        vars(limit)["_elapsed_steps"],
    ]


def numbers(agent: KerasDQN) -> list[Any]:
    """What may differ by rounding."""
    state = agent.training_state
    env: Any = agent.env.unwrapped
    return [
        np.asarray(agent.episode_returns),
        state.returns,
        state.replay.rows,
        np.asarray(state.observation),
        agent.epsilon,
        *jax.tree.leaves(env.state),
        *agent.network.get_weights(),
        *agent.target_network.get_weights(),
    ]


def assert_same(ours: KerasDQN, theirs: KerasDQN) -> None:
    assert everything(ours) == everything(theirs)
    for one, other in zip(numbers(ours), numbers(theirs), strict=True):
        assert np.allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("env", [walk, lake, cart_pole])
@pytest.mark.parametrize("parameters", [PLAIN, RICH], ids=["plain", "rich"])
def test_compiled_and_stepped_go_the_same_way(env: Any, parameters: dict[str, Any]) -> None:
    stepped = KerasDQN(env(), compiled=False, seed=3, **parameters)
    compiled = KerasDQN(env(), compiled=True, seed=3, **parameters)
    for steps in (250, 1, 100):
        stepped.learn(steps)
        compiled.learn(steps)
        assert_same(compiled, stepped)
    assert len(compiled.episode_returns) > 5
    # and the environment can be stepped on
    compiled.hyperparameters = replace(compiled.hyperparameters, compiled=False)
    for agent in (stepped, compiled):
        agent.learn(30)
    assert_same(compiled, stepped)
    reached = [agent.env.step(1) for agent in (stepped, compiled)]
    assert np.allclose(reached[0][0], reached[1][0], rtol=1e-5)
    assert reached[0][1:4] == pytest.approx(reached[1][1:4])


def test_it_stops_at_each_episode_for_a_callback_and_changes_nothing() -> None:
    through = KerasDQN(walk(), compiled=True, seed=3, **RICH).learn(200)
    halted = KerasDQN(walk(), compiled=True, seed=3, **RICH)
    seen: list[int] = []
    halted.learn(200, callback=lambda agent: seen.append(len(agent.episode_returns)))
    assert_same(halted, through)
    assert seen == list(range(1, len(through.episode_returns) + 1))


def test_agents_that_learn_together_learn_what_each_learns_alone() -> None:
    together = [KerasDQN(walk(), seed=seed, **PLAIN) for seed in range(3)]
    learn_many(together, 150)
    learn_many(together, 50)
    for seed, agent in enumerate(together):
        assert_same(agent, KerasDQN(walk(), seed=seed, **PLAIN).learn(150).learn(50))


def test_agents_with_different_functions_do_not_learn_together() -> None:
    other = {
        "constants": walk(scale=0.5),
        "tables": TimeLimit(FunctionalJaxEnv(TabularFuncEnv(chain_mdp())), 20),
    }
    for env in other.values():
        agents = [KerasDQN(walk(), **PLAIN), KerasDQN(env, **PLAIN)]
        with pytest.raises(ValueError, match="agents must have"):
            learn_many(agents, 10)


def test_functions_that_were_changed_between_two_trainings_are_compiled_again() -> None:
    agents = [KerasDQN(walk(), compiled=how, seed=3, **PLAIN) for how in (True, False)]
    for agent in agents:
        agent.learn(100)
        env: Any = agent.env.unwrapped
        env.func_env.scale = 0.1
        agent.learn(100)
    assert_same(*agents)


def test_what_cannot_be_learned_from_stops_the_training_before_it() -> None:
    early: dict[str, Any] = {**PLAIN, "learning_starts": 5}
    agents = [KerasDQN(walk(edge=1.9), compiled=how, seed=3, **early) for how in (True, False)]
    errors = []
    for agent in agents:
        with pytest.raises(ValueError, match=r"env gave the observation .*nan.* at step") as info:
            agent.learn(1000)
        errors.append(str(info.value))
    compiled, stepped = agents
    assert errors[0].rpartition("at step")[2] == errors[1].rpartition("at step")[2]
    assert compiled.num_timesteps == stepped.num_timesteps > early["learning_starts"]
    assert len(compiled.episode_returns) == len(stepped.episode_returns)
    kept = [agent.training_state.replay.rows[: agent.num_timesteps] for agent in agents]
    assert np.allclose(kept[0], kept[1], rtol=1e-4, atol=1e-5)
    assert np.isfinite(compiled.knowledge()).all()
    # of agents that learn together all stop there
    together = [KerasDQN(walk(edge=1.9), seed=seed, **early) for seed in (3, 4)]
    with pytest.raises(ValueError, match=r"env gave the observation .*nan.* at step"):
        learn_many(together, 1000)
    assert together[0].num_timesteps == together[1].num_timesteps <= stepped.num_timesteps


class Toll(FunctionalJaxEnv[Any]):
    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        return observation, reward - 0.1, *rest


class Between(gym.Env[Any, Any]):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return super().reset(seed=seed, options=options)


class Mixed(FunctionalJaxEnv[Any], Between):
    pass


class Constructed(FunctionalJaxEnv[Any]):
    def __init__(self) -> None:
        super().__init__(Walk())


class Growing(Walk):
    """Its states change their type."""

    def initial(self, rng: Any, params: Any = None) -> Any:
        return {"place": 0, "steps": 0}


class OfNumpy(Walk):
    def transition(self, state: Any, action: Any, rng: Any, params: Any = None) -> Any:
        return {"place": np.float32(state["place"]) + action, "steps": state["steps"]}


def drawn() -> Any:
    env: Any = FunctionalJaxEnv(Walk())
    env.render_mode = "human"
    return env


def patched() -> Any:
    env: Any = FunctionalJaxEnv(Walk())
    env.step = lambda action: FunctionalJaxEnv.step(env, action)
    return env


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        (lambda: Toll(Walk()), r"env may do something else .* Toll\.step is not that of Func"),
        (lambda: Mixed(Walk()), r"env may do something else .* Mixed\.reset"),
        (patched, r"FunctionalJaxEnv\.step is not that of FunctionalJaxEnv"),
        (drawn, "env has a render mode"),
        (lambda: gym.wrappers.ClipReward(FunctionalJaxEnv(Walk()), 0, 1), "env wears ClipReward"),
        (lambda: FunctionalJaxEnv(Growing()), "env has states that change"),
        (lambda: FunctionalJaxEnv(OfNumpy()), "env has functions that JAX cannot compile"),
    ],
)
def test_what_may_do_something_else_is_stepped(env: Any, reason: str) -> None:
    auto, stepped = (KerasDQN(env(), compiled=how, seed=3, **PLAIN) for how in ("auto", False))
    for agent in (auto, stepped):
        agent.learn(20)
    assert auto.total_reward == stepped.total_reward
    refused = KerasDQN(env(), compiled=True, **PLAIN)
    with pytest.raises(ValueError, match=f"the training cannot be compiled: .*{reason}"):
        refused.learn(10)


def test_a_class_that_only_constructs_is_compiled() -> None:
    KerasDQN(Constructed(), compiled=True, **PLAIN).learn(10)
