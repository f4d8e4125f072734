"""KerasDQN computes what stable-baselines3's DQN computes, number for number."""

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the keras or the jax extra")
pytest.importorskip("stable_baselines3", reason="needs the sb3 extra")

import stable_baselines3 as sb3
import torch

from nchain_agents import KerasDQN
from nchain_agents.deep.encoding import Encoding
from nchain_agents.deep.replay import Batch

# Keras reads JAX's arrays in a way that NumPy warns about
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't:DeprecationWarning"
)

HIDDEN = [16, 8]
GAMMA = 0.9


class Walk(gym.Env[Any, Any]):
    """Random observations and rewards; episodes end by their rules or are cut off, in turn."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = gym.spaces.Discrete(4)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        self.length = int(self.np_random.integers(1, 7))
        return self.np_random.normal(size=3).astype(np.float32), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        over = self.steps == self.length
        reached = self.np_random.normal(size=3).astype(np.float32)
        reward = float(self.np_random.normal(scale=3.0)) + action
        return reached, reward, over and self.length % 2 == 0, over and self.length % 2 == 1, {}


@pytest.fixture(autouse=True)
def one_seed_and_one_thread_for_torch() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more only wait for each other in networks of this size
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)


def twins(capacity: int = 64, **parameters: Any) -> tuple[KerasDQN, Any]:
    """An agent of ours and one of theirs, with the same networks and transitions."""
    common = {"learning_rate": 3e-3, "gamma": GAMMA, "buffer_size": capacity, **parameters}
    ours = KerasDQN(Walk(), net_arch=HIDDEN, seed=0, **common)
    theirs: Any = sb3.DQN(
        "MlpPolicy", Walk(), policy_kwargs={"net_arch": HIDDEN}, device="cpu", seed=0, **common
    )
    theirs._setup_learn(0)
    copy_weights(theirs.q_net, ours.network)
    with torch.no_grad():
        for parameter in theirs.q_net_target.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    copy_weights(theirs.q_net_target, ours.target_network)

    fill(ours, theirs, Walk(), 100)
    return ours, theirs


def fill(ours: KerasDQN, theirs: Any, env: gym.Env[Any, Any], steps: int) -> None:
    """Let both keep the same transitions, of random actions."""
    observation, _ = env.reset(seed=1)
    actions: Any = env.action_space
    encoding = Encoding(env.observation_space)
    for action in np.random.default_rng(2).integers(actions.n, size=steps):
        reached, reward, terminated, truncated, _ = env.step(action)
        ours.training_state.replay.add(
            encoding.rows(observation, 1),
            encoding.rows(reached, 1),
            np.array([action]),
            np.array([reward]),
            np.array([terminated]),
            np.array([terminated or truncated]),
        )
        theirs.replay_buffer.add(
            np.asarray(observation)[None],
            np.asarray(reached)[None],
            np.array([action]),
            np.array([reward]),
            np.array([terminated or truncated]),
            [{"TimeLimit.truncated": truncated}],
        )
        observation = env.reset()[0] if terminated or truncated else reached


def copy_weights(module: Any, network: Any) -> None:
    network.set_weights([p.detach().numpy().T.copy() for p in module.parameters()])


def weights(module: Any) -> list[Any]:
    return [p.detach().numpy().T.copy() for p in module.parameters()]


def batch_of(theirs: Any, rows: list[int]) -> tuple[np.ndarray[Any, Any], Any]:
    """The same transitions for both: ours as rows, theirs as their sample."""
    with pytest.MonkeyPatch.context() as patch:
        # the only environment, for their draw among environments
        patch.setattr(np.random, "randint", lambda low, high=None, size=None: np.zeros(size, int))
        return np.array(rows), theirs.replay_buffer._get_samples(np.array(rows))


def their_targets(theirs: Any, data: Any) -> Any:
    discounts = data.discounts if data.discounts is not None else theirs.gamma
    with torch.no_grad():
        following = theirs.q_net_target(data.next_observations).max(dim=1).values.reshape(-1, 1)
        return data.rewards + (1 - data.dones) * discounts * following


def learn_theirs(theirs: Any, data: Any) -> tuple[float, list[Any]]:
    """One gradient step of theirs on given transitions: the loss, and the gradients it took."""
    losses: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theirs.replay_buffer, "sample", lambda *_, **__: data)
        patch.setattr(theirs.logger, "record", lambda key, value, **_: losses.append(float(value)))
        theirs.train(gradient_steps=1, batch_size=len(data.actions))
    return losses[-1], [p.grad.numpy().T.copy() for p in theirs.q_net.parameters()]


def close(ours: list[Any], theirs: list[Any]) -> bool:
    return all(np.allclose(a, b, rtol=1e-5, atol=1e-5) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"max_grad_norm": 0.05},
        {"n_steps": 4, "max_grad_norm": 0.5},
        *(
            pytest.param(parameters, marks=pytest.mark.slow)
            for parameters in ({"n_steps": 3}, {"gamma": 0.0}, {"gamma": 1.0})
        ),
    ],
    ids=str,
)
def test_targets_loss_gradients_and_weights_are_those_of_sb3(parameters: dict[str, Any]) -> None:
    from keras.optimizers import SGD

    from nchain_agents.deep.rule import targets

    ours, theirs = twins(**parameters)
    rows, data = batch_of(theirs, [0, 5, 17, 33, 35, 35, 36, 50, 62, 63, 34])
    batch = ours.training_state.replay.sample((rows + 0.5) / 64)
    columns = Batch.of(batch)
    # all kinds of transitions are there: terminal ones, cut ones, others
    ends = {(bool(end), bool(d)) for end, d in zip(columns.ended, columns.discounts, strict=True)}
    assert len(ends) == (3 if ours.gamma > 0 else 2)

    following = ours.target_network(columns.next_observations)
    goals = np.asarray(targets(columns.rewards, columns.discounts, following))
    assert close([goals], [their_targets(theirs, data).numpy().ravel()])

    # with SGD at step size 1, the change of the weights is the gradient
    before = ours.network.get_weights()
    taken = KerasDQN(Walk(), net_arch=HIDDEN, optimizer=SGD(1.0), seed=0, **parameters)
    taken.network.set_weights(before)
    taken.target_network.set_weights(ours.target_network.get_weights())
    seen = np.zeros((1, 3), np.float32)
    taken.training_state.learner.learn(batch[None], seen, 0.0)
    gradients = [a - b for a, b in zip(before, taken.network.get_weights(), strict=True)]

    ours.training_state.learner.learn(batch[None], seen, 0.0)
    loss, their_gradients = learn_theirs(theirs, data)
    assert ours.last_loss == pytest.approx(loss, rel=1e-5, abs=1e-5)
    assert close(gradients, their_gradients)
    assert close(ours.network.get_weights(), weights(theirs.q_net))
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    assert norm <= ours.max_grad_norm + 1e-5
    if "max_grad_norm" in parameters:
        assert norm == pytest.approx(ours.max_grad_norm, rel=1e-3)


def test_many_steps_stay_together() -> None:
    ours, theirs = twins(tau=0.3)
    rng = np.random.default_rng(3)
    for _ in range(20):
        rows, data = batch_of(theirs, rng.integers(64, size=16).tolist())
        values = ours.training_state.learner.learn(
            ours.training_state.replay.sample((rows + 0.5) / 64)[None],
            np.ones((1, 3), np.float32),
            0.3,
        )
        sb3.common.utils.polyak_update(
            theirs.q_net.parameters(), theirs.q_net_target.parameters(), 0.3
        )
        learn_theirs(theirs, data)
    assert close(ours.network.get_weights(), weights(theirs.q_net))
    assert close(ours.target_network.get_weights(), weights(theirs.q_net_target))
    with torch.no_grad():
        assert close([values], [theirs.q_net(torch.ones(1, 3)).numpy()])


@pytest.mark.parametrize(
    ("env_id", "moments"),
    [
        ("CliffWalking-v1", (50, 100, 150)),
        *(
            pytest.param(env_id, (100, 400, 1000, 2000), marks=pytest.mark.slow)
            for env_id in ("CliffWalking-v1", "NChain-v0", "CartPole-v1")
        ),
    ],
)
def test_long_runs_drift_apart_no_more_than_sb3_from_itself_with_one_ulp_of_noise(
    env_id: str, moments: tuple[int, ...]
) -> None:
    """All learn from the same batches, beginning with the same weights.

    Where a unit of the network is at its threshold, rounding decides whether it learns, and Adam
    makes a whole step of that: so the drift of stable-baselines3 from itself grows from 1e-7 to
    1e-2, too. What ours may differ by is therefore measured beside it, not fixed.
    """
    rng = np.random.default_rng(3)
    common: dict[str, Any] = {"learning_rate": 1e-3, "gamma": 0.99, "buffer_size": 2000}
    ours = KerasDQN(env_id, seed=0, **common)
    theirs, *disturbed = (
        sb3.DQN(
            "MlpPolicy",
            env_id,
            policy_kwargs={"net_arch": list(ours.net_arch)},
            device="cpu",
            seed=0,
            **common,
        )
        for _ in range(4)
    )
    for dqn in (theirs, *disturbed):
        dqn._setup_learn(0)
        dqn.q_net_target.load_state_dict(dqn.q_net.state_dict())
    copy_weights(theirs.q_net, ours.network)
    copy_weights(theirs.q_net_target, ours.target_network)
    for dqn in disturbed:
        disturb(dqn.q_net, 1.0, rng)
        disturb(dqn.q_net_target, 1.0, rng)
    fill(ours, theirs, gym.make(env_id), 2000)

    width = Encoding(ours.env.observation_space).width
    seen = ours.training_state.replay.rows[0, :, :width].copy()
    for step in range(1, moments[-1] + 1):
        rows, data = batch_of(theirs, rng.integers(2000, size=32).tolist())
        share = float(step % 50 == 0)
        ours.training_state.learner.learn(
            ours.training_state.replay.sample((rows + 0.5) / 2000)[None], seen, share
        )
        for dqn in (theirs, *disturbed):
            if share:
                dqn.q_net_target.load_state_dict(dqn.q_net.state_dict())
            learn_theirs(dqn, data)
        for dqn in disturbed[1:]:  # the first at the beginning only
            disturb(dqn.q_net, 0.1, rng)
        if step in moments:
            undisturbed = weights(theirs.q_net)
            drift = rms(ours.network.get_weights(), undisturbed)
            of_theirs = [rms(weights(dqn.q_net), undisturbed) for dqn in disturbed]
            assert drift <= 5 * max(of_theirs), (step, drift, of_theirs)


def disturb(module: Any, share: float, rng: np.random.Generator) -> None:
    """Change a share of the weights to the next number that can be represented."""
    with torch.no_grad():
        for p in module.parameters():
            there = np.where(rng.random(p.shape) < 0.5, -np.inf, np.inf).astype(np.float32)
            other = np.nextafter(p.numpy(), there)
            p.copy_(torch.from_numpy(np.where(rng.random(p.shape) < share, other, p.numpy())))


def rms(ours: list[Any], theirs: list[Any]) -> float:
    squares = [((a - b) ** 2).ravel() for a, b in zip(ours, theirs, strict=True)]
    return float(np.sqrt(np.concatenate(squares).mean()))


@pytest.mark.parametrize("n_steps", [1, 2, 5])
@pytest.mark.parametrize("capacity", [20, 64, 200])
def test_sampled_transitions_are_those_of_sb3(n_steps: int, capacity: int) -> None:
    ours, theirs = twins(capacity, n_steps=n_steps)
    kept = min(capacity, 100)
    rows, data = batch_of(theirs, list(range(kept)))
    batch = Batch.of(ours.training_state.replay.sample((rows + 0.5) / kept))
    discounts = GAMMA if data.discounts is None else data.discounts
    assert close(
        [*batch[:4], batch.discounts],
        [
            data.observations.numpy(),
            data.next_observations.numpy(),
            data.actions.numpy().ravel(),
            data.rewards.numpy().ravel(),
            ((1 - data.dones) * discounts).numpy().ravel(),
        ],
    )


def test_both_learn_and_update_the_target_at_the_same_steps() -> None:
    """What happens when, on the shared meanings of the parameters that say so."""
    times = {"learning_starts": 7, "train_freq": 3, "target_update_interval": 5, "batch_size": 4}
    ours, theirs = twins(gradient_steps=2, **times)
    log: dict[str, list[tuple[int, int]]] = {"ours": [], "theirs": []}
    learn = ours.training_state.learner.learn

    def ours_learns(batches: Any, rows: Any, share: float) -> Any:
        log["ours"].append((ours.num_timesteps, len(batches)))
        return learn(batches, rows, share)

    def theirs_learns(gradient_steps: int, batch_size: int) -> None:
        log["theirs"].append((theirs.num_timesteps, gradient_steps))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ours.training_state.learner, "learn", ours_learns)
        patch.setattr(theirs, "train", theirs_learns)
        ours.learn(60)
        theirs.learn(60)
    assert log["ours"] == log["theirs"]
    assert log["ours"][0] == (9, 2)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 1.0])
def test_epsilon_falls_as_in_sb3(fraction: float) -> None:
    ours, theirs = twins(exploration_fraction=fraction, exploration_initial_eps=0.9)
    schedule = ours.hyperparameters.schedule
    for step in (100, 101, 150, 400, 999):
        expected = theirs.exploration_schedule(1 - step / 1000)
        assert schedule.epsilon(step, 1000, 0) == pytest.approx(expected, rel=1e-9)
    assert schedule.epsilon(99, 1000, 0) == 1.0  # learning_starts: at random
