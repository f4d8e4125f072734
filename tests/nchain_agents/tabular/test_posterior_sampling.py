"""Posterior sampling: what it counts, when it samples, and what it knows."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from scipy.stats import beta, kstest, t
from table_learners import Script

from nchain_agents import PosteriorSampling, learn_many
from nchain_env.planning import value_iteration


def test_posterior_sampling_counts_what_it_sees() -> None:
    steps = [(1, 5.0, False, False), (2, 0.0, False, False), (0, 1.0, True, False)]
    agent = PosteriorSampling(Script(*steps), seed=0).learn(3)
    counts = agent.tables.counts
    assert counts.sum() == 3
    assert counts[0].sum(axis=0).tolist() == [0, 1, 0, 0]
    assert counts[1].sum(axis=0).tolist() == [0, 0, 1, 0]
    assert counts[2].sum(axis=0).tolist() == [0, 0, 0, 1]  # the end, not state 0
    assert agent.tables.visits.sum(axis=1).tolist() == [1, 1, 1]
    assert agent.tables.reward_mean.sum(axis=1).tolist() == [5.0, 0.0, 1.0]
    assert agent.tables.largest_reward[0] == 5.0


def test_the_rewards_have_the_mean_and_the_deviations_that_numpy_computes() -> None:
    rewards = np.random.default_rng(0).normal(3.0, 7.0, size=50)
    agent = PosteriorSampling(Script(*[(0, r, False, False) for r in rewards]), seed=0).learn(50)
    actions = np.array([0, 1])
    assert agent.tables.visits[0].sum() == 50
    total = (agent.tables.visits[0] * agent.tables.reward_mean[0]).sum()
    assert total == pytest.approx(rewards.sum())
    alone = PosteriorSampling(Loop(*rewards), seed=0).learn(50)
    assert alone.tables.reward_mean[0, 0] == pytest.approx(rewards.mean())
    assert alone.tables.reward_spread[0, 0] == pytest.approx(np.sqrt(50) * rewards.std())
    assert alone.tables.largest_reward[0] == np.abs(rewards).max()
    assert agent.predict(0)[0] in actions


class Loop(gym.Env[Any, Any]):
    """One state, one action, which pays what a test says."""

    observation_space = gym.spaces.Discrete(1)
    action_space = gym.spaces.Discrete(1)

    def __init__(self, *rewards: float) -> None:
        self.rewards = iter(rewards)

    def reset(self, **_: Any) -> tuple[int, dict[str, Any]]:
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        return 0, next(self.rewards), False, False, {}


def test_the_mean_of_the_posterior_has_the_values_worked_out_by_hand() -> None:
    agent = PosteriorSampling(
        Loop(3.0, 5.0), gamma=0.5, prior=2.0, reward_mean=1.0, reward_strength=3.0, seed=0
    ).learn(2)
    # 2 of the 2 + 2 observations, going on: 2 + 1, and ending: 1; it pays (3 * 1 + 3 + 5) / (3 + 2)
    # on average: q = 2.2 + 3/4 0.5 q, so q = 2.2 / 0.625 = 3.52
    assert agent.q[0, 0] == pytest.approx(3.52)
    # by default a tenth of an observation of 10 times the largest: (0.1 * 50 + 8) / 2.1
    agent = PosteriorSampling(Loop(3.0, 5.0), gamma=0.0, seed=0).learn(2)
    assert agent.q[0, 0] == pytest.approx(13 / 2.1)


def test_a_model_is_sampled_when_the_visits_have_doubled_or_the_period_is_longer() -> None:
    # one state and action: visits double after 1, 2, 4, ... steps, and periods grow by one step
    assert when_sampled(PosteriorSampling(Loop(*[0.0] * 40), seed=0), 36) == [
        *(0, 1, 2, 4, 7, 11, 16, 22, 29),
    ]
    # a period that an episode's end has cut off is not made up for
    env = gym.wrappers.TimeLimit(Loop(*[0.0] * 40), 12)
    assert when_sampled(PosteriorSampling(env, seed=0), 5, 31) == [
        *(0, 1, 2, 4, 7, 11, 12, 14, 17, 21, 24, 28, 33),
    ]
    # other states and actions than those seen count, too: each first visit samples
    steps = [(1, 0.0, False, False), (2, 0.0, False, False), (0, 0.0, False, False)]
    assert when_sampled(PosteriorSampling(Script(*steps), seed=0), 3) == [0, 1, 2]


def when_sampled(agent: PosteriorSampling, *calls: int) -> list[int]:
    sampled = []
    plan = agent.plan

    def counted() -> Any:
        sampled.append(agent.num_timesteps)
        return plan()

    agent.plan = counted  # type: ignore[method-assign]
    for steps in calls:
        agent.learn(steps)
    return sampled


def test_a_callback_stops_posterior_sampling() -> None:
    agent = PosteriorSampling(gym.make("NChain-v0", max_episode_steps=30), seed=0)
    agent.learn(200, callback=lambda agent: len(agent.episode_returns) < 2)
    assert agent.num_timesteps == 60


def test_models_are_sampled_from_the_posterior() -> None:
    prior: Any = {"prior": 1.0, "reward_mean": 2.0, "reward_scale": 3.0, "reward_strength": 0.5}
    agent = PosteriorSampling(Script(), gamma=0.5, **prior, seed=0)
    counts = agent.tables.counts
    counts[0, 0, 1], counts[1, 1, 3] = 2, 1
    agent.tables.visits[:] = counts.sum(axis=2)
    agent.tables.reward_mean[0, 0], agent.tables.reward_spread[0, 0] = -4.0, 1.5
    sampled = [agent.sample_model() for _ in range(2000)]
    probabilities = np.array([model.probability for model in sampled])
    paid = np.array([model.reward for model in sampled])
    assert (paid == paid[..., :1]).all()  # whatever the outcome
    paid = paid[..., 0]
    # Dirichlet(counts + 1/4): of (0, 0), the second outcome has Beta(2 + 1/4, 3/4)
    assert kstest(probabilities[:, 0, 0, 1], beta(2.25, 0.75).cdf).pvalue > 1e-6
    assert kstest(probabilities[:, 2, 0, 0], beta(0.25, 0.75).cdf).pvalue > 1e-6
    # unseen: Student's t with 1 degree of freedom around 2, of scale 3 / sqrt(1/2)
    assert kstest(paid[:, 2, 1], t(1, 2.0, 3 / np.sqrt(0.5)).cdf).pvalue > 1e-6
    assert len(np.unique(paid[:, 2])) == 4000
    # seen twice: 1 + 2 degrees of freedom around (0.5 * 2 - 2 * 4) / 2.5 = -2.8, of scale
    # sqrt(b / (a (0.5 + 2))) with a = 3/2 and b = (3^2 + 1.5^2 + 0.5 * 2 / 2.5 * (2 + 4)^2) / 2
    b = (9 + 2.25 + 0.4 * 36) / 2
    assert kstest(paid[:, 0, 0], t(3, -2.8, np.sqrt(b / (1.5 * 2.5))).cdf).pvalue > 1e-6


def test_the_prior_is_that_of_osband_et_al_2013() -> None:
    # mu = sigma^2 = n = 1: the marginal of the mean reward is Student's t with 1 degree of freedom
    agent = PosteriorSampling(
        Script(), reward_mean=1.0, reward_scale=1.0, reward_strength=1.0, seed=1
    )
    paid = np.array([agent.sample_model().reward[:, :, 0] for _ in range(300)]).ravel()
    assert kstest(paid, t(1, 1.0, 1.0).cdf).pvalue > 1e-6


def test_the_plan_is_the_exact_solution_of_the_sampled_model() -> None:
    twins = [PosteriorSampling("NChain-v0", gamma=0.9, seed=3).learn(500) for _ in range(2)]
    for _ in range(20):
        q, model = twins[0].plan(), twins[1].sample_model()
        np.testing.assert_allclose(q, value_iteration(model, 0.9), rtol=1e-9)


def test_it_does_the_same_when_all_rewards_are_larger_by_a_factor() -> None:
    agents = [
        PosteriorSampling(f"NChain-v0 small={2.0 * unit} large={10.0 * unit}", seed=4).learn(3000)
        for unit in (2.0**-20, 1.0, 2.0**30)
    ]
    one, *others = agents
    for other, unit in zip(others, (2.0**20, 2.0**50), strict=True):
        np.testing.assert_array_equal(other.tables.counts, one.tables.counts)
        np.testing.assert_allclose(other.q, one.q * unit, rtol=1e-9)


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


def test_known_rewards_are_the_mean_rewards_of_the_model() -> None:
    # forward slips with probability 0.2, and then pays 2
    chain = PosteriorSampling("NChain-v0", rewards="known").sample_model().reward
    assert chain[4, 0].tolist() == pytest.approx([0.8 * 10 + 0.2 * 2] * 6)
    assert chain[2].tolist() == pytest.approx(np.array([[0.4] * 6, [1.6] * 6]))
    # the goal of FrozenLake, 15, pays 1; from 14, two of the three directions lead elsewhere
    lake = PosteriorSampling("FrozenLake-v1", rewards="known").sample_model().reward
    paid = {(14, action, k): pytest.approx(1 / 3) for action in (1, 2, 3) for k in range(17)}
    assert {tuple(at): lake[tuple(at)] for at in np.argwhere(lake).tolist()} == paid


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"gamma": 1.0}, r"gamma must be a number in \[0, 1\), got 1.0"),
        ({"gamma": 1.5}, r"gamma must be a number in \[0, 1\), got 1.5"),
        ({"gamma": -0.5}, r"gamma must be a number in \[0, 1\), got -0.5"),
        ({"prior": 0.0}, r"prior must be a number in \(0, inf\), got 0.0"),
        ({"prior": -1}, r"prior must be a number in \(0, inf\), got -1"),
        (
            {"reward_mean": 1e301},
            r"reward_mean must be a number in \[-1e\+300, 1e\+300\], got 1e\+301",
        ),
        ({"reward_scale": 0}, r"reward_scale must be a number in \(0, 1e\+300\], got 0"),
        ({"reward_strength": 0.0}, r"reward_strength must be a number in \(0, inf\), got 0.0"),
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
    # the mean of the prior is the same everywhere: of equals, the lowest
    agent = PosteriorSampling("NChain-v0", seed=0)
    assert {agent.predict(0, deterministic=True)[0] for _ in range(50)} == {0}
