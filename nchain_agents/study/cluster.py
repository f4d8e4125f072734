"""Calls on a Dask cluster: each is made in an interpreter that a worker starts."""

from __future__ import annotations

import asyncio
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nchain_agents.extras import needed_for
from nchain_agents.study.answers import Answers, next_answer
from nchain_agents.study.failure import Failure
from nchain_agents.study.isolation import pickled, unpickled
from nchain_agents.study.worker import isolated

T = TypeVar("T")

# In seconds: the time limits for an answer of the scheduler and for closing the client; the time
# between two checks of the cluster; the times until the first and between two lines that say what
# the study waits for.
_ANSWER, _CLOSING, _CHECK, _FIRST_LINE, _NEXT_LINE = 5.0, 3.0, 1.0, 15.0, 30.0
# How often a call is made again whose worker cannot start an interpreter.
_RETRIES = 3


@dataclass(frozen=True)
class Settings:
    """The parameters of `Pool` that a cluster needs."""

    scheduler: str
    jobs: int
    time_limit: float | None
    timeout: float
    environment: Mapping[str, str]


def map_unordered(
    calls: Sequence[Callable[[], T]], settings: Settings
) -> Generator[tuple[int, T | Failure], None, None]:
    """Make calls on a cluster, as `Pool.map_unordered` does."""
    with needed_for("scheduler", "distributed"):
        import distributed  # noqa: F401
    return _results(calls, settings)


def _results(
    calls: Sequence[Callable[[], T]], settings: Settings
) -> Generator[tuple[int, T | Failure], None, None]:
    answers: Answers = queue.SimpleQueue()
    loop = asyncio.new_event_loop()
    # The client leaves errors of its own tasks behind when it closes.
    loop.set_exception_handler(lambda loop, context: None)
    # In a thread of its own: a notebook's event loop is busy in this one.
    thread = threading.Thread(target=_work, args=(loop, calls, settings, answers), daemon=True)
    thread.start()
    try:
        for _ in calls:
            yield next_answer(answers)
    finally:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(_cancel_all)
        thread.join(4 * _ANSWER)


def _work(
    loop: asyncio.AbstractEventLoop,
    calls: Sequence[Callable[[], Any]],
    settings: Settings,
    answers: Answers,
) -> None:
    # These print tracebacks of lost connections, which `_Patience` reports, and of tasks that the
    # client had not finished when it was closed.
    names = ("distributed", "distributed.client", "tornado.application")
    logs = [logging.getLogger(name) for name in names]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL + 1)
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(_Study(calls, settings, answers).make())
    except asyncio.CancelledError:
        pass
    except BaseException as error:
        answers.put(error)
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


def _cancel_all() -> None:
    for task in asyncio.all_tasks():
        task.cancel()


class _LostError(Exception):
    """The connection to the scheduler is lost, and with it the calls that were being made."""


@dataclass
class _Patience:
    """Reports what the study waits for, and gives up after a time limit."""

    limit: float
    _since: float | None = field(default=None, init=False)
    _next_line: float = field(default=0.0, init=False)

    def wait(self, what: str) -> None:
        """Note that the scheduler or its workers are missing.

        Raises:
            TimeoutError: They have been missing for `limit` seconds.
        """
        now = time.monotonic()
        if self._since is None:
            self._since, self._next_line = now, now + _FIRST_LINE
        waited = now - self._since
        if waited >= self.limit:
            raise TimeoutError(f"gave up {what} after {waited:.0f} s, the cluster_timeout")
        if now >= self._next_line:
            self._next_line += _NEXT_LINE
            said = f"{what}, for {waited:.0f} s; this ends after {self.limit:g} s"
            print(said, file=sys.stderr, flush=True)

    def over(self) -> None:
        """Note that nothing is missing."""
        self._since = None


class _Study:
    """Makes calls on a cluster; those that it loses are made again."""

    def __init__(
        self, calls: Sequence[Callable[[], Any]], settings: Settings, answers: Answers
    ) -> None:
        self._left = dict(enumerate(calls))
        self._settings, self._answers = settings, answers
        self._patience = _Patience(settings.timeout)

    async def make(self) -> None:
        """Make all calls; a lost connection to the scheduler is replaced."""
        while self._left:
            client = await self._connected()
            try:
                await self._make_with(client)
            except _LostError:
                continue
            finally:
                await _close(client)

    async def _connected(self) -> Any:
        from distributed import Client

        while True:
            client = Client(
                self._settings.scheduler,
                asynchronous=True,
                set_as_default=False,
                timeout=_ANSWER,
            )
            # the client's own timeout does not cover a port that accepts connections in silence
            begun = asyncio.ensure_future(asyncio.wait_for(client, _ANSWER))
            try:
                while not begun.done():
                    await asyncio.wait([begun], timeout=_CHECK)
                    self._missing("a scheduler that answers at")
                with suppress(OSError):
                    return begun.result()
            finally:
                begun.cancel()
                if client.status != "running":
                    await _close(client)
            await asyncio.sleep(_CHECK)

    async def _make_with(self, client: Any) -> None:
        """Make calls until none is left.

        Raises:
            _LostError: The connection is lost.
        """
        waiting = iter(list(self._left.items()))
        finished: asyncio.Queue[tuple[int, Any]] = asyncio.Queue()
        tasks = set()

        def submit() -> None:
            for i, call in waiting:
                task = asyncio.create_task(self._one(client, i, call, finished))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                return

        for _ in range(self._settings.jobs):
            submit()
        try:
            while self._left:
                try:
                    i, result = await asyncio.wait_for(finished.get(), _CHECK)
                except TimeoutError:
                    await self._check_workers(client)
                    continue
                if isinstance(result, _LostError):
                    raise result
                self._patience.over()
                del self._left[i]
                self._answers.put((i, result))
                submit()
        finally:
            for task in tuple(tasks):
                task.cancel()

    async def _one(
        self,
        client: Any,
        i: int,
        call: Callable[[], Any],
        finished: asyncio.Queue[tuple[int, Any]],
    ) -> None:
        from distributed.comm import CommClosedError

        sent = pickled(call)
        if isinstance(sent, Failure):
            finished.put_nowait((i, sent))
            return
        given = sent, self._settings.time_limit, self._settings.environment
        # what the client raises when it has lost its scheduler
        lost = asyncio.CancelledError, CancelledError, CommClosedError
        try:
            answer = await client.submit(isolated, *given, pure=False, retries=_RETRIES)
        except lost:
            finished.put_nowait((i, _LostError()))
        except Exception as error:
            finished.put_nowait((i, Failure.of(error, "its worker failed: ")))
        else:
            finished.put_nowait((i, unpickled(answer)))

    async def _check_workers(self, client: Any) -> None:
        """Note whether the cluster has workers."""
        try:
            workers = await asyncio.wait_for(client.scheduler.ncores(), _ANSWER)
        except OSError:  # or TimeoutError, which is one
            self._missing("an answer of the scheduler at")
        else:
            if workers:
                self._patience.over()
            else:
                self._missing("workers of the scheduler at")

    def _missing(self, what: str) -> None:
        self._patience.wait(f"waiting for {what} {self._settings.scheduler}")


async def _close(client: Any) -> None:
    try:
        await asyncio.wait_for(client.close(), _CLOSING)
    except (OSError, asyncio.CancelledError):
        client.status = "closed"  # else it tries again when it is deleted
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
