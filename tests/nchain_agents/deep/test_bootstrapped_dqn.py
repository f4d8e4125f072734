"""BootstrappedDQN: an ensemble with randomized priors, on the loops of KerasDQN."""

import copy
import inspect
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the keras or the jax extra")

import keras

from nchain_agents import BootstrappedDQN, KerasDQN, learn_many, load, score
from nchain_agents.deep.replay import Batch, Replay
from nchain_agents.presets import problem

# Keras reads JAX's arrays in a way that NumPy warns about
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't:DeprecationWarning"
)
needs_jax = pytest.mark.skipif(keras.backend.backend() != "jax", reason="needs KERAS_BACKEND=jax")

SMALL: dict[str, Any] = {
    "ensemble_size": 3,
    "batch_size": 8,
    "train_freq": 2,
    "target_update_interval": 10,
    "buffer_size": 64,
    "net_arch": [6],
    "seed": 3,
}
RICH: dict[str, Any] = {
    **SMALL,
    "mask_probability": 0.5,
    "train_freq": 3,
    "gradient_steps": 2,
    "tau": 0.3,
    "n_steps": 3,
    "double_q": True,
    "loss": "mse",
    "exploration_initial_eps": 0.3,
}
# no update, and so no compilation of it
ONLY_ACTS: dict[str, Any] = {"train_freq": 10**6, "compiled": False}
SEEN = np.zeros((1, 1), np.float32)


def values_of(states: dict[int, Any]) -> Any:
    """Weights of a network without hidden layers that has these values in the chain's states."""
    weights = np.zeros((5, 2), np.float32)
    for state, values in states.items():
        weights[state] = values
    return weights


def two_members(**parameters: Any) -> BootstrappedDQN:
    """The first member has no prior; the second has nothing else, doubled by prior_scale."""
    agent = BootstrappedDQN(
        "NChain-v0",
        ensemble_size=2,
        prior_scale=2.0,
        net_arch=[],
        optimizer=keras.optimizers.SGD(1.0),
        seed=0,
        **{"loss": "mse", "max_grad_norm": 1e9, **parameters},
    )
    no_bias, nothing = np.zeros((2, 2), np.float32), values_of({})
    prior = np.stack([nothing, values_of({0: (0, 0.25), 1: (0.5, 1.5)})])
    learns = np.stack([values_of({0: (1, 2)}), nothing])
    target = np.stack([values_of({1: (4, 6)}), nothing])
    agent.network.set_weights([prior, no_bias, learns, no_bias])
    agent.target_network.set_weights([prior, no_bias, target, no_bias])
    return agent


def learned(agent: BootstrappedDQN, masks: tuple[int, int]) -> tuple[Any, Any]:
    """Weights and biases after an update on 0 -> 1 by action 1 for 0.5, with gamma 0.5."""
    batch = np.array([[[*masks, 0, 1, 1, 0.5, 0.5, 0]]], np.float32)
    agent.training_state.learner.learn(batch, SEEN, 0.0)
    _, _, weights, bias = agent.network.get_weights()
    return weights, bias


def test_each_member_learns_from_its_own_target_with_its_own_prior() -> None:
    agent = two_members()
    assert agent.member_values(0) == pytest.approx(np.array([[1, 2], [0, 0.5]]))
    weights, bias = learned(agent, (1, 1))
    # targets: 0.5 + 0.5 x 6 = 3.5, and 0.5 + 0.5 x (2 x 1.5) = 2; errors: 1.5 and 1.5 = 2 - 2 x 1/4
    assert agent.last_loss == pytest.approx(2 * 1.5**2)
    # the gradient of an error's square is minus twice the error
    assert weights[:, 0] == pytest.approx(np.array([[1, 5], [0, 3]]))
    assert bias == pytest.approx(np.array([[0, 3], [0, 3]]))
    assert (weights[:, 1:] == 0).all()


def test_a_member_whose_mask_is_0_does_not_change() -> None:
    agent = two_members()
    weights, bias = learned(agent, (1, 0))
    assert agent.last_loss == pytest.approx(1.5**2)
    assert weights[0, 0] == pytest.approx([1, 5])
    assert (weights[1] == 0).all()
    assert (bias[1] == 0).all()


def test_the_gradient_of_each_member_is_clipped_for_itself() -> None:
    agent = two_members(max_grad_norm=0.1)
    weights, bias = learned(agent, (1, 1))
    # a weight and a bias have the same gradient: norm sqrt(2) times that
    change = 0.1 / np.sqrt(2)
    assert weights[:, 0, 1] == pytest.approx([2 + change, change], abs=1e-6)
    assert bias[:, 1] == pytest.approx([change, change], abs=1e-6)


def test_members_differ_and_no_step_changes_a_prior() -> None:
    agent = BootstrappedDQN("NChain-v0", compiled=False, learning_rate=0.01, **SMALL)
    fixed = (agent.network.non_trainable_variables, agent.target_network.non_trainable_variables)
    before = [[np.array(v.value) for v in variables] for variables in fixed]
    start = agent.member_values(range(5))
    agent.learn(100)
    for variables, arrays in zip(fixed, before, strict=True):
        assert all((np.array(v.value) == a).all() for v, a in zip(variables, arrays, strict=True))
    for values in (start, agent.member_values(range(5))):
        assert values.shape == (5, 3, 2)
        assert (np.ptp(values, axis=1) > 1e-3).all()
    assert (abs(agent.member_values(range(5)) - start) > 1e-3).all()
    for array in before[0]:  # the kernel and bias of each layer of the priors
        assert (array[0] != array[1]).all()
        assert (array[0] != array[2]).all()


@pytest.mark.slow
def test_one_member_without_prior_and_masks_is_keras_dqn() -> None:
    parameters = {name: value for name, value in SMALL.items() if name != "ensemble_size"}
    exploring = {"learning_starts": 20, "exploration_initial_eps": 1.0} | parameters
    exploring |= {"exploration_final_eps": 0.05, "compiled": False}
    plain = KerasDQN("NChain-v0", **exploring).learn(300)
    one = BootstrappedDQN("NChain-v0", ensemble_size=1, prior_scale=0, **exploring).learn(300)
    assert one.np_random.bit_generator.state == plain.np_random.bit_generator.state
    assert (one.training_state.replay.rows[..., 1:] == plain.training_state.replay.rows).all()
    assert one.q_values(range(5)) == pytest.approx(plain.q_values(range(5)), abs=1e-5)
    ours, theirs = (agent.network.trainable_variables for agent in (one, plain))
    for member, array in zip(ours, theirs, strict=True):
        assert np.array(member.value)[0] == pytest.approx(np.array(array.value), abs=1e-5)


def everything(agent: KerasDQN) -> list[Any]:
    state, env = agent.training_state, agent.env.unwrapped
    return [
        agent.num_timesteps,
        agent.episode_returns.tolist(),
        state.members.tolist(),
        state.replay.rows.tolist(),
        state.observation,
        agent.np_random.bit_generator.state,
        env.np_random.bit_generator.state,
    ]


def weights(agent: KerasDQN) -> list[Any]:
    found: list[Any] = agent.network.get_weights() + agent.target_network.get_weights()
    return found


def close(ours: KerasDQN, theirs: KerasDQN) -> bool:
    return all(
        np.allclose(a, b, rtol=1e-4, atol=1e-5)
        for a, b in zip(weights(ours), weights(theirs), strict=True)
    )


def short(env_id: str = "NChain-v0") -> Any:
    return gym.make(env_id, max_episode_steps=20)


@pytest.mark.parametrize(
    "parameters", [pytest.param(SMALL, marks=pytest.mark.slow), RICH], ids=["plain", "rich"]
)
def test_compiled_and_stepped_go_the_same_way(parameters: dict[str, Any]) -> None:
    stepped = BootstrappedDQN(short(), compiled=False, **parameters)
    compiled = BootstrappedDQN(short(), compiled=True, **parameters)
    members = set()
    for steps in (150, 1, 60):
        stepped.learn(steps)
        compiled.learn(steps)
        assert everything(compiled) == everything(stepped)
        assert close(compiled, stepped)
        members.add(int(compiled.training_state.members[0]))
    assert len(members) > 1


@pytest.mark.slow
@needs_jax
def test_ensembles_that_learn_together_learn_what_each_learns_alone() -> None:
    parameters = {name: value for name, value in RICH.items() if name != "seed"}
    together = [BootstrappedDQN(short(), seed=seed, **parameters) for seed in range(2)]
    learn_many(together, 90)
    for seed, agent in enumerate(together):
        alone = BootstrappedDQN(short(), seed=seed, **parameters).learn(90)
        assert everything(agent) == everything(alone)
        assert close(agent, alone)


def opposed(env: Any, **parameters: Any) -> BootstrappedDQN:
    """Two members, one for each action of the chain, that do not learn."""
    agent = BootstrappedDQN(
        env, ensemble_size=2, prior_scale=0, net_arch=[], train_freq=10**6, seed=1, **parameters
    )
    bias = np.array([[1, 0], [0, 1]], np.float32)
    prior = np.zeros_like(bias)
    nothing = np.zeros((2, 9, 2), np.float32)
    agent.network.set_weights([nothing, prior, nothing, bias])
    return agent


# forward from the first of nine states earns nothing in five steps, and backward 2 in each
CALM: dict[str, Any] = {"n": 9, "slip": 0.0, "max_episode_steps": 5}


@pytest.mark.parametrize("compiled", [pytest.param(True, marks=pytest.mark.slow), False])
def test_one_member_drawn_for_an_episode_acts_in_all_of_it(compiled: bool) -> None:
    agent = opposed(gym.make("NChain-v0", **CALM), compiled=compiled).learn(500)
    assert set(agent.episode_returns) == {0.0, 10.0}
    # of 100 drawn with probability 1/2, within four standard deviations
    assert 30 <= agent.episode_returns.tolist().count(0.0) <= 70


def test_each_of_several_environments_has_a_member() -> None:
    agent = opposed(gym.make_vec("NChain-v0", num_envs=3, **CALM)).learn(900)
    assert set(agent.episode_returns) == {0.0, 10.0}
    masks = agent.training_state.replay.rows[:100, :, :2]
    assert masks.shape == (100, 3, 2)
    first = agent.training_state.replay.rows[:100, :, 4]  # the actions
    assert (first[:, 0] != first[:, 1]).any()


def test_it_predicts_by_the_mean_and_explores_by_the_member_of_the_episode() -> None:
    agent = two_members()
    # members' values in state 0: (1, 2) and (0, 0.5); in state 1: (0, 0) and (1, 3)
    assert agent.q_values(0) == pytest.approx([0.5, 1.25])
    assert agent.q_values([0, 1]) == pytest.approx(np.array([[0.5, 1.25], [0.5, 1.5]]))
    agent.network.set_weights(
        [array * (-1 if i == 2 else 1) for i, array in enumerate(agent.network.get_weights())]
    )
    # now (-1, -2) and (0, 0.5): the mean (-0.5, -0.75) and the first are for 0, the second for 1
    assert agent.predict(0, deterministic=True)[0] == 0
    chosen = []
    for member in (0, 1):
        agent.training_state.members = np.array([member])
        agent.training_state.epsilon = 0.0
        chosen.append(int(agent.predict(0)[0]))
    assert chosen == [0, 1]


def test_masks_are_drawn_once_for_a_transition_and_a_member() -> None:
    always = BootstrappedDQN("NChain-v0", **SMALL | ONLY_ACTS).learn(60)
    assert (always.training_state.replay.rows[:60, 0, :3] == 1).all()
    rare = {"mask_probability": 0.2, "buffer_size": 1000} | ONLY_ACTS
    agent = BootstrappedDQN("NChain-v0", **SMALL | rare).learn(1000)
    masks = agent.training_state.replay.rows[:, 0, :3]
    assert set(masks.ravel()) == {0.0, 1.0}
    # four standard deviations of the mean of 1,000 and of the product's
    assert masks.mean(axis=0) == pytest.approx([0.2] * 3, abs=4 * np.sqrt(0.16 / 1000))
    assert (masks[:, 0] * masks[:, 1]).mean() == pytest.approx(0.04, abs=0.025)
    batch = Batch.of(agent.training_state.replay.rows[:, 0], 3)
    assert (batch.masks == masks).all()
    assert batch.rewards.shape == (1000, 1)


def test_an_n_step_return_has_the_masks_of_its_first_transition() -> None:
    buffer = Replay(4, 1, gamma=0.5, n_steps=2, members=2)
    no = np.array([False])
    for i in range(3):
        observation = np.array([[float(i)]], np.float32)
        masks = np.array([[i == 0, i == 1]], np.float32)
        buffer.add(observation, observation + 1, np.array([1]), np.ones(1), no, no, masks=masks)
    batch = Batch.of(buffer.sample((np.arange(3) + 0.5) / 3), 2)
    assert batch.masks.tolist() == [[1, 0], [0, 1], [0, 0]]
    assert batch.observations.tolist() == [[0], [1], [2]]
    assert batch.next_observations.tolist() == [[2], [3], [3]]
    assert batch.rewards.tolist() == [[1.5], [1.5], [1.0]]
    assert batch.discounts.tolist() == [[0.25], [0.25], [0.5]]


def same(ours: KerasDQN, theirs: KerasDQN) -> bool:
    pairs = zip(weights(ours), weights(theirs), strict=True)
    return everything(ours) == everything(theirs) and all(
        a.tobytes() == b.tobytes() for a, b in pairs
    )


@pytest.mark.slow
def test_a_loaded_agent_learns_on_as_if_never_stopped(tmp_path: Path) -> None:
    agent = BootstrappedDQN(short(), compiled=False, **RICH).learn(71)
    agent.save(tmp_path / "agent")
    loaded = load(tmp_path / "agent")
    assert isinstance(loaded, BootstrappedDQN)
    assert (loaded.ensemble_size, loaded.prior_scale, loaded.mask_probability) == (3, 3.0, 0.5)
    assert same(loaded, agent)
    assert same(copy.deepcopy(agent), agent)
    loaded.learn(60)
    agent.learn(60)
    assert same(loaded, agent)


def test_a_file_of_another_ensemble_is_refused(tmp_path: Path) -> None:
    BootstrappedDQN("NChain-v0", **SMALL | ONLY_ACTS).learn(10).save(tmp_path / "agent")
    with np.load(tmp_path / "agent") as saved:
        arrays = dict(saved)
    cases = {
        "env must fit the saved network": {
            "header": np.array(
                str(arrays["header"]).replace('"ensemble_size": 3', '"ensemble_size": 4')
            )
        },
        "members must hold numbers in": {"members": np.array([3])},
        "replay must hold": {"replay": np.where(arrays["replay"] == 1, 0.5, arrays["replay"])},
    }
    for message, changed in cases.items():
        with (tmp_path / "changed").open("wb") as file:
            np.savez(file, **{**arrays, **changed})
        with pytest.raises(ValueError, match=message):
            load(tmp_path / "changed")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"ensemble_size": 0}, "ensemble_size must be an integer of at least 1, got 0"),
        ({"ensemble_size": 10**12}, "ensemble_size must be small enough for memory"),
        ({"prior_scale": -1}, r"prior_scale must be a number in \[0, inf\)"),
        ({"prior_scale": float("inf")}, "prior_scale must be"),
        ({"mask_probability": 0}, r"mask_probability must be a number in \(0, 1\]"),
        ({"mask_probability": 1.5}, r"mask_probability must be a number in \(0, 1\]"),
        ({"gamma": 2}, r"gamma must be a number in \[0, 1\]"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BootstrappedDQN("NChain-v0", **parameters)


def test_what_shapes_the_ensemble_cannot_be_assigned() -> None:
    agent = BootstrappedDQN("NChain-v0", **SMALL | ONLY_ACTS)
    agent.mask_probability = 0.5  # type: ignore[misc]
    agent.learn(20)
    assert 0 < agent.training_state.replay.rows[:20, 0, :3].mean() < 1
    for name in ("ensemble_size", "prior_scale"):
        with pytest.raises(ValueError, match=f"{name} cannot be changed"):
            setattr(agent, name, 5)


def test_hyperparameters_are_arguments_and_documented() -> None:
    arguments = inspect.signature(BootstrappedDQN).parameters
    others = {"env", "optimizer", "seed", "tensorboard_log"}
    assert set(arguments) == others.union(BootstrappedDQN.parameters)
    assert set(BootstrappedDQN.parameters) - set(KerasDQN.parameters) == {
        "ensemble_size",
        "prior_scale",
        "mask_probability",
    }
    agent = BootstrappedDQN("NChain-v0")
    text = " ".join(str(BootstrappedDQN.__doc__).split())
    for name in BootstrappedDQN.parameters:
        default = arguments[name].default
        assert getattr(agent, name) == (list(default) if name == "net_arch" else default)
        assert f"{name}: " in text
    assert (agent.exploration_initial_eps, agent.learning_starts) == (0.0, 0)
    with pytest.raises(TypeError, match=r"^BootstrappedDQN has no parameter 'prior'"):
        BootstrappedDQN("NChain-v0", prior=1)


@pytest.mark.slow
def test_it_solves_deep_sea_with_the_steps_in_which_keras_dqn_does_not() -> None:
    # which action is right differs from cell to cell, so that no constant policy finds the reward
    def trained(preset: str, seed: int) -> float:
        env = gym.make("DeepSea-v0", size=14, mapping_seed=42)
        return float(score(problem("deepsea").preset(preset).make(env, seed).learn(8400), env))

    assert [trained("bootstrapped-dqn", seed) for seed in range(2)] == pytest.approx([100] * 2)
    # no policy without the reward has a return above 0, and random actions have one near 0
    assert max(trained("keras-dqn", seed) for seed in range(2)) < 1
