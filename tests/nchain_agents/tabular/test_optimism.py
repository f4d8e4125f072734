"""UCRL2, MBIE-EB, R-max and optimistic Q-learning: their plans and updates, and what they learn."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from scipy.optimize import linprog
from table_learners import Script

from nchain_agents import (
    MBIEEB,
    UCRL2,
    OptimisticQLearning,
    PosteriorSampling,
    QLearning,
    RMax,
    learn_many,
    score,
)
from nchain_agents.tabular.model_based import Outcomes
from nchain_agents.tabular.ucrl2 import optimistic_value
from nchain_env.mdp import FloatArray
from nchain_env.planning import optimal_gain, optimal_return, value_iteration
from nchain_env.problems.river_swim import RiverSwimEnv

OPTIMISTS: list[Any] = [
    (UCRL2, {"variant": "osband2013"}),
    (MBIEEB, {}),
    (RMax, {}),
    (OptimisticQLearning, {}),
]


def most(probability: FloatArray, radius: float, values: FloatArray) -> float:
    """Return the largest mean value within a distance, by linear programming."""
    n = len(probability)
    # the variables are the distribution p, and its distance d >= |p - probability|
    bounds = np.block([[np.eye(n), -np.eye(n)], [-np.eye(n), -np.eye(n)]])
    limits = np.concatenate([probability, -probability])
    found = linprog(
        np.concatenate([-values, np.zeros(n)]),
        A_ub=np.vstack([bounds, np.concatenate([np.zeros(n), np.ones(n)])]),
        b_ub=np.append(limits, radius),
        A_eq=np.concatenate([np.ones(n), np.zeros(n)])[None],
        b_eq=[1.0],
    )
    assert found.success
    return float(-found.fun)


def test_the_optimistic_value_is_the_largest_by_linear_programming() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        states = int(rng.integers(1, 6))
        # an episode's end is worth 0, and the best state at least as much
        v = np.abs(rng.normal(size=states)).round(1)
        frequency = rng.dirichlet(np.full(states + 1, 0.3), size=(2, 2))
        radius = rng.uniform(0, 2.5, size=(2, 2))
        every = np.broadcast_to(rng.permutation(states + 1), frequency.shape)
        seen = Outcomes(every, np.take_along_axis(frequency, every, axis=2))
        found = optimistic_value(seen, radius, v)
        for at in np.ndindex(2, 2):
            exact = most(frequency[at], float(radius[at]), np.append(v, 0.0))
            assert found[at] == pytest.approx(exact, abs=1e-6)


def test_what_was_never_seen_leads_to_the_best_state() -> None:
    nothing = Outcomes(np.zeros((1, 1, 1), dtype=np.int64), np.zeros((1, 1, 1)))
    value = optimistic_value(nothing, np.zeros((1, 1)), np.array([1.0, 7.0, -2.0]))
    assert value[0, 0] == 7.0


def test_the_plausible_models_are_those_worked_out_by_hand() -> None:
    steps = [(1, 0.5, False, False), (0, 1.0, False, False), (2, 0.0, True, False)]
    agent = UCRL2(Script(*steps), delta=0.1, seed=0).learn(3)
    seen = agent.tables.visits > 0
    reward, outcomes, radius = agent.plausible()
    assert seen.sum() in (2, 3)
    # S = 3, A = 2, t = 4: for one visit sqrt(7 log(2 * 3 * 2 * 4 / 0.1) / 2) more than was paid
    more = np.sqrt(7 * np.log(480) / 2)
    once = agent.tables.visits == 1
    np.testing.assert_allclose(reward[once], agent.tables.reward_mean[once] + more)
    np.testing.assert_allclose(reward[~seen], more)
    # and sqrt(14 * 3 log(2 * 2 * 4 / 0.1)) from what was seen
    np.testing.assert_allclose(radius[once | ~seen], np.sqrt(42 * np.log(160)))
    np.testing.assert_allclose(outcomes.probability.sum(axis=2), seen)
    ended = np.where(outcomes.state == 3, outcomes.probability, 0.0).sum(axis=2)
    np.testing.assert_array_equal(
        ended, agent.tables.counts[:, :, 3] / np.maximum(agent.tables.visits, 1)
    )
    agent.variant = "osband2013"
    np.testing.assert_allclose(agent.plausible()[2][once], np.sqrt(14 * np.log(480)))
    # twice as many rewards, at most 5 instead of 1: 5 times the distance; fewer visits count as one
    agent.max_reward = 5.0
    np.testing.assert_allclose(agent.plausible()[0][~seen], 5 * more)


def test_a_plan_is_followed_until_the_visits_have_doubled() -> None:
    class Loop(Script):
        observation_space = gym.spaces.Discrete(1)
        action_space = gym.spaces.Discrete(1)

    agent = MBIEEB(Loop(*[(0, 1.0, False, False)] * 40), seed=0)
    planned = []
    plan = agent.plan

    def counted() -> FloatArray:
        planned.append(agent.num_timesteps)
        return plan()

    agent.plan = counted  # type: ignore[method-assign]
    agent.learn(40)
    assert planned == [0, 1, 2, 4, 8, 16, 32]


def test_mbie_eb_adds_the_bonus_worked_out_by_hand() -> None:
    agent = MBIEEB(Script(), gamma=0.5, beta=2.0, max_reward=3.0, seed=0)
    counts = agent.tables.counts
    counts[0, 0, 1] = 4  # four times from 0 to 1, for 1
    counts[1, 0, 3] = 1  # once to the end, for 2
    agent.tables.visits[:] = counts.sum(axis=2)
    agent.tables.reward_mean[:2, 0] = 1.0, 2.0
    q = agent.plan()
    # what was never visited: 3 / (1 - 0.5); state 1 ends for 2 + 2 * 3, more than 6
    assert q[0].tolist() == [1 + 2 * 3 / 2 + 0.5 * 8, 6.0]
    assert q[1].tolist() == [8.0, 6.0]
    assert q[2].tolist() == [6.0, 6.0]
    # without bonuses, and the unvisited for nothing
    assert agent.q.tolist() == [[1 + 0.5 * 2, 0.0], [2.0, 0.0], [0.0, 0.0]]


def test_rmax_believes_what_it_has_seen_often_enough() -> None:
    agent = RMax(Script(), gamma=0.5, known_after=4, max_reward=3.0, seed=0)
    counts = agent.tables.counts
    counts[0, 0, 1], counts[1, 0, 3], counts[1, 1, 3] = 4, 3, 5
    agent.tables.visits[:] = counts.sum(axis=2)
    agent.tables.reward_mean[0, 0], agent.tables.reward_mean[1] = 1.0, [2.0, 0.5]
    # known: (0, 0), which leads to state 1 for 1; (1, 1), which ends for 0.5; others: 3 / (1 - 0.5)
    assert agent.plan().tolist() == [[1 + 0.5 * 6, 6.0], [6.0, 0.5], [6.0, 6.0]]
    assert agent.visits_until_plan().tolist() == [[0, 4], [1, -1], [4, 4]]
    assert agent.q.tolist() == [[1 + 0.5 * 2, 0.0], [2.0, 0.5], [0.0, 0.0]]


def test_rmax_plans_when_a_state_and_action_becomes_known() -> None:
    agent = RMax("NChain-v0", known_after=7, max_reward=10.0, seed=0)
    known = []
    plan = agent.plan

    def counted() -> FloatArray:
        known.append(int((agent.tables.visits >= 7).sum()))
        return plan()

    agent.plan = counted  # type: ignore[method-assign]
    agent.learn(3000)
    assert known == list(range(len(known)))
    assert known[-1] > 5


def test_optimistic_q_learning_takes_the_steps_worked_out_by_hand() -> None:
    steps = [(0, 1.0, False, False), (0, 0.5, True, False)]
    agent = OptimisticQLearning(Script(*steps), gamma=0.5, bonus=0.01, delta=0.1, seed=0)
    assert (agent.q == 2.0).all()  # 1 / (1 - 0.5)
    agent.tables.q[0, 1] = agent.tables.learned[0, 1] = 1.0  # so that action 0 is taken twice
    agent.learn(2)
    assert agent.tables.visits[0].tolist() == [2, 0]

    def bonus(k: int) -> float:  # H = 2, S A / delta = 60
        return 0.02 * float(np.sqrt(2 * np.log(60 * (k + 1) * (k + 2)) / k))

    first = 1.0 + bonus(1) + 0.5 * 2.0  # alpha = 3 / 3
    second = first + 3 / 4 * (0.5 + bonus(2) - first)
    assert first > 2.0  # not above the largest value
    assert agent.tables.learned[0, 0] == pytest.approx(second)
    assert agent.q[0, 0] == pytest.approx(second)
    agent = OptimisticQLearning(Script(*steps[:1]), gamma=0.5, bonus=0.01, delta=0.1, seed=0).learn(
        1
    )
    assert agent.tables.learned[0].max() == pytest.approx(first)
    assert (agent.q == 2.0).all()


@pytest.mark.parametrize(("kind", "parameters"), OPTIMISTS)
def test_optimists_learn_the_chain(kind: Any, parameters: dict[str, Any]) -> None:
    agents = [
        kind(gym.make("NChain-v0"), max_reward=10.0, seed=seed, **parameters) for seed in range(5)
    ]
    learn_many(agents, 20_000)
    assert np.median([score(agent, agent.env) for agent in agents]) > 99


@pytest.mark.parametrize(("kind", "parameters"), OPTIMISTS[1:])
def test_optimists_find_the_reward_upstream(kind: Any, parameters: dict[str, Any]) -> None:
    """Always swimming to the left earns 50 in 10,000 steps, and the optimal policy 1,699."""
    river = RiverSwimEnv(variant="osband2013")
    for seed in range(5):
        env = gym.wrappers.TimeLimit(RiverSwimEnv(variant="osband2013"), 20)
        agent = kind(env, seed=seed, **parameters).learn(10_000)
        assert agent.total_reward > 0.7 * 500 * optimal_return(river.mdp, 20)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        (PosteriorSampling, {}),
        (MBIEEB, {"beta": 0.1}),
        (RMax, {"known_after": 1}),
        (OptimisticQLearning, {"bonus": 0.0}),
    ],
)
def test_deep_exploration_finds_the_treasure_that_random_actions_do_not(
    kind: Any, parameters: dict[str, Any]
) -> None:
    """One of 2^7 sequences of actions leads there, and an agent without hope turns away from it."""
    agents = [
        kind(gym.make("DeepSea-v0", size=7), gamma=0.99, seed=seed, **parameters)
        for seed in range(3)
    ]
    learn_many(agents, 2800)
    assert [score(agent, agent.env) for agent in agents] == pytest.approx([100.0] * 3)
    greedy = QLearning(gym.make("DeepSea-v0", size=7), gamma=0.99, seed=0).learn(2800)
    assert score(greedy, greedy.env) < 10


@pytest.mark.parametrize(
    ("kind", "strong"), [(MBIEEB, {"beta": 20.0}), (OptimisticQLearning, {"bonus": 1.0})]
)
def test_with_a_large_bonus_the_values_are_not_below_the_true_ones(
    kind: Any, strong: dict[str, Any]
) -> None:
    agent = kind("NChain-v0", max_reward=10.0, seed=0, **strong).learn(500)
    assert (agent.tables.q >= value_iteration(agent.env.unwrapped.mdp, 0.95)).all()


def test_the_optimistic_gain_of_ucrl2_is_not_below_the_true_one() -> None:
    env = RiverSwimEnv(variant="osband2013")
    agent = UCRL2(env, seed=0).learn(300)
    v = agent.plan().max(axis=1)
    reward, outcomes, radius = agent.plausible()
    gain = (reward + optimistic_value(outcomes, radius, v)).max(axis=1) - v
    assert gain.min() >= optimal_gain(env.mdp)
    assert np.ptp(gain) < 1 / np.sqrt(300)


@pytest.mark.parametrize(
    ("kind", "parameters", "message"),
    [
        (UCRL2, {"delta": 0.0}, r"delta must be a number in \(0, 1\), got 0.0"),
        (UCRL2, {"min_reward": 1}, "min_reward must be below max_reward, got 1.0 and 1.0"),
        (UCRL2, {"variant": "x"}, "variant must be one of 'jaksch2010', 'osband2013', got 'x'"),
        (MBIEEB, {"gamma": 1.0}, r"gamma must be a number in \[0, 1\), got 1.0"),
        (MBIEEB, {"beta": -1}, r"beta must be a number in \[0, 1000\], got -1"),
        (MBIEEB, {"max_reward": 0}, r"max_reward must be a number in \(0, 1e\+300\], got 0"),
        (RMax, {"known_after": 0}, r"known_after must be an integer .*, got 0"),
        (OptimisticQLearning, {"gamma": 0}, r"gamma must be a number in \(0, 1\), got 0"),
        (OptimisticQLearning, {"bonus": -1}, r"bonus must be a number in \[0, 1000\], got -1"),
    ],
)
def test_optimists_refuse_a_bad_parameter_by_name(
    kind: Any, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        kind("NChain-v0", **parameters)
