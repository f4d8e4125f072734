"""The three regrets of a study, against values found by hand or by other means."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from nchain_agents.evaluation import ExactEvaluator, evaluator_of
from nchain_agents.study.plan import plan
from nchain_agents.study.regret import ExpectedRegret, gain_regret, realised_regret
from nchain_agents.study.run import Run, train
from nchain_env import TabularMDP
from nchain_env.mdp import FloatArray
from nchain_env.planning import average_reward, optimal_gain


def two_states() -> TabularMDP:
    """Action 0 stays, action 1 changes the state. Staying pays 1 in state 0 and 2 in state 1."""
    next_state = np.array([[[0], [1]], [[1], [0]]])
    reward = np.array([[[1.0], [0.0]], [[2.0], [0.0]]])
    ones = np.ones((2, 2, 1))
    return TabularMDP(next_state, ones, reward, ones == 0, np.array([1.0, 0.0]))


class Uniform:
    """Acts at random and learns nothing."""

    def __init__(self, env: Any, seed: int | None = None) -> None:
        self.env, self.seed = env, seed

    def action_probabilities(self, observation: Any) -> FloatArray:
        actions = self.env.action_space.n
        return np.full((*np.shape(observation), actions), 1 / actions)

    def learn(self, total_timesteps: int) -> None:
        rng = np.random.default_rng(self.seed)
        self.env.reset(seed=self.seed)
        for _ in range(total_timesteps):
            _, _, terminated, truncated, _ = self.env.step(rng.integers(self.env.action_space.n))
            if terminated or truncated:
                self.env.reset()

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        batch = np.ndim(observation) - len(self.env.observation_space.shape)
        return np.zeros(np.shape(observation)[:batch], dtype=np.int64), None


def run_of(agent: Any, env: Any, steps: int, parameters: Any = None) -> Run:
    settings: Any = {"sweep": None, "seeds": 1, "steps": steps, "episodes": 2}
    (task,) = plan([agent], env, parameters=parameters, **settings).tasks
    run = train(task)
    assert run.failure is None
    return run


def test_three_regrets_by_hand() -> None:
    # With three steps: change, stay, stay pays 4; staying three times pays 3.
    evaluator = ExactEvaluator(two_states(), 3)
    assert evaluator.optimal == 4
    assert realised_regret(evaluator, 2, 7.0) == 1.0
    # in the long run, 2 a step
    assert evaluator.optimal_gain == pytest.approx(2.0, abs=1e-14)
    assert gain_regret(evaluator, 10, 12.5) == pytest.approx(7.5, abs=1e-12)

    class Staying:
        stays = 1.0

        def action_probabilities(self, states: Any) -> FloatArray:
            return np.tile([self.stays, 1 - self.stays], (len(states), 1))

    model = Staying()
    expected = ExpectedRegret(evaluator, model)
    # 1 in 3 steps is lost by staying
    assert expected.at(model, 6) == pytest.approx(2.0, abs=1e-12)
    # By changing in each step 4 in 3 steps are lost: in between, 2.5 in 3.
    model.stays = 0.0
    assert expected.at(model, 9) == pytest.approx(4.5, abs=1e-12)
    assert expected.at(model, 12) == pytest.approx(8.5, abs=1e-12)


def test_the_expected_regret_of_random_actions_is_the_difference_of_the_gains() -> None:
    """Where each episode begins with the stationary distribution, an episode earns T gains."""
    rng = np.random.default_rng(3)
    reward = np.repeat(rng.normal(size=(1, 2, 1)), 4, axis=0)  # no state is better than another
    probability = np.full((4, 2, 4), 0.25)
    mdp = TabularMDP(
        np.broadcast_to(np.arange(4), (4, 2, 4)),
        probability,
        np.broadcast_to(reward, (4, 2, 4)),
        np.zeros((4, 2, 4), dtype=np.bool_),
        np.full(4, 0.25),
    )
    gains = optimal_gain(mdp), average_reward(mdp, np.full((4, 2), 0.5))
    assert gains == pytest.approx((reward.max(), reward.mean()), abs=1e-12)
    run = run_of(Uniform, mdp, 1000, {"max_episode_steps": 50})
    for point in run.checkpoints:
        lost = point.step * (gains[0] - gains[1])
        assert point.expected_regret == pytest.approx(lost, rel=1e-10)
        reward_sum = point.reward_per_step * point.step
        assert point.gain_regret == pytest.approx(point.step * gains[0] - reward_sum, rel=1e-10)


def test_where_episodes_end_early_the_loss_is_shared_by_their_expected_steps() -> None:
    """On the small lake: the returns and the lengths by the chances of what goes on."""
    lake = TabularMDP.from_env(gym.make("FrozenLake-v1"))
    moves = np.zeros((16, 16))
    won = np.zeros(16)
    for s, a, k in np.ndindex(lake.probability.shape):
        chance = lake.probability[s, a, k] / 4
        won[s] += chance * lake.reward[s, a, k]
        moves[s, lake.next_state[s, a, k]] += chance * (not lake.terminated[s, a, k])
    here, earned, length = np.eye(16)[0], 0.0, 0.0
    for _ in range(100):
        earned, length, here = earned + here @ won, length + here.sum(), here @ moves
    run = run_of(Uniform, "FrozenLake-v1", 200)
    best = evaluator_of(gym.make("FrozenLake-v1")).optimal
    expected = 200 * (best - earned) / length
    assert run.final.expected_regret == pytest.approx(expected, rel=1e-10)


def test_the_expected_regret_is_the_mean_of_the_realised_one() -> None:
    """Of a policy that stays the same, over whole episodes."""
    settings: Any = {"parameters": {"max_episode_steps": 20}, "sweep": None, "episodes": 2}
    study = plan([Uniform], "NChain-v0", **settings, seeds=40, steps=600, looks=1)
    last = [train(task).final for task in study.tasks]
    (expected,) = {point.expected_regret for point in last}
    realised = np.array([point.realised_regret for point in last])
    error = realised.std(ddof=1) / np.sqrt(len(last))
    assert abs(realised.mean() - expected) < 4 * error
    assert error < 0.1 * expected


def test_the_regret_is_not_known_without_a_table_or_without_the_probabilities() -> None:
    class Silent(Uniform):
        action_probabilities = property()  # an AttributeError: it has none

    point = run_of(Silent, "NChain-v0", 100).final
    assert np.isnan(point.expected_regret)
    assert np.isfinite([point.gain_regret, point.realised_regret]).all()
    point = run_of(Uniform, "CartPole-v1", 100).final
    assert np.isnan([point.expected_regret, point.gain_regret]).all()


def test_probabilities_that_are_none_are_refused_by_name() -> None:
    class Wrong(Uniform):
        def action_probabilities(self, observation: Any) -> FloatArray:
            return super().action_probabilities(observation) * 2

    settings: Any = {"parameters": None, "sweep": None, "seeds": 1, "steps": 10, "episodes": 2}
    failure = train(plan([Wrong], "NChain-v0", **settings).tasks[0]).failure
    assert failure is not None
    assert "model.action_probabilities must return the probabilities" in failure


def test_the_gain_regret_of_a_large_table_is_left_open() -> None:
    large, small = (evaluator_of(gym.make("NChain-v0", n=n)) for n in (1001, 5))
    assert isinstance(large, ExactEvaluator)
    assert isinstance(small, ExactEvaluator)
    assert np.isnan(large.optimal_gain)
    assert small.optimal_gain == pytest.approx(3.6768, abs=1e-14)
