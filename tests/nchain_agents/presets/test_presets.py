from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from nchain_agents import learn_many, score
from nchain_agents.evaluation import ExactEvaluator, evaluator_of, scaled
from nchain_agents.presets import Preset, presets_for, problem, problem_names
from nchain_agents.study.environments import EnvChoice
from nchain_agents.study.looks import looks_at
from nchain_agents.study.plan import Task
from nchain_agents.study.run import Run, train

# Expected return of always going backward for 1,000 steps, from the known values of the chain
ALWAYS_BACKWARD = 1603.19

CHAIN = problem("nchain")

# These two are there to show what fails: neither looks ahead and explores
NAIVE = ("reward-sum", "greedy-q")
TABULAR = ("q-learning", "sarsa", "expected-sarsa", "double-q", "posterior-sampling")

# the table learners have a test of their own, with 200 seeds
LEARNING = [
    pytest.param(
        one,
        id=one.name,
        marks=[
            pytest.mark.skipif(not one.installed, reason=f"needs {one.install_command}"),
            *([pytest.mark.slow] if one.name == "sb3-dqn" else []),
        ],
    )
    for one in CHAIN.presets.values()
    if one.name not in (*NAIVE, *TABULAR[:-1])
]


def trained(one: Preset, seed: int, steps: int) -> Run:
    run = train(Task(one, EnvChoice("NChain-v0"), seed, steps, looks_at(20, steps), 100))
    assert run.failure is None
    return run


@pytest.mark.parametrize("one", LEARNING)
def test_each_preset_that_explores_beats_always_going_backward(one: Preset) -> None:
    run = trained(one, seed=0, steps=20_000)
    assert run.final.expected_return > ALWAYS_BACKWARD + 100
    assert run.final.score > 99


@pytest.mark.parametrize("name", NAIVE)
def test_the_naive_presets_lock_in_to_the_near_reward(name: str) -> None:
    scores = [trained(CHAIN.preset(name), seed, 5000).final.score for seed in range(10)]
    assert np.median(scores) < 20


def always_forward_in(name: str, seeds: range) -> int:
    """Count the seeds in which the greedy policy is the optimal stationary one."""
    agents = [CHAIN.preset(name).make(gym.make("NChain-v0"), seed) for seed in seeds]
    learn_many(agents, 50_000)
    policies = (agent.predict(np.arange(5), deterministic=True)[0] for agent in agents)
    return sum(policy.tolist() == [0] * 5 for policy in policies)


@pytest.mark.parametrize(
    "name",
    ["q-learning", *(pytest.param(name, marks=pytest.mark.slow) for name in TABULAR[1:-1])],
)
def test_tabular_presets_learn_the_optimal_policy_in_199_of_200_seeds(name: str) -> None:
    assert always_forward_in(name, range(200)) >= 199


@pytest.mark.slow
def test_posterior_sampling_learns_the_optimal_policy_in_199_of_200_seeds(
    in_processes: Any,
) -> None:
    seeds = [range(first, first + 10) for first in range(0, 200, 10)]
    parts = in_processes(partial(always_forward_in, "posterior-sampling"), seeds)
    assert sum(parts) >= 199


# The best policy that does not depend on the steps left scores less than 100; on the larger lake
# 97.84 is the most that any we found does, and no change of one action of it does better.
@pytest.mark.parametrize(
    ("name", "least"),
    [("frozenlake", 99.0), ("frozenlake-8x8", 97.5), ("cliffwalking", 99.0), ("taxi", 99.0)],
)
def test_the_presets_for_toy_text_learn_in_the_median_of_20_seeds(name: str, least: float) -> None:
    task = problem(name)
    agents = [
        task.preset("q-learning").make(gym.make(task.env, **task.parameters), seed)
        for seed in range(20)
    ]
    learn_many(agents, task.steps)
    exact = evaluator_of(gym.make(task.env, **task.parameters))
    scores = [scaled(exact, exact.evaluate(agent).mean) for agent in agents]
    assert np.median(scores) >= least


def test_no_change_of_one_action_improves_the_best_stationary_policy_of_the_large_lake() -> None:
    from nchain_env.planning import policy_iteration

    exact = evaluator_of(gym.make("FrozenLake8x8-v1"))
    assert isinstance(exact, ExactEvaluator)
    policy, _ = policy_iteration(exact.mdp, 0.994)
    best = scaled(exact, exact.policy_return(policy))
    assert best == pytest.approx(97.84, abs=0.01)
    for state in range(64):
        for action in range(4):
            changed = policy.copy()
            changed[state] = action
            assert scaled(exact, exact.policy_return(changed)) <= best + 1e-9


RIVER, SEA = problem("riverswim"), problem("deepsea")
EXPLORING = ("posterior-sampling", "ucrl2", "mbie-eb", "rmax", "optimistic-q")


@pytest.mark.parametrize("name", EXPLORING)
def test_the_presets_for_river_swim_find_the_large_reward(name: str) -> None:
    agents = [RIVER.preset(name).make(gym.make("RiverSwim-v0"), seed) for seed in range(5)]
    learn_many(agents, RIVER.steps)
    # always to the right has 661,264, the best other policy 301,269
    assert min(score(agent, agent.env) for agent in agents) > 99


def trained_to_treasure(name: str, seed: int) -> Any:
    """Return an agent that has learned until its greedy policy goes right in all ten rows."""
    path = np.arange(10) * 11
    agent = SEA.preset(name).make(gym.make("DeepSea-v0"), seed)
    return agent.learn(SEA.steps, lambda it: not it.predict(path, deterministic=True)[0].all())


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("mbie-eb", 500),
        ("rmax", 500),
        ("optimistic-q", 2000),
    ],
)
def test_the_presets_for_deep_sea_find_the_treasure(name: str, most: int) -> None:
    assert max(trained_to_treasure(name, seed).num_timesteps for seed in range(3)) < most


@pytest.mark.slow
@pytest.mark.parametrize("name", ["posterior-sampling", "ucrl2"])
def test_some_go_on_exploring_deep_sea_when_their_greedy_policy_has_the_treasure(name: str) -> None:
    for seed in range(2):
        agent = trained_to_treasure(name, seed)
        assert agent.num_timesteps < SEA.steps
        agent.learn(1000)
        assert sum(total > 0.5 for total in list(agent.episode_returns)[-100:]) < 50


def test_q_learning_finds_neither_the_reward_upstream_nor_the_treasure() -> None:
    agents = [RIVER.preset("q-learning").make(gym.make("RiverSwim-v0"), seed) for seed in range(3)]
    learn_many(agents, RIVER.steps)
    assert max(score(agent, agent.env) for agent in agents) < 1
    for seed in range(3):
        assert trained_to_treasure("q-learning", seed).num_timesteps == SEA.steps


def test_the_presets_for_river_swim_depend_on_its_variant() -> None:
    assert presets_for("RiverSwim-v0", {})["rmax"].parameters["max_reward"] == 10_000
    other = presets_for("RiverSwim-v0", {"variant": "osband2013"})
    assert other["rmax"].parameters["max_reward"] == 1


def test_an_unknown_name_is_refused_with_the_closest_known() -> None:
    with pytest.raises(ValueError, match="unknown agent 'sb-dqn'; did you mean sb3-dqn"):
        CHAIN.preset("sb-dqn")
    with pytest.raises(ValueError, match="unknown agent 'xyz'; known: reward-sum, "):
        CHAIN.preset("xyz")
    with pytest.raises(ValueError, match=r"problem must be one of .*nchain.*, got 'chess'"):
        problem("chess")


@pytest.mark.slow
def test_every_problem_makes_its_environment_and_its_tabular_agents() -> None:
    assert "nchain" in problem_names()
    for name in problem_names():
        task = problem(name)
        env = gym.make(task.env, **task.parameters)
        for one in task.presets.values():
            if one.extra is None:
                assert one.make(env, seed=0).learn(100).num_timesteps == 100
