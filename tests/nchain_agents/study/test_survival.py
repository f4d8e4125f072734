"""Studies that are killed, run on a cluster, or are very long."""

import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import NCHAIN, begin, cluster, end, eventually, files_of, kept, marked

pytestmark = pytest.mark.slow


def progressed(study: subprocess.Popen[bytes], out: Path, before: int) -> bool:
    return len(kept(out)) > before or study.poll() is not None


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_a_study_that_is_killed_again_and_again_loses_no_finished_run(tmp_path: Path) -> None:
    command = [*NCHAIN, "compare", "--agents", "q-learning,sarsa", "--seeds", "300"]
    command += ["--steps", "3000", "--jobs", "2", "--out"]
    rng = np.random.default_rng(0)
    mark = f"NCHAIN_MARK={tmp_path.name}-{os.getpid()}"
    env = {**os.environ, "NCHAIN_MARK": mark.split("=")[1]}
    out = tmp_path / "killed"
    before: dict[tuple[Any, ...], str] = {}
    kills = interrupted = 0
    while kills < 20:
        study = begin(*command, str(out), env=env)
        # some time after it began, or after it kept its next run
        if rng.random() < 0.7:
            eventually(partial(progressed, study, out, len(before)))
        time.sleep(rng.uniform(0, 0.5))
        interrupted += study.poll() is None
        study.send_signal(signal.SIGKILL)
        study.wait()
        kills += 1
        now = kept(out)
        assert {key: now[key] for key in before} == before
        before = now
        # nobody works on: what is left would disturb the next
        assert eventually(lambda: not marked(mark)), "processes are left over"
    assert interrupted >= 10
    subprocess.run([*command, str(out)], check=True, capture_output=True)
    after = kept(out)
    assert {key: after[key] for key in before} == before
    assert len(after) == 600
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    assert files_of(out) == files_of(tmp_path / "whole")


def test_a_cluster_that_loses_a_worker_gives_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="needs the distributed extra")
    command = [*NCHAIN, "compare", "--agents", "q-learning,posterior-sampling", "--seeds", "20"]
    command += ["--steps", "20000"]
    out = tmp_path / "cluster"
    with cluster(tmp_path, 2) as dask:
        study = begin(*command, "--scheduler", dask.address, "--out", str(out))
        assert eventually(lambda: len(kept(out)) >= 3)
        before = kept(out)
        end(dask.workers[0])
        assert len(before) < 40, "it was over before the worker was killed"
        assert study.wait(timeout=600) == 0
    after = kept(out)
    assert len(after) == 40
    assert {key: after[key] for key in before} == before
    alone = [*command, "--jobs", "1", "--out", str(tmp_path / "alone")]
    subprocess.run(alone, check=True, capture_output=True)
    assert files_of(out) == files_of(tmp_path / "alone")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_a_thousand_short_runs_stay_small(tmp_path: Path) -> None:
    command = [*NCHAIN, "compare", "--agents", "q-learning", "--seeds", "1000", "--steps", "100"]
    mark = f"{tmp_path.name}-{os.getpid()}"
    out = tmp_path / "out"
    study = begin(
        *command, "--jobs", "2", "--out", str(out), env={**os.environ, "NCHAIN_MARK": mark}
    )
    peak = 0
    while study.poll() is None:
        peak = max(peak, sum(map(memory, marked(f"NCHAIN_MARK={mark}"))))
        time.sleep(0.1)
    assert study.returncode == 0
    assert len(kept(out)) == 1000
    assert 2**27 < peak < 2**30  # all its processes together, in bytes


def memory(process: int) -> int:
    """Return the bytes of memory that a process has to itself, and its share of what it shares."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
