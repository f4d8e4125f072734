"""Processes for tests that begin, kill and count them."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

NCHAIN = (sys.executable, "-m", "nchain_agents")


def begin(*command: str, **options: Any) -> subprocess.Popen[bytes]:
    """Begin a command in a process group of its own."""
    return subprocess.Popen(
        command,
        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options},
        start_new_session=True,
    )


def eventually(holds: Callable[[], bool], seconds: float = 120) -> bool:
    """Return whether something holds, now or within some time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def marked(mark: str) -> list[int]:
    """Return the processes that have a mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it has ended, or is another user's
            continue
    return found


def kept(out: Path) -> dict[tuple[Any, ...], str]:
    """Return the finished runs in a folder."""
    if not (out / "runs.sqlite").exists():
        return {}
    with closing(sqlite3.connect(out / "runs.sqlite", timeout=60)) as store:
        try:
            rows = store.execute("select env, agent, seed, text from runs").fetchall()
        except sqlite3.OperationalError:  # killed before there was a table
            return {}
    return {tuple(row[:3]): row[3] for row in rows}


def files_of(out: Path) -> list[bytes]:
    """Return the files of a study that equal studies have in common."""
    return [(out / name).read_bytes() for name in ("results.csv", "summary.json")]


def end(part: subprocess.Popen[bytes]) -> None:
    """Kill a process that `begin` began, and its group."""
    os.killpg(part.pid, signal.SIGKILL)
    part.wait()


def address_in(file: Path) -> str:
    """Return the scheduler's address, "" while its file is not written to the end."""
    try:
        return str(json.loads(file.read_text())["address"])
    except (FileNotFoundError, json.JSONDecodeError):
        return ""


class Cluster:
    """A Dask scheduler and workers, each a process of its own.

    Args:
        folder: Where they work.
        workers: How many.
    """

    def __init__(self, folder: Path, workers: int) -> None:
        file = folder / "scheduler.json"
        self.mark = f"{folder.name}-cluster-{os.getpid()}"
        self.options: dict[str, Any] = {
            "cwd": folder,
            "env": {**os.environ, "NCHAIN_MARK": self.mark},
        }
        options = ("--port", "0", "--no-dashboard", "--scheduler-file", str(file))
        self.scheduler = begin(*self._dask("scheduler"), *options, **self.options)
        self.workers: list[subprocess.Popen[bytes]] = []
        assert eventually(lambda: address_in(file) != "")
        self.address = address_in(file)
        for _ in range(workers):
            self.add_worker()

    def add_worker(self) -> None:
        """Begin one more worker."""
        options = (self.address, "--nthreads", "1", "--no-dashboard")
        self.workers.append(begin(*self._dask("worker"), *options, **self.options))

    def close(self) -> None:
        """Kill what is left."""
        for part in (self.scheduler, *self.workers):
            if part.poll() is None:
                end(part)

    @staticmethod
    def _dask(command: str) -> tuple[str, ...]:
        return sys.executable, "-m", "dask", command


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    """Yield a Dask cluster, and end it."""
    made = Cluster(folder, workers)
    try:
        yield made
    finally:
        made.close()
