"""What people expect of any command: -h, --version, --quiet, and any terminal."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from command import nchain
from rich.console import Console

import nchain_env
from nchain_agents import QLearning, cli
from nchain_agents.cli.options import going_on, seeds_of
from nchain_agents.cli.plain_text import write_plain_text
from nchain_agents.presets import problem
from nchain_agents.report.markdown import show_markdown
from nchain_agents.report.table import Table
from nchain_agents.report.terminal import show

Capture = pytest.CaptureFixture[str]
COMMANDS = sorted(
    str(command.callback.__name__) for command in cli.app.registered_commands if command.callback
)
TINY = ("--agents", "q-learning", "--steps", "40", "--jobs", "1")


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids=str)
def test_h_is_help(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert nchain(monkeypatch, *command, "-h") == 0
    short = capsys.readouterr().out
    assert nchain(monkeypatch, *command, "--help") == 0
    assert capsys.readouterr().out == short
    assert "Usage:" in short


def test_the_version_is_that_of_the_package(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert nchain(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"nchain {nchain_env.__version__}\n"


def test_agents_has_a_line_for_each_preset_of_an_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert nchain(monkeypatch, "agents") == 0
    lines = capsys.readouterr().out.splitlines()
    assert (
        "rmax                RMax                 gamma=0.95 known_after=20 max_reward=10.0"
        in lines
    )
    by_default = lines[1 : lines.index("")]
    expected = [one.name for one in problem("nchain").presets.values() if not one.by_name_only]
    installed = [name for name in expected if problem("nchain").presets[name].installed]
    assert [line.split()[0] for line in by_default] == installed

    assert nchain(monkeypatch, "agents", "--env", "FrozenLake-v1", "--json") == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    tuned = problem("frozenlake").presets | problem("frozenlake-deep").presets
    assert entries["q-learning"]["parameters"] == tuned["q-learning"].parameters
    own = {name for name, one in entries.items() if not one["tuned_for_the_chain"]}
    assert own == set(tuned)
    assert nchain(monkeypatch, "agents", "--env", "NChain-v9") == 2


def test_compare_takes_several_environments_and_chosen_seeds_and_is_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    several = ("--env", "NChain-v0", "--env", "FrozenLake-v1 is_slippery=false", "--seeds", "7:8")
    options = (*TINY, *several, "--out", str(tmp_path))
    assert nchain(monkeypatch, "compare", *options, "--json", "--quiet") == 0
    said = capsys.readouterr()
    summary = json.loads(said.out)
    assert [env["env"] for env in summary["envs"]] == ["NChain-v0", "FrozenLake-v1"]
    assert summary["seeds"] == [7]
    assert said.err == ""


@pytest.mark.parametrize("seeds", ["3:x", "x", "1:2:3", "", ":", "5:5"])
def test_seeds_that_are_none_are_refused(
    seeds: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert nchain(monkeypatch, "compare", *TINY, "--seeds", seeds) == 2
    assert capsys.readouterr().err.startswith("nchain: seeds must be ")


def test_a_saved_agent_goes_on_as_if_it_had_never_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert nchain(monkeypatch, "train", "q-learning", "--steps", "300", "--seed", "3", "-q") == 0
    assert nchain(monkeypatch, "train", "q-learning.agent", "--steps", "200", "-q") == 0
    said = capsys.readouterr().out
    assert "steps/s" not in said
    assert "q-learning has learned for 500 steps in all\nsaved to q-learning.agent" in said
    tuned = problem("nchain").preset("q-learning").parameters
    uninterrupted = QLearning("NChain-v0", seed=3, **tuned).learn(500)
    np.testing.assert_array_equal(QLearning.load("q-learning.agent").q, uninterrupted.q)

    elsewhere = ("--env", "NChain-v0 slip=0", "--steps", "10", "--out", "other.agent", "-q")
    assert nchain(monkeypatch, "train", "q-learning.agent", *elsewhere) == 0
    assert "q-learning on NChain-v0 slip=0: " in capsys.readouterr().out
    assert QLearning.load("other.agent").num_timesteps == 510
    assert QLearning.load("q-learning.agent").num_timesteps == 500


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gone.agent",), "No such file or directory: 'gone.agent'"),
        (("mine.txt",), "mine.txt is not a saved agent"),
        (("mine.txt", "--seed", "3"), "seed must not be given for mine.txt, which has its own"),
        (("q-learning", "--agent", "sb3-dqn"), "--agent must be given with a file only"),
    ],
)
def test_what_cannot_go_on_is_said(
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.txt").write_text("not an agent")
    assert nchain(monkeypatch, "train", *arguments) == 2
    assert message in capsys.readouterr().err
    assert os.listdir() == ["mine.txt"]


@pytest.mark.slow
def test_an_agent_of_stable_baselines3_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    pytest.importorskip("stable_baselines3")
    monkeypatch.chdir(tmp_path)
    assert nchain(monkeypatch, "train", "sb3-dqn", "--steps", "60", "-q") == 0
    goes_on = ("train", "sb3-dqn.zip", "--agent", "sb3-dqn", "--steps", "40", "-q")
    assert nchain(monkeypatch, *goes_on) == 0
    assert "sb3-dqn has learned for 100 steps in all" in capsys.readouterr().out


class Ascii(io.TextIOWrapper):
    """A stream that refuses what ASCII does not have."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="ascii")

    @classmethod
    def in_use(cls, monkeypatch: pytest.MonkeyPatch) -> Self:
        """Return one that is the standard output and error."""
        stream = cls()
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    def text(self) -> str:
        self.flush()
        buffer: Any = self.buffer
        return str(buffer.getvalue().decode("ascii"))


def test_a_terminal_without_unicode_shows_everything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    terminal = Ascii.in_use(monkeypatch)
    assert nchain(monkeypatch, "solve") == 0
    assert nchain(monkeypatch, "agents") == 0
    QLearning("NChain-v0", seed=0).save("mine.agent")
    assert nchain(monkeypatch, "evaluate", "mine.agent", "--episodes", "2") == 0
    assert nchain(monkeypatch, "check", "no-such-agent-\u00e9") == 2
    show(Table("", ("agent", "95\u00a0% interval"), [("\u00e9", "1")], note="95\u00a0% of all"))
    shown = terminal.text()
    assert "61.3795" in shown
    assert "(+- " in shown
    assert "95 % of all" in shown
    assert "unknown agent 'no-such-agent-?'" in shown
    assert "----------" in shown


def test_a_page_is_shown_without_unicode(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Ascii.in_use(monkeypatch)
    write_plain_text()
    page = (
        "# Title\n\n- a \u2192 b \u2026\n\n> quoted\n\n| a | b |\n| --- | --- |\n| x | 1 \u00b1 2 |"
    )
    show_markdown(Console(), page)
    for text in ("* a -> b ...", "quoted", "1 +- 2"):
        assert text in terminal.text()


@pytest.mark.slow
def test_the_command_works_in_the_c_locale(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("nchain"))]
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "COLUMNS": "60"}
    for words in (
        ("compare", *TINY, "--seeds", "2"),
        ("compare", *TINY, "--seeds", "2", "--markdown"),
        ("check", "q-learning", "--steps", "2000", "--seeds", "1", "--jobs", "1"),
    ):
        done = subprocess.run(
            [*command, *words], cwd=tmp_path, env={**os.environ, **plain}, capture_output=True
        )
        assert done.returncode in (0, 1)
        assert b"codec" not in done.stderr
        done.stdout.decode("ascii")
        done.stderr.decode("ascii")
        assert "--markdown" in words or max(map(len, done.stdout.splitlines())) <= 60


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", 3), ("100:103", range(100, 103)), ("1,5,7", [1, 5, 7])]
)
def test_seeds_are_a_number_a_range_or_listed(text: str, seeds: Any) -> None:
    assert seeds_of(text) == seeds


def test_after_an_interruption_it_is_said_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt), going_on("finished runs", tmp_path):
        raise KeyboardInterrupt
    said = capsys.readouterr().err
    assert said == f"finished runs are kept in {tmp_path}; the same command goes on\n"
