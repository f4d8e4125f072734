"""Posterior sampling: what it counts, when it samples, and what it knows."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from scipy.stats import beta, kstest, norm
from table_learners import Script

from nchain_agents import PosteriorSampling, learn_many
from nchain_env import TabularMDP


def test_posterior_sampling_counts_what_it_sees() -> None:
    steps = [(1, 5.0, False, False), (2, 0.0, False, False), (0, 1.0, True, False)]
    agent = PosteriorSampling(Script(*steps), seed=0).learn(3)
    counts, rewards = agent.tables.counts, agent.tables.reward_sums
    assert counts.sum() == 3
    assert counts[0].sum(axis=0).tolist() == [0, 1, 0, 0]
    assert counts[1].sum(axis=0).tolist() == [0, 0, 1, 0]
    assert counts[2].sum(axis=0).tolist() == [0, 0, 0, 1]  # the end, not state 0
    assert rewards.sum(axis=(0, 1)).tolist() == [0.0, 5.0, 0.0, 1.0]


def test_the_mean_of_the_posterior_has_the_values_worked_out_by_hand() -> None:
    class Loop(gym.Env[Any, Any]):
        """One state, one action: pays 3 and goes on with probability 3/4, as it turns out."""

        observation_space = gym.spaces.Discrete(1)
        action_space = gym.spaces.Discrete(1)

        def reset(self, **_: Any) -> tuple[int, dict[str, Any]]:
            return 0, {}

        def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
            return 0, 3.0, False, False, {}

    agent = PosteriorSampling(Loop(), gamma=0.5, prior=2.0, seed=0).learn(2)
    # 2 of the 2 + 2 observations: going on 2 + 1, paying 3; ending 1, paying 0 so far as seen:
    # q = 3/4 (3 + 0.5 q), so q = 2.25 / 0.625 = 3.6
    assert agent.q[0, 0] == pytest.approx(3.6)


def test_posterior_sampling_samples_anew_each_episode_and_each_horizon() -> None:
    agent = PosteriorSampling(gym.make("NChain-v0", max_episode_steps=30), gamma=0.95, seed=0)
    assert agent.resample_every == 20
    assert PosteriorSampling("NChain-v0", gamma=0.93).resample_every == 15  # 14.28 steps
    assert when_sampled(agent, 7, 68) == [0, 20, 30, 50, 60]
    agent = PosteriorSampling("NChain-v0", resample_every=7, seed=0)
    assert when_sampled(agent, 7, 14) == [0, 7, 14]
    agent = PosteriorSampling("NChain-v0", resample_every=1, seed=0)
    assert when_sampled(agent, 2, 1) == [0, 1, 2]


def when_sampled(agent: PosteriorSampling, *calls: int) -> list[int]:
    sampled = []
    sample = agent.sample_model

    def counted() -> TabularMDP:
        sampled.append(agent.num_timesteps)
        return sample()

    agent.sample_model = counted  # type: ignore[method-assign]
    for steps in calls:
        agent.learn(steps)
    return sampled


def test_a_callback_stops_posterior_sampling() -> None:
    agent = PosteriorSampling(gym.make("NChain-v0", max_episode_steps=30), seed=0)
    agent.learn(200, callback=lambda agent: len(agent.episode_returns) < 2)
    assert agent.num_timesteps == 60


def test_the_sampled_model_is_solved() -> None:
    steps = [(1, -4.0, False, False), (2, 0.0, False, False), (0, 3.0, True, False)]
    agent = PosteriorSampling(Script(*steps * 20), gamma=0.5, resample_every=1, seed=0)
    sample = agent.sample_model
    sampled: list[TabularMDP] = []

    def kept() -> TabularMDP:
        sampled.append(sample())
        return sampled[-1]

    agent.sample_model = kept  # type: ignore[method-assign]
    for step in range(1, 61):
        agent.learn(1)
        assert len(sampled) == step
        # Bellman's equation of the sampled model, where the fourth outcome ends the episode
        next_value = np.append(agent.tables.q.max(axis=1), 0.0)
        model = sampled[-1]
        q = (model.probability * (model.reward + 0.5 * next_value)).sum(axis=2)
        np.testing.assert_allclose(agent.tables.q, q, atol=1e-9)


def test_models_are_sampled_from_the_posterior() -> None:
    agent = PosteriorSampling(Script(), gamma=0.5, prior=1.0, seed=0)
    counts, sums = agent.tables.counts, agent.tables.reward_sums
    assert counts.dtype == np.int64
    counts[0, 0, 1], sums[0, 0, 1] = 2, -8.0
    counts[1, 1, 3], sums[1, 1, 3] = 1, 3.0
    sampled = [agent.sample_model() for _ in range(300)]
    probabilities = np.array([model.probability for model in sampled])
    paid = np.array([model.reward for model in sampled])
    # seen: the mean of what it paid; unseen: Normal(0, 4), a number each
    assert (paid[:, 0, 0, 1] == -4.0).all()
    assert (paid[:, 1, 1, 3] == 3.0).all()
    unseen = paid[:, counts == 0]
    assert len(np.unique(unseen)) == unseen.size == 300 * 22
    assert kstest(unseen.ravel(), norm(0, 4).cdf).pvalue > 1e-6
    # Dirichlet(counts + 1/4): of (0, 0), the second outcome has Beta(2 + 1/4, 3/4)
    assert kstest(probabilities[:, 0, 0, 1], beta(2.25, 0.75).cdf).pvalue > 1e-6
    assert kstest(probabilities[:, 2, 0, 0], beta(0.25, 0.75).cdf).pvalue > 1e-6


def test_unseen_outcomes_pay_nothing_while_nothing_was_paid() -> None:
    agent = PosteriorSampling(Script(*[(1, 0.0, False, False)] * 9), seed=0).learn(9)
    assert not agent.sample_model().reward.any()


def test_weights_that_underflow_leave_a_model_that_can_be_solved() -> None:
    agent = PosteriorSampling("NChain-v0", prior=1e-9, seed=0).learn(200)
    assert np.isfinite(agent.tables.q).all()
    assert np.isfinite(agent.q).all()


def test_posterior_sampling_earns_more_in_its_first_1000_steps_than_going_backward() -> None:
    agents = [PosteriorSampling("NChain-v0", seed=seed) for seed in range(20)]
    known = [PosteriorSampling("NChain-v0", rewards="known", seed=seed) for seed in range(20)]
    learn_many([*agents, *known], 1000)
    first = [agent.episode_returns[0] for agent in agents]
    # always backward earns 1603.19, and the best policy 3665.83
    assert np.median(first) > 2000
    assert np.median([agent.episode_returns[0] for agent in known]) > 2500


def test_known_rewards_are_those_of_the_model_and_the_end_is_an_outcome_of_its_own() -> None:
    chain = PosteriorSampling("NChain-v0", rewards="known").sample_model().reward
    assert chain[4, 0].tolist() == [2.0, 0, 0, 0, 10.0, 0]
    assert chain[2, 1].tolist() == [2.0, 0, 0, 0, 0, 0]
    # the goal of FrozenLake, 15, pays 1 and ends the episode, as the holes do for nothing
    lake = PosteriorSampling("FrozenLake-v1", rewards="known").sample_model().reward
    assert lake.shape == (16, 4, 17)
    paid = {(14, action, 16): 1.0 for action in (1, 2, 3)}  # down, right and up may slip there
    assert {tuple(at): lake[tuple(at)] for at in np.argwhere(lake).tolist()} == paid


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"gamma": 1.0}, r"gamma must be a number in \[0, 1\), got 1.0"),
        ({"gamma": 1.5}, r"gamma must be a number in \[0, 1\), got 1.5"),
        ({"gamma": -0.5}, r"gamma must be a number in \[0, 1\), got -0.5"),
        ({"prior": 0.0}, r"prior must be a number in \(0, inf\), got 0.0"),
        ({"prior": -1}, r"prior must be a number in \(0, inf\), got -1"),
        ({"resample_every": 0}, "resample_every must be an integer of at least 1, got 0"),
        ({"rewards": "none"}, "rewards must be 'learned' or 'known', got 'none'"),
    ],
)
def test_posterior_sampling_refuses_a_bad_parameter_by_name(
    parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        PosteriorSampling("NChain-v0", **parameters)


def test_posterior_sampling_predicts_by_the_mean_or_by_the_sampled_model() -> None:
    agent = PosteriorSampling("NChain-v0", seed=0).learn(5000)
    mean = agent.q.argmax(axis=1)
    assert agent.predict(np.arange(5), deterministic=True)[0].tolist() == mean.tolist()
    assert agent.predict(3, "kept", deterministic=True) == (mean[3], "kept")
    agent.tables.q[:] = [[0, 1], [2, 2], [1, 0], [0, 1], [1, 0]]  # as if this were sampled
    assert agent.predict(np.array([4, 0, 3]), "kept")[0].tolist() == [0, 1, 1]
    assert agent.predict(np.array([4, 0, 3]))[0].dtype == np.int64
    assert agent.predict(np.array([4, 0, 3]), "kept")[1] == "kept"
    assert agent.predict(0, "kept") == (1, "kept")
    assert isinstance(agent.predict(0)[0], np.int64)
    assert {agent.predict(1)[0] for _ in range(50)} == {0, 1}
    with pytest.raises(ValueError, match=r"^observation must be .*, got 5$"):
        agent.predict(5)
    for deterministic in (True, False):
        nothing = agent.predict(np.zeros(0, np.int64), deterministic=deterministic)[0]
        assert (nothing.dtype, nothing.shape) == (np.int64, (0,))
    # the mean of the prior pays nothing anywhere: of equals, the lowest
    agent = PosteriorSampling("NChain-v0", seed=0)
    assert {agent.predict(0, deterministic=True)[0] for _ in range(50)} == {0}
