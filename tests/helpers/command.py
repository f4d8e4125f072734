"""The `nchain` command, run in the process of the test."""

import sys

import pytest

from nchain_agents import cli


def nchain(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["nchain", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.run()
    assert isinstance(stop.value.code, int)
    return stop.value.code
