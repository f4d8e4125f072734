"""The one place where users' code is run: calls in processes of their own, here or on a cluster."""

from __future__ import annotations

import os
import queue
import re
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nchain_agents.study.answers import Answers, next_answer
from nchain_agents.study.failure import Failure
from nchain_agents.study.isolation import Interpreter, pickled, unpickled
from nchain_env.checks import instance, integer, real

T = TypeVar("T")

# The calls that are left, with their indices.
_Calls = queue.SimpleQueue[tuple[int, Callable[[], Any]]]


@dataclass(frozen=True)
class Pool:
    """Makes calls, each in an interpreter that makes no other call at the same time.

    Args:
        jobs: How many at a time; 0: as many as there are cores, here or in the cluster.
        time_limit: A call that takes longer, in seconds, fails; None: none does.
        scheduler: The address of a Dask scheduler, whose workers make the calls; None: this
            machine makes them.
        cluster_timeout: How many seconds to wait for a scheduler that does not answer, or for
            one that has no workers.
        environment: Environment variables for the interpreters, in addition to those of the
            process that begins them.

    Raises:
        ValueError: A parameter is not allowed.
    """

    jobs: int = 0
    time_limit: float | None = None
    scheduler: str | None = None
    cluster_timeout: float = 600.0
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        integer("jobs", self.jobs, 0)
        if self.time_limit is not None:
            real("time_limit", self.time_limit, 0, open_low=True)
        address = instance("scheduler", self.scheduler, (str, type(None)), "an address or None")
        if address is not None and not re.fullmatch(r"\w+://.+:\d+", address):
            raise ValueError(
                f"scheduler must be an address like tcp://HOST:PORT, got {self.scheduler!r}"
            )
        real("cluster_timeout", self.cluster_timeout, 0)

    def map_unordered(
        self, calls: Sequence[Callable[[], T]]
    ) -> Generator[tuple[int, T | Failure], None, None]:
        """Make calls; yield the index and the result of each as it finishes.

        Closing the iterator (`contextlib.closing`) ends all processes.

        Args:
            calls: Functions without arguments. cloudpickle sends them, so they may be defined in
                this program only.

        Yields:
            The index in `calls`, and the result, or a `Failure` where the call has none.

        Raises:
            ModuleNotFoundError: There is a scheduler, and distributed is not installed.
            TimeoutError: The cluster could not be used for `cluster_timeout` seconds.
        """
        if self.scheduler is None or not calls:
            return self._here(calls)
        from nchain_agents.study import cluster

        settings = cluster.Settings(
            self.scheduler,
            self.jobs or len(calls),
            self.time_limit,
            self.cluster_timeout,
            dict(self.environment),
        )
        return cluster.map_unordered(calls, settings)

    def results(
        self, calls: Sequence[Callable[[], T]], advance: Callable[[int], None] = lambda done: None
    ) -> list[T]:
        """Make calls; return their results, in their order.

        Args:
            calls: See `map_unordered`.
            advance: Called with 1 as each finishes.

        Raises:
            RuntimeError: A call has no result; the message is that of its `Failure`.
            ModuleNotFoundError: As `map_unordered`.
            TimeoutError: As `map_unordered`.
        """
        found: dict[int, T] = {}
        with closing(self.map_unordered(calls)) as finished:
            for i, result in finished:
                if isinstance(result, Failure):
                    raise RuntimeError(f"{result.reason}\n{result.traceback or ''}")
                found[i] = result
                advance(1)
        return [found[i] for i in range(len(calls))]

    def _here(
        self, calls: Sequence[Callable[[], T]]
    ) -> Generator[tuple[int, T | Failure], None, None]:
        left: _Calls = queue.SimpleQueue()
        for i, call in enumerate(calls):
            left.put((i, call))
        answers: Answers = queue.SimpleQueue()
        jobs = min(self.jobs or os.cpu_count() or 1, len(calls))
        workers = [_Worker(left, answers, self.time_limit, self.environment) for _ in range(jobs)]
        try:
            for worker in workers:
                worker.start()
            for _ in calls:
                yield next_answer(answers)
        finally:
            with suppress(queue.Empty):
                while True:
                    left.get_nowait()
            for worker in workers:
                worker.stop()


class _Worker(threading.Thread):
    """A thread that makes calls in its own interpreter until none is left."""

    def __init__(
        self,
        left: _Calls,
        answers: Answers,
        time_limit: float | None,
        environment: Mapping[str, str],
    ) -> None:
        super().__init__(daemon=True)
        self._left, self._answers, self._time_limit = left, answers, time_limit
        self._interpreter = Interpreter(environment)

    def run(self) -> None:
        """Make calls; an error of this thread itself is put among the answers."""
        try:
            while True:
                i, call = self._left.get_nowait()
                sent = pickled(call)
                if isinstance(sent, bytes):
                    sent = self._interpreter.call(sent, self._time_limit)
                self._answers.put((i, unpickled(sent)))
        except queue.Empty:
            pass
        except BaseException as error:
            self._answers.put(error)
        finally:
            self._interpreter.close()

    def stop(self) -> None:
        """Stop the present call, and wait for this thread."""
        self._interpreter.stop()
        if self.is_alive():
            self.join()
