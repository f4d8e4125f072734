"""Studies on a Dask cluster whose parts are missing, silent or killed."""

import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from processes import NCHAIN, begin, cluster, end, eventually, files_of, kept, marked

pytest.importorskip("distributed", reason="needs the distributed extra")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc"),
]

SHORT = (*NCHAIN, "compare", "--agents", "q-learning", "--seeds", "2", "--steps", "200")
LONG = (*NCHAIN, "compare", "--agents", "q-learning", "--seeds", "40", "--steps", "20000")


class Study:
    """A study that is made in a process of its own; `mark` finds what it began."""

    def __init__(self, command: tuple[str, ...], address: str, out: Path, timeout: float) -> None:
        self.mark = f"{out.parent.name}-{out.name}-{os.getpid()}"
        self.process = begin(
            *command,
            *("--scheduler", address, "--cluster-timeout", str(timeout), "--out", str(out)),
            stderr=subprocess.PIPE,
            env={**os.environ, "NCHAIN_MARK": self.mark},
        )

    def end(self, seconds: float = 120) -> tuple[int, str]:
        """Return the exit code and what was said, without the progress bar."""
        _, said = self.process.communicate(timeout=seconds)
        assert eventually(lambda: not marked(self.mark)), "processes are left over"
        return self.process.returncode, said.decode()


def lines(said: str) -> list[str]:
    return [line for line in said.splitlines() if "waiting for" in line]


def without_a_word_but(said: str, what: str, limit: int) -> None:
    """Assert that the last line says what was waited for, and one after 15 seconds."""
    *first, last = lines(said)
    waits = rf"waiting for {what} tcp://\S+, for 1\d s; this ends after {limit} s"
    assert [bool(re.fullmatch(waits, line)) for line in first] == [True] * (limit > 15)
    given_up = rf"nchain: gave up waiting for {what} tcp://\S+ after \d+ s, the cluster_timeout"
    assert re.fullmatch(given_up, last)
    assert "Traceback" not in said
    assert "Error" not in said


def test_a_port_that_is_silent_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        code, said = Study(SHORT, address, tmp_path / "out", 4).end()
    assert code == 2
    without_a_word_but(said, "a scheduler that answers at", 4)


def test_a_study_waits_for_workers_and_is_made_when_there_are_some(tmp_path: Path) -> None:
    with cluster(tmp_path, 0) as dask:
        study = Study(SHORT, dask.address, tmp_path / "out", 300)
        assert study.process.stderr is not None
        while b"waiting for workers" not in study.process.stderr.readline():
            assert study.process.poll() is None
        dask.add_worker()
        code, said = study.end()
    assert code == 0
    assert "Traceback" not in said
    assert len(kept(tmp_path / "out")) == 2


def test_a_study_whose_workers_and_scheduler_end_keeps_what_is_finished(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with cluster(tmp_path, 2) as dask:
        study = Study(LONG, dask.address, out, 17)
        assert eventually(lambda: len(kept(out)) >= 3)
        for worker in dask.workers:
            end(worker)
        code, said = study.end()
        assert code == 2
        without_a_word_but(said, "workers of the scheduler at", 17)
        some = kept(out)
        assert 3 <= len(some) < 40
        dask.add_worker()
        study = Study(LONG, dask.address, out, 6)
        assert eventually(lambda: len(kept(out)) >= len(some) + 3)
        end(dask.scheduler)
        code, said = study.end()
        assert code == 2
        without_a_word_but(said, "a scheduler that answers at", 6)
        # the workers end without their scheduler, and what they had begun ends with them
        assert eventually(lambda: not marked(dask.mark))
    more = kept(out)
    assert len(some) + 3 <= len(more) < 40
    assert {key: more[key] for key in some} == some
    for folder in (out, tmp_path / "alone"):
        subprocess.run((*LONG, "--out", str(folder)), check=True, capture_output=True)
    assert {key: kept(out)[key] for key in more} == more
    assert files_of(out) == files_of(tmp_path / "alone")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_study_that_is_stopped_leaves_the_cluster_idle(number: int, tmp_path: Path) -> None:
    hanging = tmp_path / "hanging.py"
    runs = tmp_path / "runs"
    runs.mkdir()
    hanging.write_text(
        "import os, pathlib, time\n"
        "class Hanging:\n"
        "    def __init__(self, env): pass\n"
        "    def learn(self, total_timesteps):\n"
        f"        pathlib.Path({str(runs)!r}, str(os.getpid())).touch()\n"
        "        time.sleep(1000)\n"
        "    def predict(self, observation, deterministic=True): return observation, None\n"
    )
    command = (*NCHAIN, "compare", "--agents", "hanging:Hanging", "--seeds", "2", "--steps", "9")
    with cluster(tmp_path, 1) as dask:
        options: Any = {"cwd": tmp_path, "stderr": subprocess.PIPE}
        study = begin(
            *command, "--scheduler", dask.address, "--out", str(tmp_path / "out"), **options
        )
        assert eventually(lambda: any(runs.iterdir()))
        study.send_signal(number)
        _, said = study.communicate(timeout=60)
        assert study.returncode == (-number if number == signal.SIGKILL else 128 + number)
        assert b"Traceback" not in said
        begun = {int(run.name) for run in runs.iterdir()}
        assert eventually(lambda: begun.isdisjoint(marked(dask.mark)))
