"""The update rules of the table learners, against numbers worked out by hand."""

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from table_learners import Script, learner

from nchain_agents import (
    DoubleQLearning,
    ExpectedSarsa,
    QLearning,
    RewardSum,
    Sarsa,
)
from nchain_agents.tabular import double_q_learning, sarsa
from nchain_agents.tabular.compiler import compile_with_callees
from nchain_agents.tabular.loop import Settings, Transition
from nchain_agents.tabular.temporal_difference import (
    TemporalDifferenceAgent,
    step_size,
    step_sizes,
)

SETTINGS = Settings(gamma=0.5, learning_rate=1.0, visit_power=0.0, temperature=0.0)


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
    agent = Sarsa("NChain-v0")
    agent.q[:, 1] = 6.0
    transition = Transition(2, 0, 1.0, 3, terminated, truncated)
    sarsa.update(agent.tables, SETTINGS, transition, 0.0, np.random.default_rng(0))
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
        action = int(agent.tables.next_action[0])
        assert action in (0, 1)
        before = agent.q.copy()
        agent.learn(1)
        # only the entry of the action that was announced may have changed
        changed = np.argwhere(agent.q != before).tolist()
        assert changed in ([], [[2, action]])


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

    agent = DoubleQLearning("NChain-v0", initial_q=4.0)
    transition = Transition(2, 1, 5.0, 0, True, False)
    double_q_learning.update(agent.tables, SETTINGS, transition, 0.0, Always())
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


def test_step_sizes_fall_with_the_visits() -> None:
    steps = [(0, 0.0, True, False)] * 3
    agent = learner(*steps, learning_rate=0.5, visit_power=1.0).learn(3)
    # 4 (1 - 0.5) (1 - 0.5 / 2) (1 - 0.5 / 3) = 1.25
    assert agent.q[0, 1] == pytest.approx(1.25, abs=1e-15)
    assert agent.tables.visits.tolist() == [[0, 3], [0, 0], [0, 0]]
    double = DoubleQLearning("NChain-v0").tables
    for visits in (agent.tables.visits, double.visits1, double.visits2):
        assert visits.dtype == np.int64


@pytest.mark.parametrize("compiled", [False, True])
def test_step_sizes_that_are_kept_are_those_that_are_computed(compiled: bool) -> None:
    settings = Settings(0.9, 0.3, 0.7, 0.0, step_sizes=np.zeros(100))
    size = step_size
    if compiled:
        pytest.importorskip("numba", reason="needs the agents extra")
        size = compile_with_callees(step_size, {})[0]
    for _ in range(2):  # computed, then read
        visits = np.zeros((1, 1), dtype=np.int64)
        # to more visits than are kept, bit for bit
        assert [size(settings, visits, 0, 0) for _ in range(200)] == [
            0.3 / math.pow(n, 0.7) for n in range(1, 201)
        ]
    assert step_sizes(0.3, 0.7) is step_sizes(0.3, 0.7)
    assert step_sizes(0.3, 0.0).shape == (0,)


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
