"""`nchain tune` and `nchain compare --tuned`."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from command import nchain

from nchain_agents.presets import problem
from nchain_agents.presets.custom import agents_of

pytest.importorskip("optuna", reason="needs the tune extra")

Capture = pytest.CaptureFixture[str]
SMALL = ("--trials", "2", "--seeds", "1", "--steps", "200", "--jobs", "1")


def test_tune_writes_an_agent_and_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    assert nchain(monkeypatch, "tune", "q-learning", *SMALL) == 0
    shown = capsys.readouterr()
    files = {"q-learning.toml", "q-learning.png", "q-learning.sqlite"}
    assert {file.name for file in (tmp_path / "tuned").iterdir()} == files
    lines = [line.split() for line in shown.out.splitlines()]
    before = problem("nchain").preset("q-learning").parameters
    for name, value in before.items():
        assert [name, str(value)] in [line[:2] for line in lines]
    assert "nchain compare --agents q-learning,tuned/q-learning.toml --steps 200" in shown.err
    (agent,) = agents_of("tuned/q-learning.toml", {})
    # the same command reads what is there, and says the same
    assert nchain(monkeypatch, "tune", "q-learning", *SMALL, "-q", "--json") == 0
    again = capsys.readouterr()
    found = json.loads(again.out)
    assert [trial["number"] for trial in found["trials"]] == [0, 1]
    assert found["trials"][0]["parameters"] == before
    assert found["first_tuning_seed"] == 1_000_000
    assert agent.parameters == before | found["trials"][found["best"]]["parameters"]
    assert not again.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("q-learning", "--objective", "return"), "objective must be one of 'score', 'regret'"),
        (("q-learning", "--out", "winner.txt"), "out must be a file that ends with .toml"),
        (("q-learning", "--space", "none.toml"), "none.toml"),
        (("reward-sum",), "agent reward-sum has no search space; give a TOML file"),
        (("q-learning", "--trials", "0"), "trials must be"),
    ],
)
def test_invalid_arguments_are_refused_in_one_line(
    arguments: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert nchain(monkeypatch, "tune", *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nchain: ")
    assert said in line


def test_a_budget_needs_names(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    for budget, said in (
        ("50", "tuned must have the form"),
        ("trials=2,3", "tuned must give trials one value, got [2, 3]"),
        ("tries=2", "got 'tries'"),
    ):
        assert nchain(monkeypatch, "compare", "--agents", "q-learning", "--tuned", budget) == 2
        assert said in capsys.readouterr().err


@pytest.mark.slow
def test_agents_are_tuned_before_they_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    study = ("--agents", "reward-sum,q-learning", "--seeds", "2", "--steps", "300", "--jobs", "2")
    out, again = tmp_path / "out", tmp_path / "again"
    budget = ("--tuned", "trials=2 seeds=2")
    assert nchain(monkeypatch, "compare", *study, *budget, "--out", str(out)) == 0
    shown = capsys.readouterr()
    assert "not tuned: reward-sum, which has no search space" in shown.err
    assert "tuned with 2 trials of 2 seeds" in " ".join(shown.out.split())
    page = (out / "report.html").read_text()
    assert "tuned with 2 trials of 2 seeds, 1000000 and those after it" in page
    assert json.loads((out / "summary.json").read_text())["tuned"]["trials"] == 2
    # the file of the study has the tuned agents
    assert nchain(monkeypatch, "compare", str(out / "study.toml"), "--out", str(again)) == 0
    for name in ("study.toml", "results.csv", "summary.json", "report.html"):
        assert (out / name).read_bytes() == (again / name).read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_trials_that_had_finished_are_there_after_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nchain_agents", "tune", "q-learning", "--trials", "200"]
    command += ["--seeds", "1", "--steps", "1000", "--jobs", "1", "--quiet", "--json"]
    storage = tmp_path / "tuned" / "q-learning.sqlite"
    tuning = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        time.sleep(0.1)
        if storage.exists() and finished(storage) >= 3:
            break
    tuning.send_signal(signal.SIGINT)
    _, said = tuning.communicate(timeout=60)
    assert tuning.returncode == 130
    assert "Traceback" not in said
    kept = finished(storage)
    assert 3 <= kept < 200
    command[command.index("200")] = "3"
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)["trials"]) == 3
    assert finished(storage) == kept


def finished(storage: Path) -> int:
    """The number of finished trials in a file."""
    with closing(sqlite3.connect(storage)) as db, suppress(sqlite3.OperationalError):
        (number,) = db.execute("select count(*) from trials where state = 'COMPLETE'").fetchone()
        return int(number)
    return 0
