import contextlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, kstest, norm

from nchain_agents import (
    Agent,
    DoubleQLearning,
    ExpectedSarsa,
    PosteriorSampling,
    QLearning,
    RewardSum,
    Sarsa,
    interrupts,
    learn_many,
    load,
)
from nchain_agents.tabular import double_q_learning, sarsa
from nchain_agents.tabular.loop import Transition
from nchain_agents.tabular.table_agent import TableAgent
from nchain_agents.tabular.temporal_difference import TemporalDifferenceAgent

AGENTS = (
    RewardSum,
    QLearning,
    Sarsa,
    ExpectedSarsa,
    DoubleQLearning,
    PosteriorSampling,
)


class Script(gym.Env[Any, Any]):
    """Plays back (next_state, reward, terminated, truncated) from state 0, whatever is done."""

    observation_space = gym.spaces.Discrete(3)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, *steps: tuple[int, float, bool, bool]) -> None:
        self._steps = iter(steps)

    def reset(self, **kwargs: Any) -> tuple[int, dict[str, Any]]:
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        next_state, reward, terminated, truncated = next(self._steps)
        return next_state, reward, terminated, truncated, {}


def learner(
    *steps: tuple[int, float, bool, bool],
    kind: type[TemporalDifferenceAgent] = QLearning,
    **parameters: Any,
) -> TemporalDifferenceAgent:
    parameters = {"epsilon": 0.0, "gamma": 0.5} | parameters
    agent = kind(Script(*steps), **parameters)
    # state 0 prefers action 1; state 2 is worth 8
    agent.q[:] = [[0.0, 4.0], [0.0, 0.0], [8.0, 6.0]]
    return agent


def test_q_learning_moves_towards_the_reward_plus_the_discounted_best_that_follows() -> None:
    agent = learner((2, 1.0, False, False), learning_rate=0.25).learn(1)
    # 4 + 0.25 (1 + 0.5 x 8 - 4) = 4.25
    assert agent.q.tolist() == [[0.0, 4.25], [0.0, 0.0], [8.0, 6.0]]


@pytest.mark.parametrize(
    ("terminated", "truncated", "kept"), [(False, False, 1), (False, True, -1), (True, False, -1)]
)
def test_sarsa_keeps_its_next_action_while_the_episode_goes_on(
    terminated: bool, truncated: bool, kept: int
) -> None:
    agent = Sarsa("NChain-v0", epsilon=0.0, learning_rate=1.0, gamma=0.5)
    agent.q[:, 1] = 6.0
    transition = Transition(2, 0, 1.0, 3, terminated, truncated)
    sarsa.update(agent.tables, agent._settings, transition, 0.0, np.random.default_rng(0))
    assert agent.tables.next_action == [kept]
    assert agent.q[2, 0] == (1.0 if terminated else 4.0)


def test_a_terminated_episode_is_worth_its_reward_and_a_truncated_one_goes_on() -> None:
    terminated = learner((2, 1.0, True, False), learning_rate=0.25).learn(1)
    assert terminated.q[0, 1] == 3.25  # 4 + 0.25 (1 - 4)
    truncated = learner((2, 1.0, False, True), learning_rate=0.25).learn(1)
    assert truncated.q[0, 1] == 4.25


def test_sarsa_moves_towards_the_value_of_the_action_it_takes_next() -> None:
    # greedy in state 2 is action 0, worth 8: as Q-learning; then 8 + 0.25 (2 + 0.5 x 4.25 - 8)
    agent = learner((2, 1.0, False, False), (0, 2.0, False, False), kind=Sarsa, learning_rate=0.25)
    agent.learn(2)
    assert agent.q.tolist() == [[0.0, 4.25], [0.0, 0.0], [7.03125, 6.0]]


def test_sarsa_takes_the_action_that_it_learned_from() -> None:
    agent = learner(*[(2, 0.0, False, False)] * 50, kind=Sarsa, epsilon=1.0, learning_rate=1.0)
    for _ in range(20):
        agent.learn(1)
        state, action = int(agent._observation), int(agent.tables.next_action[0])
        assert action in (0, 1)
        before = agent.q.copy()
        agent.learn(1)
        # only the entry of the action that was announced may have changed
        changed = np.argwhere(agent.q != before).tolist()
        assert changed in ([], [[state, action]])


def test_expected_sarsa_moves_towards_the_mean_value_of_its_policy() -> None:
    agent = learner((2, 1.0, False, False), kind=ExpectedSarsa, learning_rate=0.25, epsilon=1.0)
    agent.q[0] = 4.0  # whatever it explores, the old value is 4
    agent.learn(1)
    # 4 + 0.25 (1 + 0.5 (8 + 6) / 2 - 4) = 4.125
    assert sorted(agent.q[0].tolist()) == [4.0, 4.125]
    half = learner((2, 1.0, False, False), kind=ExpectedSarsa, learning_rate=0.25, epsilon=0.5)
    half.q[0] = 4.0
    half.learn(1)
    # the policy's value: 0.5 x 7 + 0.5 x 8 = 7.5; 4 + 0.25 (1 + 3.75 - 4) = 4.1875
    assert sorted(half.q[0].tolist()) == [4.0, 4.1875]


def test_double_q_learning_lets_one_table_choose_and_the_other_value() -> None:
    seen = set()
    for seed in range(20):
        agent = DoubleQLearning(
            Script((2, 1.0, False, False)), gamma=0.5, epsilon=0.0, learning_rate=0.25, seed=seed
        )
        tables: double_q_learning.DoubleTables = agent.tables
        tables.q[0], tables.q1[0], tables.q2[0] = [0, 4], [0, 4], [0, 4]
        tables.q1[2], tables.q2[2] = [8, 6], [1, 3]
        agent.learn(1)
        seen.add((tables.q1[0, 1], tables.q2[0, 1], tables.q[0, 1]))
    # first:  4 + 0.25 (1 + 0.5 x q2(2, 0) = 1 - 4) = 3.375
    # second: 4 + 0.25 (1 + 0.5 x q1(2, 1) = 6 - 4) = 4
    assert seen == {(3.375, 4.0, 3.6875), (4.0, 4.0, 4.0)}


@pytest.mark.parametrize(("number", "first", "second"), [(0.4999, 5.0, 4.0), (0.5, 4.0, 5.0)])
def test_double_q_learning_updates_the_first_table_below_one_half(
    number: float, first: float, second: float
) -> None:
    class Always:
        def random(self) -> float:
            return number

    agent = DoubleQLearning("NChain-v0", initial_q=4.0, learning_rate=1.0)
    transition = Transition(2, 1, 5.0, 0, True, False)
    double_q_learning.update(agent.tables, agent._settings, transition, 0.0, Always())
    assert agent.tables.q1[2, 1] == first
    assert agent.tables.q2[2, 1] == second
    assert agent.tables.q[2, 1] == 4.5


@pytest.mark.parametrize("kind", [Sarsa, ExpectedSarsa, DoubleQLearning])
def test_the_other_rules_end_at_termination_and_go_on_at_truncation(
    kind: type[TemporalDifferenceAgent],
) -> None:
    for terminated, expected in ((True, 3.25), (False, 4.25)):
        agent = learner((2, 1.0, terminated, not terminated), kind=kind, learning_rate=0.25)
        if isinstance(agent, DoubleQLearning):
            agent.tables.q1[:] = agent.tables.q2[:] = agent.q
        agent.learn(1)
        tables = [agent.tables.q1, agent.tables.q2] if kind is DoubleQLearning else [agent.q]
        assert expected in [table[0, 1] for table in tables]


def test_double_q_learning_does_not_overestimate() -> None:
    """Sutton & Barto 2018, example 6.7: from A, left costs nothing and leads to B, whose actions
    all pay noise of mean -0.1; right ends. Q-learning takes the noise's maximum for its value.
    """

    class Bias(gym.Env[Any, Any]):
        observation_space = gym.spaces.Discrete(2)
        action_space = gym.spaces.Discrete(10)

        def reset(self, *, seed: int | None = None, **_: Any) -> tuple[int, dict[str, Any]]:
            super().reset(seed=seed)
            self.s = 0
            return 0, {}

        def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
            if self.s == 0:
                self.s = 1
                return 1, 0.0, action >= 5, False, {}
            return 1, float(self.np_random.normal(-0.1, 1.0)), True, False, {}

    def value_of_going_left(kind: type[TemporalDifferenceAgent], seed: int) -> float:
        agent = kind(Bias(), gamma=1.0, learning_rate=0.1, epsilon=1.0, seed=seed)
        return float(agent.learn(5000).q[0, :5].mean())

    single = np.mean([value_of_going_left(QLearning, seed) for seed in range(20)])
    double = np.mean([value_of_going_left(DoubleQLearning, seed) for seed in range(20)])
    # the truth is -0.1; the standard error of both means about 0.023
    assert single > 0.1
    assert -0.2 < double < 0.0


def test_tables_begin_where_they_are_told() -> None:
    assert (QLearning("NChain-v0", initial_q=7.0).q == 7.0).all()
    random = QLearning("NChain-v0", initial_q=(1.0, 2.0), seed=0).q
    assert ((random >= 1.0) & (random < 2.0)).all()
    assert len(np.unique(random)) == 10
    double = DoubleQLearning("NChain-v0", initial_q=(1.0, 2.0), seed=0).tables
    assert (double.q == (double.q1 + double.q2) / 2).all()


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
    sample = agent._sample_model

    def counted() -> None:
        sampled.append(agent.num_timesteps)
        sample()

    agent._sample_model = counted  # type: ignore[method-assign]
    for steps in calls:
        agent.learn(steps)
    return sampled


def test_a_callback_stops_posterior_sampling() -> None:
    agent = PosteriorSampling(gym.make("NChain-v0", max_episode_steps=30), seed=0)
    agent.learn(200, callback=lambda agent: len(agent.episode_returns) < 2)
    assert agent.num_timesteps == 60


def test_models_are_sampled_from_the_posterior_and_solved() -> None:
    agent = PosteriorSampling(Script(), gamma=0.5, prior=1.0, seed=0)
    counts, sums = agent.tables.counts, agent.tables.reward_sums
    assert counts.dtype == np.int64
    counts[0, 0, 1], sums[0, 0, 1] = 2, -8.0
    counts[1, 1, 3], sums[1, 1, 3] = 1, 3.0
    solve = agent._solve
    sampled: list[tuple[Any, Any]] = []

    def kept(weights: Any, rewards: Any) -> Any:
        sampled.append((weights / weights.sum(axis=2, keepdims=True), rewards))
        return solve(weights, rewards)

    agent._solve = kept  # type: ignore[method-assign]
    for _ in range(300):
        agent._sample_model()
        probability, rewards = sampled[-1]
        # Bellman's equation of the sampled model, where the fourth outcome ends the episode
        following = np.append(agent.tables.q.max(axis=1), 0.0)
        q = (probability * (rewards + 0.5 * following)).sum(axis=2)
        np.testing.assert_allclose(agent.tables.q, q, atol=1e-9)
    probabilities, paid = (np.array(column) for column in zip(*sampled, strict=True))
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
    agent._sample_model()
    assert (agent.tables.q == 0.0).all()


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
    chain = PosteriorSampling("NChain-v0", rewards="known")._known
    assert chain is not None
    assert chain[4, 0].tolist() == [2.0, 0, 0, 0, 10.0, 0]
    assert chain[2, 1].tolist() == [2.0, 0, 0, 0, 0, 0]
    # the goal of FrozenLake, 15, pays 1 and ends the episode, as the holes do for nothing
    lake = PosteriorSampling("FrozenLake-v1", rewards="known")._known
    assert lake is not None
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


@pytest.mark.parametrize("kind", AGENTS)
def test_an_agent_keeps_the_loop_and_the_seed_that_it_was_told(kind: type[TableAgent]) -> None:
    agent, other, third = (kind("NChain-v0", seed=seed, compiled=False) for seed in (4, 4, 5))
    assert agent.compiled is False
    draws = [each.np_random.random() for each in (agent, other, third)]
    assert draws[0] == draws[1] != draws[2]


def test_the_defaults_are_the_documented_ones() -> None:
    agent = QLearning("NChain-v0")
    assert {name: getattr(agent, name) for name in agent.parameters} == {
        "gamma": 0.95,
        "learning_rate": 0.1,
        "visit_power": 0.0,
        "epsilon": 0.1,
        "temperature": 0.0,
        "initial_q": 0.0,
        "compiled": "auto",
    }
    sampler = PosteriorSampling("NChain-v0")
    assert {name: getattr(sampler, name) for name in sampler.parameters} == {
        "gamma": 0.95,
        "prior": 1.0,
        "resample_every": 20,  # 1 / (1 - gamma)
        "rewards": "learned",
        "compiled": "auto",
    }
    assert RewardSum("NChain-v0").compiled == "auto"


def test_step_sizes_fall_with_the_visits() -> None:
    steps = [(0, 0.0, True, False)] * 3
    agent = learner(*steps, learning_rate=0.5, visit_power=1.0).learn(3)
    # 4 (1 - 0.5) (1 - 0.5 / 2) (1 - 0.5 / 3) = 1.25
    assert agent.q[0, 1] == pytest.approx(1.25, abs=1e-15)
    assert agent.tables.visits.tolist() == [[0, 3], [0, 0], [0, 0]]
    double = DoubleQLearning("NChain-v0").tables
    for visits in (agent.tables.visits, double.visits1, double.visits2):
        assert visits.dtype == np.int64


def test_reward_sum_adds_up_rewards_and_takes_the_larger_sum() -> None:
    script = Script((1, 2.0, False, False), (0, 3.0, False, False), (0, 4.0, False, False))
    agent = RewardSum(script)
    agent.q[:] = [[5.0, 1.0], [0.0, 1.0], [0.0, 0.0]]
    agent.learn(3)
    assert agent.q.tolist() == [[11.0, 1.0], [0.0, 4.0], [0.0, 0.0]]


def test_reward_sum_predicts_the_larger_sum_and_any_of_equals() -> None:
    agent = RewardSum("NChain-v0", seed=0)
    agent.q[:2] = [[1.0, 0.9], [2.0, 2.0]]
    assert {agent.predict(0)[0] for _ in range(50)} == {0}
    assert {agent.predict(1)[0] for _ in range(50)} == {0, 1}


def test_an_agent_that_has_learned_nothing_is_saved_too(tmp_path: Path) -> None:
    for kind in AGENTS:
        agent = kind("NChain-v0", seed=0)
        agent.save(tmp_path / "agent")
        loaded = load(tmp_path / "agent")
        assert loaded.num_timesteps == 0
        assert loaded.q_values(np.arange(5)).tolist() == agent.q.tolist()


def test_q_learning_with_falling_step_sizes_approaches_the_exact_values() -> None:
    agent = QLearning("NChain-v0", visit_power=0.6, learning_rate=1.0, epsilon=1.0, seed=0)
    agent.learn(100_000)
    # Q* of the default chain at gamma 0.95, from the exact solution of its linear equations
    exact = [
        [61.3795, 60.5778],
        [64.8913, 61.4557],
        [69.5121, 62.6109],
        [75.5921, 64.1309],
        [83.5921, 66.1309],
    ]
    assert np.abs(agent.q - exact).max() < 3.0


def test_bootstrapping_through_truncation_keeps_the_values_of_short_episodes() -> None:
    env = gym.make("NChain-v0", max_episode_steps=10)
    agent = QLearning(env, visit_power=0.6, learning_rate=1.0, epsilon=1.0, seed=0)
    agent.learn(100_000)
    assert len(agent.episode_returns) == 10_000
    # were truncation the end, no value could exceed ten steps' worth
    assert agent.q[0, 0] == pytest.approx(61.3795, abs=3.0)


def test_equal_seeds_learn_equal_tables_and_others_do_not() -> None:
    first, again, other = (QLearning("NChain-v0", seed=s).learn(3000).q for s in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_learning_in_two_calls_equals_learning_in_one() -> None:
    whole = QLearning("NChain-v0", seed=3, epsilon={"initial": 0.5, "decay": 0.9}).learn(2500)
    parts = QLearning("NChain-v0", seed=3, epsilon={"initial": 0.5, "decay": 0.9})
    parts.learn(700).learn(1800)
    assert whole.q.tobytes() == parts.q.tobytes()
    assert whole.episode_returns == parts.episode_returns


def test_the_agent_and_the_environment_do_not_share_their_random_numbers() -> None:
    agent = QLearning("NChain-v0", seed=0).learn(1)
    draws = agent.np_random.random(100)
    assert not np.isin(draws, agent.env.unwrapped.np_random.random(200)).any()


def test_a_callback_sees_each_episode_and_may_stop() -> None:
    seen: list[int] = []

    def stop_after_three(agent: Agent) -> bool:
        seen.append(agent.num_timesteps)
        return len(seen) < 3

    agent = QLearning("NChain-v0", seed=0).learn(10_000, callback=stop_after_three)
    assert seen == [1000, 2000, 3000]
    assert agent.num_timesteps == 3000


def test_predict_takes_one_observation_or_a_batch() -> None:
    agent = QLearning("NChain-v0", seed=0, epsilon=0.0)
    agent.q[:] = [[1, 0], [0, 1], [0, 1], [1, 0], [2, 2]]
    assert agent.predict(1, deterministic=True) == (1, None)
    actions, state = agent.predict(np.array([0, 1, 4]), state="kept", deterministic=True)
    assert actions.tolist() == [0, 1, 0]
    assert state == "kept"
    assert {agent.predict(4)[0] for _ in range(50)} == {0, 1}
    assert agent.q_values(2).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("observation", [5, -1, 0.5, "0", [[0]], [0, 9]])
def test_an_observation_outside_the_table_is_refused(observation: Any) -> None:
    with pytest.raises(ValueError, match=r"observation must be one or a batch of integers in"):
        QLearning("NChain-v0").predict(observation)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"gamma": 1.5}, r"gamma must be a number in \[0, 1\], got 1.5"),
        ({"gamma": float("nan")}, "gamma"),
        ({"learning_rate": 0.0}, r"learning_rate must be a number in \(0, 1\], got 0.0"),
        ({"learning_rate": 2}, "learning_rate"),
        ({"visit_power": 0.3}, r"visit_power must be 0 or in \(0.5, 1\], got 0.3"),
        ({"visit_power": 0.5}, r"^visit_power must be 0 or in \(0.5, 1\], got 0.5$"),
        ({"visit_power": 1.5}, r"^visit_power must be a number in \[0, 1\], got 1.5$"),
        ({"epsilon": -0.1}, "epsilon"),
        ({"temperature": -1}, r"^temperature must be a number in \[0, inf\), got -1$"),
        ({"initial_q": "5"}, r"^initial_q must be a finite number, got '5'$"),
        ({"initial_q": (1, "2")}, r"^initial_q must be a finite number, got '2'$"),
        ({"initial_q": (1, 2, 3)}, r"^initial_q must be a number or .low, high., got \(1, 2, 3\)$"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QLearning("NChain-v0", **parameters)


@pytest.mark.parametrize("steps", [0, -5, 2.5, "10", True])
def test_a_bad_number_of_steps_is_refused(steps: Any) -> None:
    agent = QLearning("NChain-v0", seed=0)
    with pytest.raises(ValueError, match="total_timesteps must be an integer of at least 1"):
        agent.learn(steps)
    assert agent.num_timesteps == 0


def test_continuous_spaces_are_refused() -> None:
    message = (
        r"^env must have discrete observations numbered from 0 for a table, got Box\(.*\); "
        "KerasDQN takes other observations$"
    )
    with pytest.raises(ValueError, match=message):
        QLearning("CartPole-v1")
    with pytest.raises(ValueError, match="discrete observations"):
        RewardSum(gym.make("Blackjack-v1"))
    script = Script()
    script.action_space = gym.spaces.Discrete(2, start=1)
    with pytest.raises(ValueError, match=r"^env must have discrete actions numbered from 0 .*"):
        RewardSum(script)


@pytest.mark.parametrize("kind", AGENTS)
def test_a_saved_agent_comes_back_the_same(kind: type[TableAgent], tmp_path: Path) -> None:
    agent = kind(gym.make("NChain-v0", n=7), seed=0).learn(2500)
    agent.save(tmp_path / "agent.npz")
    for loaded in (kind.load(tmp_path / "agent.npz"), load(tmp_path / "agent.npz")):
        assert type(loaded) is kind
        assert loaded.num_timesteps == 2500
        assert loaded.episode_returns == agent.episode_returns
        assert loaded.np_random.bit_generator.state == agent.np_random.bit_generator.state
        assert isinstance(loaded, TableAgent)
        for name, array in agent.tables._asdict().items():
            assert getattr(loaded.tables, name).tobytes() == array.tobytes()


@pytest.mark.parametrize("env", ["NChain-v0", "FrozenLake-v1"])
@pytest.mark.parametrize("kind", AGENTS)
def test_a_loaded_agent_learns_on_as_if_never_stopped(
    kind: type[TableAgent], env: str, tmp_path: Path
) -> None:
    unbroken, stopped = (kind(env, seed=5) for _ in range(2))
    unbroken.learn(1234).learn(2345)
    stopped.learn(1234).save(tmp_path / "agent")
    resumed = kind.load(tmp_path / "agent").learn(2345)
    for name, array in unbroken.tables._asdict().items():
        assert getattr(resumed.tables, name).tobytes() == array.tobytes()
    assert resumed.episode_returns == unbroken.episode_returns
    for one, other in (
        (resumed.np_random, unbroken.np_random),
        (resumed.env.unwrapped.np_random, unbroken.env.unwrapped.np_random),
    ):
        assert one.bit_generator.state == other.bit_generator.state


def test_an_agent_loaded_into_a_given_environment_begins_an_episode_there(tmp_path: Path) -> None:
    QLearning("NChain-v0", seed=0).learn(1500).save(tmp_path / "agent")
    env = gym.make("NChain-v0", max_episode_steps=7)
    agent = QLearning.load(tmp_path / "agent", env).learn(7)
    assert len(agent.episode_returns) == 2


def test_a_failed_save_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "agent.npz"
    path.write_text("before")
    agent = QLearning("NChain-v0")

    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        agent.save(path)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["agent.npz"]


def test_files_that_are_no_saved_agents_are_refused(tmp_path: Path) -> None:
    agent = QLearning("NChain-v0", seed=0)
    path = tmp_path / "agent.npz"
    agent.save(path)
    whole = path.read_bytes()

    def refused(content: bytes, message: str) -> None:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            load(path)

    refused(b"", "is not a saved agent")
    refused(b"nonsense", "is not a saved agent")
    refused(whole[: len(whole) // 2], "is not a saved agent")

    def with_header(**changes: Any) -> bytes:
        path.write_bytes(whole)
        with np.load(path) as file:
            arrays = dict(file)
        header = json.loads(str(arrays.pop("header"))) | changes
        with path.open("wb") as target:
            np.savez(target, header=np.array(json.dumps(header)), **arrays)
        return path.read_bytes()

    refused(with_header(format=99), "has format 99; this version reads format 2")
    refused(with_header(**{"class": "os.system"}), "no agent of this version")
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="holds a QLearning, not a RewardSum"):
        RewardSum.load(path)
    with pytest.raises(ValueError, match=r"q has shape \(3, 2\) here and \(5, 2\) there"):
        QLearning.load(path, gym.make("NChain-v0", n=3))


def test_a_file_names_no_code_to_run(tmp_path: Path) -> None:
    path, ran = tmp_path / "agent.npz", tmp_path / "ran"
    QLearning("NChain-v0", seed=0).learn(10).save(path)
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(str(arrays.pop("header")))

    def refused(message: str, **changes: Any) -> None:
        with path.open("wb") as target:
            np.savez(target, header=np.array(json.dumps(header | changes)), **arrays)
        with pytest.raises(ValueError, match=message):
            load(path)
        assert not ran.exists()

    good = header["env"]
    refused("names 'os:mkdir-v0', which is not registered", env=good | {"id": "os:mkdir-v0"})
    refused("n must be an integer", env=good | {"kwargs": {"n": -3}})
    refused("NChain-v0 cannot be made with .'path'", env=good | {"kwargs": {"path": str(ran)}})
    refused("env must be given", env=None)
    refused("state must be an integer in", place=header["place"] | {"position": [99, 0]})
    refused("place must say position, generator and", place={"position": [0, 0]})
    refused("must have the parameters gamma, .* got mystery$", parameters={"mystery": 1})


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_file_is_refused_or_read_but_never_worse(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "agent"
        QLearning("NChain-v0", seed=0).learn(10).save(path)
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(content) - 1))
            content[place] = data.draw(st.integers(0, 255))
        path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
        # any other exception than a ValueError fails the test
        with contextlib.suppress(ValueError):
            load(path).learn(5)


def test_a_pickle_inside_a_file_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "agent.npz"
    ran = tmp_path / "ran"

    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(ran),)

    with path.open("wb") as file:
        np.savez(file, header=np.array([Attack()], dtype=object))
    with pytest.raises(ValueError, match="is not a saved agent"):
        load(path)
    assert not ran.exists()


def test_a_progress_bar_shows_the_steps_and_the_return(capsys: pytest.CaptureFixture[str]) -> None:
    agent = QLearning("NChain-v0", seed=0).learn(2000, progress_bar=True)
    shown = capsys.readouterr().out
    assert "2000/2000" in shown
    assert f"{agent.episode_returns[-1]:,.1f}" in shown


def test_the_compiled_loop_does_not_stop_for_a_progress_bar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("numba", reason="needs the agents extra")
    told: list[tuple[int, float]] = []

    @contextmanager
    def progress(total: int, shown: bool) -> Iterator[Callable[[int, float], None]]:
        yield lambda steps, last: told.append((steps, last))

    monkeypatch.setattr("nchain_agents.agent.training_progress", progress)
    # as many steps at a time as a loop on a warm machine takes, whatever this one does
    pace = "nchain_agents.tabular.table_agent.Pace"
    monkeypatch.setattr(pace, lambda steps: interrupts.Pace(50_000))
    agent = QLearning("NChain-v0", seed=0).learn(50_000, progress_bar=True)
    assert len(agent.episode_returns) == 50
    assert told == [(50_000, agent.episode_returns[-1])]
