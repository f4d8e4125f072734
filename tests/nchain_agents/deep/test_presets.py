"""The presets with networks learn what they are there for, beside stable-baselines3's."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the keras or the jax extra")

from nchain_agents.evaluation import score
from nchain_agents.prediction import Model
from nchain_agents.presets import problem

pytestmark = pytest.mark.slow

OverSeeds = Callable[[int, Callable[[int], Any]], list[Any]]


class Curve(gym.Wrapper[Any, Any, Any, Any]):
    """Writes down the reward of every step, and where episodes end."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.rewards: list[float] = []
        self.ends: list[bool] = []

    def step(self, action: Any) -> Any:
        result = super().step(action)
        self.rewards.append(float(result[1]))
        self.ends.append(bool(result[2] or result[3]))
        return result


def trained(problem_name: str, preset: str, seed: int, steps: int | None = None) -> Any:
    """A learner of a problem; what it learned from is its environment."""
    task = problem(problem_name)
    env = gym.make(task.env, **task.parameters)
    model = task.preset(preset).make(env, seed)
    return model.learn(steps or task.steps)


@pytest.fixture
def over_seeds(in_processes: Any) -> OverSeeds:
    """Results of seeds 0, 1, ..., each computed on one core."""
    one_thread = {
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    }

    def run(seeds: int, result: Callable[[int], Any]) -> list[Any]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in one_thread.items():
                patch.setenv(name, value)
            results: list[Any] = in_processes(result, range(seeds))
        return results

    return run


def chain_policy(seed: int) -> list[int]:
    actions, _ = trained("nchain", "keras-dqn", seed, 20_000).predict(
        np.arange(5), deterministic=True
    )
    policy: list[int] = actions.tolist()
    return policy


def test_on_the_chain_it_learns_the_optimal_policy_in_9_of_10_seeds(over_seeds: OverSeeds) -> None:
    policies = over_seeds(10, chain_policy)
    assert sum(policy == [0] * 5 for policy in policies) >= 9


def steps_to_goal(seed: int) -> int:
    task = problem("gridworld")
    env = gym.make(task.env, **task.parameters)
    model = trained("gridworld", "keras-dqn", seed)
    observation, _ = env.reset(seed=0)
    for step in range(1, 101):
        action, _ = model.predict(observation, deterministic=True)
        observation, reward, over, _, _ = env.step(action)
        if over:
            return step if reward == 1 else 100
    return 100


def test_in_the_grid_world_it_takes_a_shortest_path_in_10_of_10_seeds(
    over_seeds: OverSeeds,
) -> None:
    assert over_seeds(10, steps_to_goal) == [6] * 10


def lake_score(seed: int) -> float:
    agent: Model = trained("frozenlake-deep", "keras-dqn", seed)
    return score(agent, "FrozenLake-v1")


def test_on_the_slippery_lake_the_median_seed_scores_90(over_seeds: OverSeeds) -> None:
    assert np.median(over_seeds(5, lake_score)) >= 90


def balancing(preset: str, seed: int) -> float:
    """The mean return of the greedy policy over 100 episodes, always from the same starts."""
    model = trained("cartpole", preset, seed)
    envs = gym.make_vec(problem("cartpole").env, 100, "sync")
    observations, _ = envs.reset(seed=1000)
    returns, going_on = np.zeros(100), np.ones(100, dtype=np.bool_)
    while going_on.any():
        actions, _ = model.predict(observations, deterministic=True)
        observations, rewards, terminated, truncated, _ = envs.step(actions)
        returns += going_on * rewards
        going_on &= ~(terminated | truncated)
    return float(returns.mean())


def test_it_balances_the_pole_for_475_of_500_steps_in_4_of_5_seeds(over_seeds: OverSeeds) -> None:
    returns = over_seeds(5, partial(balancing, "keras-dqn"))
    assert sum(mean >= 475 for mean in returns) >= 4, returns


def learning_curve(name: str, env_id: str, steps: int, seed: int) -> list[float]:
    """Rewards while learning, in ten parts: a step's on the chain, an episode's elsewhere."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    task = problem("nchain")  # one set of hyperparameters for all
    env = Curve(gym.make(env_id))
    task.preset(name).make(env, seed).learn(steps)
    rewards = np.array(env.rewards[:steps]).reshape(10, -1)
    ends = np.array(env.ends[:steps]).reshape(10, -1)
    per = rewards.shape[1] if env_id == "NChain-v0" else ends.sum(axis=1)
    return [float(part) for part in rewards.sum(axis=1) / per]


@pytest.mark.parametrize(("env_id", "steps"), [("NChain-v0", 20_000), ("CartPole-v1", 10_000)])
def test_learning_curves_agree_with_sb3_within_95_percent_intervals(
    env_id: str, steps: int, over_seeds: OverSeeds
) -> None:
    pytest.importorskip("stable_baselines3", reason="needs the sb3 extra")
    from scipy import stats

    seeds = 6

    def curves(name: str) -> Any:
        return np.array(over_seeds(seeds, partial(learning_curve, name, env_id, steps)))

    ours, theirs = curves("keras-dqn"), curves("sb3-dqn")  # [seed, part]
    assert ours.shape == theirs.shape == (seeds, 10)
    # they learn something
    assert (ours.mean(axis=0)[-1] > 1.2 * ours.mean(axis=0)[0]).all()
    # 95 % for all ten parts together, so that chance in one of them is no disagreement
    quantile = stats.t.ppf(1 - 0.05 / 2 / 10, seeds - 1)
    half = [stats.sem(curve, axis=0) * quantile for curve in (ours, theirs)]
    apart = np.abs(ours.mean(axis=0) - theirs.mean(axis=0))
    assert (apart <= half[0] + half[1]).all(), (ours.mean(axis=0), theirs.mean(axis=0), half)
