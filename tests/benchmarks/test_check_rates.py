"""How often `nchain check` names a planted mistake, and accuses a correct agent.

Each verdict is on three seeds in the two problems of a check. Table learners (step size 0.1,
epsilon 0.3, gamma 0.9) learn for 5,000 steps, or 20,000 where the verdict is not clear. DQNs, of
32 hidden units and with a Huber loss, learn for 8,000 steps, correct ones of libraries for 20,000
where 5,000 are not enough, as in `nchain check`. "Alone": the mistake is the only one that is
named; "of two": another one, which fits almost as well, is named with it. By itself, which takes
more than an hour, most of it for the DQNs:

    pytest tests/benchmarks/test_check_rates.py -m slow -s

`-k table`, `-k dqn`, `-k planted_keras`, `-k correct` and `-k known` choose parts. The mistakes are
in `tests/helpers/planted.py` and `planted_keras.py`.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from typing import Any

import pytest
from planted import KERAS_MISTAKES, MISTAKES, PlantedTable
from verdicts import verdict

import nchain_agents
from nchain_agents.article.learners import TutorialQLearning

pytestmark = pytest.mark.slow

Table = list[tuple[str, str, str]]
Make = Callable[[Any, int], Any]
# How many verdicts: on tables, on networks, and on those of libraries, which take longer.
TABLES, DQNS, DEEP = 100, 20, 5
STEPS = (5_000, 20_000)
DEEP_SETTINGS: dict[str, Any] = {
    "gamma": 0.95,
    "learning_rate": 1e-3,
    "learning_starts": 1000,
    "batch_size": 64,
    "train_freq": 4,
    "target_update_interval": 500,
    "exploration_fraction": 0.5,
    "exploration_final_eps": 0.1,
}


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    # other libraries' threads do not survive a fork
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as executor:
        yield executor


def planted_table(mistake: str, env: Any, seed: int) -> Any:
    return PlantedTable(env, seed, mistake)


def planted_dqn(mistake: str, env: Any, seed: int) -> Any:
    from planted_dqn import PlantedDQN

    return PlantedDQN(env, seed, mistake)


def planted_keras(mistake: str, env: Any, seed: int) -> Any:
    from planted_keras import planted_keras

    return planted_keras(mistake, env, seed)


def ours(name: str, env: Any, seed: int) -> Any:
    return getattr(nchain_agents, name)(env, gamma=0.9, seed=seed)


def tutorial(env: Any, seed: int) -> Any:
    return TutorialQLearning(env, gamma=0.9, learning_rate=0.8, epsilon=0.5, seed=seed)


def keras_dqn(env: Any, seed: int) -> Any:
    return nchain_agents.KerasDQN(env, seed=seed, net_arch=[32], **DEEP_SETTINGS)


def of_sb3(name: str, timeouts: bool, env: Any, seed: int) -> Any:
    import sb3_contrib
    import stable_baselines3
    import torch

    torch.set_num_threads(1)
    agent = {"DQN": stable_baselines3.DQN, "QRDQN": sb3_contrib.QRDQN}[name]
    return agent(
        "MlpPolicy",
        env,
        seed=seed,
        device="cpu",
        policy_kwargs={"net_arch": [32]},
        replay_buffer_kwargs={"handle_timeout_termination": timeouts},
        **DEEP_SETTINGS,
    )


def verdicts(
    pool: ProcessPoolExecutor, make: Make, count: int, steps: tuple[int, ...], gamma: float | None
) -> tuple[list[tuple[str, ...]], str]:
    """Return so many verdicts, and how long they took."""
    begin = time.perf_counter()
    calls = [pool.submit(verdict, make, 3 * i, steps, gamma) for i in range(count)]
    found = [call.result() for call in calls]
    return found, f"{time.perf_counter() - begin:.0f} s"


def add(
    table: Table, name: str, found: list[tuple[str, ...]], expected: str, aim: str, took: str
) -> None:
    """Add a row, and print it with the verdicts that are not the expected one."""
    alone = sum(names == (expected,) for names in found)
    of_two = sum(expected in names and len(names) == 2 for names in found)
    result = f"{alone + of_two} of {len(found)}" + (f" ({of_two} of two)" if of_two else "")
    others = sorted({" or ".join(names) for names in found if expected not in names})
    table.append((name, result, aim))
    print(f"\n{name}: {result}, {took}", *(f"    also: {other}" for other in others), sep="\n")


@pytest.mark.parametrize("mistake", MISTAKES)
def test_table(mistake: str, pool: ProcessPoolExecutor, table: Table) -> None:
    found, took = verdicts(pool, partial(planted_table, mistake), TABLES, STEPS, 0.9)
    add(table, f"table: {mistake or 'correct'}", found, mistake or "correct", ">= 99 %", took)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_dqn(mistake: str, pool: ProcessPoolExecutor, table: Table) -> None:
    pytest.importorskip("torch", reason="needs torch")
    found, took = verdicts(pool, partial(planted_dqn, mistake), DQNS, (8_000,), 0.9)
    add(table, f"DQN: {mistake or 'correct'}", found, mistake or "correct", ">= 95 %", took)


@pytest.mark.parametrize("mistake", KERAS_MISTAKES)
def test_planted_keras(mistake: str, pool: ProcessPoolExecutor, table: Table) -> None:
    pytest.importorskip("keras", reason="needs the keras extra")
    found, took = verdicts(pool, partial(planted_keras, mistake), DQNS, (8_000,), 0.9)
    add(table, f"KerasDQN: {mistake or 'correct'}", found, mistake or "correct", ">= 95 %", took)


@pytest.mark.parametrize(
    "name", ["QLearning", "DoubleQLearning", "Sarsa", "ExpectedSarsa", "PosteriorSampling"]
)
def test_correct_table(name: str, pool: ProcessPoolExecutor, table: Table) -> None:
    found, took = verdicts(pool, partial(ours, name), TABLES, STEPS, 0.9)
    add(table, f"{name}: correct", found, "correct", "all", took)


@pytest.mark.parametrize(
    ("name", "make", "needs"),
    [
        ("KerasDQN", keras_dqn, "keras"),
        ("stable-baselines3's DQN", partial(of_sb3, "DQN", True), "stable_baselines3"),
        ("sb3-contrib's QRDQN", partial(of_sb3, "QRDQN", True), "sb3_contrib"),
    ],
)
def test_correct_deep(
    name: str, make: Make, needs: str, pool: ProcessPoolExecutor, table: Table
) -> None:
    if find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed")
    found, took = verdicts(pool, make, DEEP, STEPS, 0.95)
    add(table, f"{name}: correct", found, "correct", "all", took)


def test_known_timeouts(pool: ProcessPoolExecutor, table: Table) -> None:
    pytest.importorskip("sb3_contrib", reason="needs sb3-contrib")
    found, took = verdicts(pool, partial(of_sb3, "DQN", False), DEEP, STEPS[1:], 0.95)
    name = "stable-baselines3's DQN without timeouts: truncation as termination"
    add(table, name, found, "truncation as termination", "all", took)


def test_known_tutorial(pool: ProcessPoolExecutor, table: Table) -> None:
    found, took = verdicts(pool, tutorial, TABLES, STEPS, 0.9)
    both = "termination ignored and reward scaled"
    add(table, f"the tutorial's Q-learning: {both}", found, both, ">= 99 %", took)
