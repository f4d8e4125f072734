import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, Protocol

import cloudpickle
import pytest
from hypothesis import HealthCheck, settings

# Several processes of pytest-xdist share the cores: torch's threads would wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples on every run and every machine, and no failure because a machine is slow.
settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    max_examples=100,
    # The mutation tester runs the tests of a class several times in one process.
    suppress_health_check=[HealthCheck.differing_executors],
)
settings.load_profile("repeatable")


class InProcesses(Protocol):
    def __call__(self, function: Callable[..., Any], arguments: Iterable[Any]) -> list[Any]: ...


@pytest.fixture(scope="session")
def in_processes() -> InProcesses:
    """Return a map that works in two fresh processes, for tests that train for long."""

    def run(function: Callable[..., Any], arguments: Iterable[Any]) -> list[Any]:
        # by value, because a process started anew cannot import the tests
        calls = [cloudpickle.dumps(partial(function, argument)) for argument in arguments]
        code = "__import__('cloudpickle').loads(call)()"
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            results = [pool.submit(eval, code, {"call": call}) for call in calls]
            return [result.result() for result in results]

    return run
