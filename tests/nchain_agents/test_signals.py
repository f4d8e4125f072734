"""Signals end the command line with one line, whatever it does at that moment."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for signals in /proc")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NCHAIN = (sys.executable, "-m", "nchain_agents")
COMPARE = (*NCHAIN, "compare", "--agents", "q-learning", "--seeds", "2", "--steps", "200")


def catches(process: int, number: int) -> bool:
    """Whether a process has a handler for a signal: Python itself has none for SIGTERM."""
    status = Path(f"/proc/{process}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def stopped(command: tuple[str, ...], number: int, seconds: float) -> tuple[int, str]:
    """Return the exit code and the last words of a command that a signal ends so much later."""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None and not catches(process.pid, signal.SIGTERM):
            time.sleep(0.001)
        time.sleep(seconds)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_at_the_beginning_is_one_line(number: int, tmp_path: Path) -> None:
    assert stopped((*COMPARE, "--out", str(tmp_path)), number, 0.0) == (
        128 + number,
        "nchain: stopped\n",
    )


@pytest.mark.slow
def test_a_signal_at_any_time_is_one_line(tmp_path: Path) -> None:
    start = time.monotonic()
    subprocess.run((*COMPARE, "--out", str(tmp_path / "whole")), check=True, capture_output=True)
    whole = time.monotonic() - start
    rng = np.random.default_rng(0)
    ended = 0
    for i in range(21):
        number = SIGNALS[i % 3]
        out = str(tmp_path / str(i))
        code, said = stopped((*COMPARE, "--out", out), number, rng.uniform(0, whole))
        assert "Traceback" not in said
        assert "ignored" not in said
        if code != 128 + number:  # it was over
            assert code in (0, -number)
            continue
        ended += 1
        assert said.endswith("nchain: stopped\n")
        assert said.count("stopped") == 1
    assert ended >= 10


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    command = f"trap '' HUP; exec {sys.executable} -m nchain_agents solve --json"
    with subprocess.Popen(
        ["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        while process.poll() is None and not catches(process.pid, signal.SIGTERM):
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGHUP)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"61.37" in said


def test_an_interrupt_that_python_would_forget_still_stops() -> None:
    code = """
import signal, time
from nchain_agents.signals import stopped_by_signals

class Thing:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

with stopped_by_signals():
    Thing()
    time.sleep(60)
    print("it was forgotten")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout, done.stderr) == (128 + 15, "", "nchain: stopped\n")
