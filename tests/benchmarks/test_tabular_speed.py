"""The table learners beside the tutorial's loop and one written for this chain alone.

A ratio is the median of 9 rounds in which all are measured in turn. By itself:

    pytest tests/benchmarks/test_tabular_speed.py -m slow -s

Nothing here fails for being slow.

Aims that are not reached, and what limits them. The loop for the chain alone computes the outcome
of a step. The general loop reads it from the table, counts the steps and returns of episodes, and
computes epsilon. On FrozenLake and Taxi, a step also compares the values of four and six actions
twice, and branches on a random number.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from nchain_agents import QLearning, RewardSum, learn_many

numba = pytest.importorskip("numba", reason="needs the agents extra")
pytestmark = pytest.mark.slow

Table = list[tuple[str, str, str]]
ROUNDS = 9
EPISODES = 500
# the tutorial's settings
ARTICLE: dict[str, Any] = {
    "gamma": 0.95,
    "learning_rate": 0.8,
    "epsilon": {"initial": 0.5, "decay": 0.999},
}


def rate(function: Callable[[], int]) -> float:
    """Return the steps a second of a function that returns how many steps it took."""
    begin = time.perf_counter()
    steps = function()
    return steps / (time.perf_counter() - begin)


def article_loop(episodes: int) -> int:
    """Learn as the tutorial does, update rule included, by NumPy calls on every step."""
    env = gym.make("NChain-v0")
    table, epsilon = np.zeros((5, 2)), 0.5
    steps = 0
    for _ in range(episodes):
        state, _ = env.reset()
        epsilon *= 0.999
        over = False
        while not over:
            if np.random.random() < epsilon or np.sum(table[state, :]) == 0:  # noqa: NPY002
                action = np.random.randint(0, 2)  # noqa: NPY002
            else:
                action = int(np.argmax(table[state, :]))
            next_state, reward, terminated, truncated, _ = env.step(action)
            over = terminated or truncated
            table[state, action] += float(reward) + 0.8 * (
                0.95 * np.max(table[next_state, :]) - table[state, action]
            )
            state = next_state
            steps += 1
    return steps


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def chain_loop(q: Any, agent: Any, env: Any, episodes: int) -> int:
    """The same learner written for this chain alone, with the same generators."""
    epsilon = 0.5
    for _ in range(episodes):
        epsilon *= 0.999
        state = 0
        env.random()
        for _ in range(1000):
            if agent.random() < epsilon:
                action = int(agent.random() * 2)
            elif q[state, 0] > q[state, 1]:
                action = 0
            elif q[state, 1] > q[state, 0]:
                action = 1
            else:
                action = int(agent.random() * 2)
            executed = 1 - action if env.random() < 0.2 else action
            if executed == 1:
                next_state, reward = 0, 2.0
            elif state == 4:
                next_state, reward = 4, 10.0
            else:
                next_state, reward = state + 1, 0.0
            target = reward + 0.95 * max(q[next_state, 0], q[next_state, 1])
            q[state, action] += 0.8 * (target - q[state, action])
            state = next_state
    return episodes * 1000


def test_epsilon_greedy_q_learning_beside_the_article_and_a_loop_for_the_chain_alone(
    table: Table,
) -> None:
    def compiled() -> int:
        agent = QLearning("NChain-v0", seed=0, compiled=True, **ARTICLE)
        return agent.learn(EPISODES * 1000).num_timesteps

    def stepped() -> int:
        agent = QLearning("NChain-v0", seed=0, compiled=False, **ARTICLE)
        return agent.learn(20_000).num_timesteps

    def alone() -> int:
        rngs = np.random.default_rng(0), np.random.default_rng(1)
        return int(chain_loop(np.zeros((5, 2)), *rngs, EPISODES))

    compiled(), alone()
    rounds = [
        [rate(compiled), rate(stepped), rate(alone), rate(lambda: article_loop(20))]
        for _ in range(ROUNDS)
    ]
    ours, slow, hand, article = (
        statistics.median(column) / 1e6 for column in zip(*rounds, strict=True)
    )
    beside_article = statistics.median(row[0] / row[3] for row in rounds)
    beside_alone = statistics.median(row[0] / row[2] for row in rounds)
    table.append(("compiled, M steps/s", f"{ours:.1f}", ""))
    table.append(("stepped, M steps/s", f"{slow:.3f}", ""))
    table.append(("a loop for the chain alone, M steps/s", f"{hand:.1f}", ""))
    table.append(("the article's loop, M steps/s", f"{article:.3f}", ""))
    table.append(("compiled beside the article's loop", f"{beside_article:.0f}x", ">= 400x"))
    table.append(("compiled beside the loop for the chain alone", f"{beside_alone:.2f}", ">= 1.0"))
    assert ours > 0


@pytest.mark.parametrize(
    ("name", "env", "parameters", "wanted"),
    [
        ("visit_power 0.6", "NChain-v0", {"visit_power": 0.6, "epsilon": 0.5}, ">= 40"),
        ("FrozenLake-v1, 8x8", "FrozenLake8x8-v1", ARTICLE, ">= 30"),
        ("Taxi-v4", "Taxi-v4", ARTICLE, ">= 30"),
    ],
)
def test_q_learning_elsewhere(
    table: Table, name: str, env: str, parameters: dict[str, Any], wanted: str
) -> None:
    def learn() -> int:
        agent = QLearning(env, seed=0, compiled=True, **parameters)
        return agent.learn(EPISODES * 1000).num_timesteps

    learn()
    speed = statistics.median(rate(learn) for _ in range(ROUNDS)) / 1e6
    table.append((f"compiled, {name}, M steps/s", f"{speed:.1f}", wanted))


def test_many_seeds(table: Table) -> None:
    def learn() -> float:
        begin = time.perf_counter()
        learn_many([QLearning("NChain-v0", seed=seed) for seed in range(1000)], 20_000)
        return time.perf_counter() - begin

    learn()
    seconds = statistics.median(learn() for _ in range(5))
    table.append(("learn_many of 1,000 seeds, 20,000 steps each, s", f"{seconds:.2f}", "<= 1"))


def test_a_comparison_of_table_learners(table: Table, tmp_path: Path) -> None:
    agents = "reward-sum,greedy-q,q-learning,sarsa,expected-sarsa,double-q"
    command = [sys.executable, "-m", "nchain_agents", "compare", "--agents", agents]
    command += ["--seeds", "100", "--steps", "20000", "--out", str(tmp_path / "study")]
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - begin
    table.append(
        ("nchain compare, 6 agents, 100 seeds, 20,000 steps, s", f"{seconds:.1f}", "<= 15")
    )


def test_the_whole_tournament(table: Table) -> None:
    """100 rounds of the tutorial's three agents, 500 episodes each: 150 million steps."""

    def tournament() -> float:
        begin = time.perf_counter()
        agents = [
            agent
            for seed in range(100)
            for agent in (
                RewardSum("NChain-v0", seed=seed),
                QLearning("NChain-v0", seed=seed, **ARTICLE | {"epsilon": 0.0}),
                QLearning("NChain-v0", seed=seed, **ARTICLE),
            )
        ]
        learn_many(agents, EPISODES * 1000)
        assert sum(agent.num_timesteps for agent in agents) == 150_000_000
        return time.perf_counter() - begin

    tournament()
    seconds = statistics.median(tournament() for _ in range(3))
    table.append(("tournament of 100 rounds, s", f"{seconds:.1f}", "<= 2"))


def test_a_second_process_starts_with_compiled_code(table: Table) -> None:
    code = (
        "from nchain_agents import QLearning\n"
        "QLearning('NChain-v0', seed=0, compiled=True).learn(1000)"
    )

    def start() -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - begin

    start()
    seconds = statistics.median(start() for _ in range(5))
    table.append(("a second process, start to learned, s", f"{seconds:.2f}", "2"))
