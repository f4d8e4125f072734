"""The regret on RiverSwim as Osband, Russo & Van Roy (2013) publish it, and the score on the chain.

The paper's table 1 has the total regret in 10,000 steps, the mean of 20 runs: with episodes of 20
steps the optimal return of the episodes less the rewards, and without resets the optimal gain times
the steps less the rewards.
"""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from nchain_agents import (
    MBIEEB,
    UCRL2,
    OptimisticQLearning,
    PosteriorSampling,
    RMax,
    learn_many,
    score,
)
from nchain_agents.tabular.table_agent import TableAgent
from nchain_env.mdp import FloatArray
from nchain_env.planning import optimal_gain, optimal_return
from nchain_env.problems.river_swim import RiverSwimEnv

pytestmark = pytest.mark.slow

STEPS = 10_000
PAPER: dict[str, Any] = {"reward_mean": 1.0, "reward_scale": 1.0, "reward_strength": 1.0}


def regrets(make: Callable[..., TableAgent], episode: int | None, runs: int) -> FloatArray:
    """Return the total regret of each run; an episode of None never ends."""
    river = RiverSwimEnv(variant="osband2013")
    if episode is None:
        best = STEPS * optimal_gain(river.mdp)
    else:
        best = STEPS // episode * optimal_return(river.mdp, episode)
    agents = []
    for seed in range(runs):
        env: gym.Env[Any, Any] = RiverSwimEnv(variant="osband2013")
        if episode is not None:
            env = gym.wrappers.TimeLimit(env, episode)
        agents.append(make(env, seed=seed))
    learn_many(agents, STEPS)
    return np.array([best - agent.total_reward for agent in agents])


def test_the_regret_is_measured_against_the_exact_optimum() -> None:
    """What never reaches the reward loses 1,699 with episodes of 20 steps, and 4,286 without."""
    river = RiverSwimEnv(variant="osband2013").mdp
    assert STEPS // 20 * optimal_return(river, 20) == pytest.approx(1699, abs=1)
    assert optimal_gain(river) * STEPS == pytest.approx(4286, abs=1)


@pytest.mark.parametrize(("episode", "published"), [(20, 68.8), (None, 106.0)])
def test_the_papers_prior_has_the_papers_regret(episode: int | None, published: float) -> None:
    def make(env: Any, seed: int) -> PosteriorSampling:
        return PosteriorSampling(env, **PAPER, seed=seed)

    ours = regrets(make, episode, 100)
    # the error of the paper's mean of 20 runs, which it does not give, taken to be that of 20 ours
    error = ours.std(ddof=1) * np.sqrt(1 / 100 + 1 / 20)
    assert abs(ours.mean() - published) < 2 * error
    assert error < 25


@pytest.mark.parametrize(("episode", "largest"), [(20, 200.0), (None, 300.0)])
def test_the_default_prior_finds_the_reward_in_every_run(
    episode: int | None, largest: float
) -> None:
    ours = regrets(PosteriorSampling, episode, 50)
    assert ours.mean() < largest
    assert ours.max() < 1500


@pytest.mark.parametrize(("episode", "published"), [(20, 1260.0), (None, 3640.0)])
def test_ucrl2_has_the_papers_regret(episode: int | None, published: float) -> None:
    def make(env: Any, seed: int) -> UCRL2:
        return UCRL2(env, variant="osband2013", seed=seed)

    ours = regrets(make, episode, 20)
    error = ours.std(ddof=1) * np.sqrt(2 / 20)  # both are means of 20 runs
    assert abs(ours.mean() - published) < 2 * error
    assert error < 100


@pytest.mark.parametrize("episode", [20, None])
@pytest.mark.parametrize(
    ("kind", "parameters", "largest"),
    [(MBIEEB, {}, 50.0), (RMax, {"known_after": 20}, 200.0), (OptimisticQLearning, {}, 350.0)],
)
def test_optimists_that_know_the_largest_reward_lose_little(
    kind: type[TableAgent], parameters: dict[str, Any], largest: float, episode: int | None
) -> None:
    def make(env: Any, seed: int) -> TableAgent:
        return kind(env, seed=seed, **parameters)

    assert regrets(make, episode, 20).mean() < largest


@pytest.mark.parametrize("slip", [0.0, 0.1, 0.2])
def test_posterior_sampling_scores_99_on_the_chain_after_5000_steps(slip: float) -> None:
    agents = [PosteriorSampling(f"NChain-v0 slip={slip}", seed=seed) for seed in range(50)]
    learn_many(agents, 5000)
    assert sum(score(agent, agent.env) >= 99 for agent in agents) >= 48
