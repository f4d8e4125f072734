"""The environments beside EnvPool, Gymnasium's SyncVectorEnv and FrozenLake, and NumPy.

A ratio is the median of 15 rounds in which both are measured in turn; in brackets the medians of
our time and of theirs, for one call of `step`. By itself:

    pytest tests/benchmarks/test_env_speed.py -m slow -s

Nothing here fails for being slow.

Aims that are not reached, and what limits them. Besides the generator, a step makes three look-ups
(next state, reward and probability) and about a dozen operations on whole arrays, for 1,024
environments mostly the cost of the calls. One look-up for all three would be faster, but would
return arrays with gaps, which every later operation of the user reads more slowly.
"""

import gc
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from nchain_env import NChainEnv, NChainVectorEnv, TabularEnv, TabularMDP, TabularVectorEnv

pytest.importorskip("pytest_benchmark", reason="needs the extra nchain-env[bench]")
pytestmark = pytest.mark.slow

ROUNDS = 15
SIZES = (1024, 16384)
Call = tuple[Callable[[Any], Any], Any]  # a function and what it is called with


def seconds_per_call(call: Call, at_least: float = 0.02) -> Callable[[], float]:
    """Return a measurement that repeats `call` so often that it takes `at_least` seconds."""
    function, argument = call

    def repeat(number: int) -> float:
        begin = time.perf_counter()
        for _ in range(number):
            function(argument)
        return time.perf_counter() - begin

    number = 1
    while repeat(number) < at_least:
        number *= 2
    return lambda: repeat(number) / number


def side_by_side(benchmark: Any, ours: Call, theirs: Call) -> tuple[float, float, float]:
    """Measure both in turn; return the medians of our time, of theirs, and of theirs / ours."""
    measure_ours, measure_theirs = seconds_per_call(ours), seconds_per_call(theirs)
    pairs = [(measure_ours(), measure_theirs()) for _ in range(ROUNDS)]
    benchmark.pedantic(ours[0], args=ours[1:], rounds=50, iterations=10, warmup_rounds=5)
    ratio = statistics.median(other / own for own, other in pairs)
    benchmark.extra_info["ratio"] = ratio
    return (
        statistics.median(own for own, _ in pairs),
        statistics.median(other for _, other in pairs),
        ratio,
    )


def steps_of(env: Any, num_envs: int, dtype: str = "int64") -> Call:
    """Steps with actions drawn beforehand, the episodes of a time limit of 1,000 included."""
    actions = np.random.default_rng(0).integers(0, 2, num_envs).astype(dtype)
    return env.step, actions


def ready(num_envs: int) -> NChainVectorEnv:
    env = NChainVectorEnv(num_envs)
    env.reset(seed=0)
    return env


@pytest.mark.parametrize("num_envs", SIZES)
def test_vector_steps_beside_envpool(benchmark: Any, table: Any, num_envs: int) -> None:
    envpool = pytest.importorskip("envpool", reason="needs the extra nchain-env[bench]")
    peer = envpool.make("NChain-v0", env_type="gymnasium", num_envs=num_envs, num_threads=1)
    peer.reset()
    ours, theirs, ratio = side_by_side(
        benchmark, steps_of(ready(num_envs), num_envs), steps_of(peer, num_envs, "int32")
    )
    table.append(
        (
            f"vector step, {num_envs} envs, beside EnvPool",
            f"{ratio:.0f}x ({ours * 1e6:.1f} us, {theirs * 1e6:.0f} us)",
            f">= {40 if num_envs < 16384 else 100}x",
        )
    )


@pytest.mark.parametrize("num_envs", [64, 1024])
def test_vector_steps_beside_sync_vector_env(benchmark: Any, table: Any, num_envs: int) -> None:
    peer = gym.make_vec("NChain-v0", num_envs=num_envs, vectorization_mode="sync")
    peer.reset(seed=0)
    ours, theirs, ratio = side_by_side(
        benchmark, steps_of(ready(num_envs), num_envs), steps_of(peer, num_envs)
    )
    table.append(
        (
            f"vector step, {num_envs} envs, beside SyncVectorEnv",
            f"{ratio:.0f}x ({ours * 1e6:.1f} us, {theirs * 1e6:.0f} us)",
            "",
        )
    )


@pytest.mark.parametrize("num_envs", [64, 1024])
@pytest.mark.parametrize("name", ["FrozenLake-v1", "CliffWalking-v1", "Taxi-v4"])
def test_toy_text_beside_sync_vector_env(
    benchmark: Any, table: Any, name: str, num_envs: int
) -> None:
    env = TabularVectorEnv.from_env(name, num_envs)
    peer = gym.make_vec(name, num_envs=num_envs, vectorization_mode="sync")
    env.reset(seed=0)
    peer.reset(seed=0)
    ours, theirs, ratio = side_by_side(benchmark, steps_of(env, num_envs), steps_of(peer, num_envs))
    table.append(
        (
            f"vector step of {name}, {num_envs} envs, beside SyncVectorEnv",
            f"{ratio:.0f}x ({ours * 1e6:.1f} us, {theirs * 1e6:.0f} us)",
            ">= 100x" if num_envs == 1024 else "",
        )
    )


@pytest.mark.parametrize("num_envs", SIZES)
def test_vector_steps_beside_filling_an_array(benchmark: Any, table: Any, num_envs: int) -> None:
    env = ready(num_envs)
    generator, numbers = np.random.default_rng(0), np.empty(num_envs)
    ours, theirs, ratio = side_by_side(
        benchmark, steps_of(env, num_envs), (lambda out: generator.random(out=out), numbers)
    )
    table.append(
        (
            f"vector step, {num_envs} envs, beside random(out=...)",
            f"{ratio:.0%} ({ours * 1e6:.1f} us, {theirs * 1e6:.1f} us)",
            ">= 55%" if num_envs == 16384 else "<= 8 us",
        )
    )


def test_scalar_steps_beside_frozen_lake(benchmark: Any, table: Any) -> None:
    env, peer = NChainEnv(), gym.make("FrozenLake-v1").unwrapped
    env.reset(seed=0)
    peer.reset(seed=0)
    ours, theirs, ratio = side_by_side(benchmark, (env.step, 0), (peer.step, 0))
    table.append(
        (
            "scalar step, unwrapped, beside FrozenLake-v1",
            f"{ratio:.1f}x ({ours * 1e9:.0f} ns, {theirs * 1e9:.0f} ns)",
            ">= 8.5x",
        )
    )


def test_scalar_steps_of_a_table_of_three_outcomes(benchmark: Any, table: Any) -> None:
    lake, chain = TabularEnv(TabularMDP.from_env(gym.make("FrozenLake-v1"))), NChainEnv()
    lake.reset(seed=0)
    chain.reset(seed=0)
    ours, theirs, ratio = side_by_side(benchmark, (lake.step, 0), (chain.step, 0))
    table.append(
        (
            "scalar step of FrozenLake's table, in steps of the chain",
            f"{1 / ratio:.2f} ({ours * 1e9:.0f} ns, {theirs * 1e9:.0f} ns)",
            "<= 1.5",
        )
    )


@pytest.mark.parametrize("num_envs", SIZES)
def test_memory_of_an_environment(table: Any, num_envs: int) -> None:
    ready(1).step([0])  # what is imported and kept by all
    gc.collect()
    tracemalloc.start()
    env = ready(num_envs)
    actions = np.zeros(num_envs, np.int64)
    env.step(actions)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0] - actions.nbytes
    tracemalloc.reset_peak()
    results = env.step(actions)
    peak = tracemalloc.get_traced_memory()[1] - actions.nbytes
    tracemalloc.stop()
    returned = sum(array.nbytes for array in (*results[:4], *results[4].values()))
    table.append(
        (
            f"memory of an environment, {num_envs} envs",
            f"{kept / num_envs:.1f} bytes kept, {(peak - returned) / num_envs:.1f} at most",
            "<= 64 bytes",
        )
    )


def test_import_time(table: Any) -> None:
    program = (
        "import time, gymnasium; begin = time.perf_counter(); import nchain_env; "
        "print(time.perf_counter() - begin)"
    )
    command = [sys.executable, "-c", program]
    runs = [
        float(subprocess.run(command, check=True, capture_output=True).stdout)
        for _ in range(ROUNDS)
    ]
    table.append(
        (
            "import nchain_env, after gymnasium",
            f"{statistics.median(runs) * 1e3:.1f} ms",
            "<= 10 ms",
        )
    )
