"""Progress where nothing can be redrawn, and where it is shown unasked."""

import sys
from itertools import count

import pytest

pytest.importorskip("rich", reason="needs the agents extra")

from nchain_agents.progress import progress, wanted


def test_in_a_file_progress_is_a_line_each_half_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = count(0, 10)
    monkeypatch.setattr("nchain_agents.line_progress.time.monotonic", lambda: float(next(seconds)))
    with progress() as bar:
        task = bar.add_task("training", total=7)
        for _ in range(7):
            bar.advance(task)
    lines = [line.split() for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert all("training" in line for line in lines)
    # after 30 and 60 of the 70 seconds, and at the end
    assert ["43%" in lines[0], "86%" in lines[1], "100%" in lines[2], len(lines)] == [True] * 3 + [
        3
    ]


@pytest.mark.parametrize(("terminal", "shown"), [(True, True), (False, False)])
def test_progress_is_shown_unasked_in_a_terminal_only(
    terminal: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert wanted(None) is shown
    assert wanted(True) is True
    assert wanted(False) is False
