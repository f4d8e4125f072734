"""Ctrl-C while an agent learns: in processes of their own, which it may not crash."""

import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("numba", reason="needs the agents extra")


def run(code: str) -> Any:
    """Run a program in a process of its own, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_an_interrupt_in_compiled_code_does_not_crash_the_interpreter() -> None:
    kept, after = run("""
import _thread, threading
from nchain_agents import QLearning

agent = QLearning("NChain-v0", seed=0, compiled=True).learn(1000)
threading.Timer(0.5, _thread.interrupt_main).start()
try:
    agent.learn(300_000_000)
except KeyboardInterrupt:
    print(agent.num_timesteps, agent.learn(1000).num_timesteps)
""")
    assert 1000 < int(kept) < 300_000_000
    assert int(after) == int(kept) + 1000
