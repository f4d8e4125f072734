import json
from pathlib import Path

import pytest
from command import nchain

Capture = pytest.CaptureFixture[str]

WRONG = '''
import numpy as np


class Wrong:
    """Q-learning that takes the time limit for the end."""

    def __init__(self, env, seed, gamma=0.9):
        self.env, self.seed, self.gamma = env, seed, gamma
        self.rng = np.random.default_rng(seed)
        self.q = np.zeros((env.observation_space.n, env.action_space.n))

    def learn(self, total_timesteps):
        state, _ = self.env.reset(seed=self.seed)
        for _ in range(total_timesteps):
            explores = self.rng.random() < 0.3
            action = int(self.rng.integers(2) if explores else self.q[state].argmax())
            next_state, reward, terminated, truncated, _ = self.env.step(action)
            done = terminated or truncated
            target = reward + (0.0 if done else self.gamma * self.q[next_state].max())
            self.q[state, action] += 0.1 * (target - self.q[state, action])
            state = self.env.reset()[0] if done else next_state

    def predict(self, observation, deterministic=False):
        return self.q[observation].argmax(axis=-1), None

    def q_values(self, observation):
        return self.q[observation]
'''


def test_a_correct_agent_ends_with_exit_code_0(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert nchain(monkeypatch, "check", "q-learning", "--steps", "8000", "--seeds", "2") == 0
    shown = capsys.readouterr()
    assert "q-learning: no mistake found" in shown.out
    # a line for each problem, and the progress, are no part of the result
    assert "ending, 2,000 steps: values" in shown.err


@pytest.fixture
def wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "wrong_agent.py").write_text(WRONG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return "wrong_agent:Wrong"


def test_a_mistake_ends_with_exit_code_1_and_is_named(
    wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert nchain(monkeypatch, "check", wrong, "--steps", "12000", "--out", "found") == 1
    shown = capsys.readouterr()
    assert max(map(len, shown.out.splitlines())) < 60
    assert "Wrong: truncation as termination" in shown.out
    assert "look for `done = terminated or" in shown.out
    assert "written to found: check.html, check.json" in shown.err
    assert json.loads(Path("found/check.json").read_text())["ok"] is False


@pytest.mark.slow
def test_a_file_of_agents_is_checked_one_after_the_other(
    wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    Path("agents.toml").write_text(
        f'[wrong]\nagent = "{wrong}"\n\n[right]\npreset = "q-learning"\n'
    )
    options = ("--steps", "12000", "--seeds", "2", "--json")
    assert nchain(monkeypatch, "check", "agents.toml", *options) == 1
    found = json.loads(capsys.readouterr().out)
    assert [(one["agent"], one["ok"]) for one in found] == [("wrong", False), ("right", True)]
    assert found[0]["findings"][0]["name"] == "truncation as termination"


@pytest.mark.slow
def test_markdown_has_the_table_of_explanations(
    wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    options = ("--steps", "12000", "--seeds", "2", "--markdown")
    assert nchain(monkeypatch, "check", wrong, *options) == 1
    shown = capsys.readouterr().out
    assert shown.startswith("## Wrong: truncation as termination\n")
    first = next(line for line in shown.splitlines() if line.startswith("| truncation"))
    assert first.split("|")[1].strip() == "truncation as termination"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("q-lerning",), "did you mean q-learning"),
        (("q-learning", "--steps", "10"), "steps must be"),
        (("no_such_module:Agent",), "cannot be imported"),
        (("broken_agent:Agent",), "cannot be imported: ZeroDivisionError: division by zero"),
    ],
)
def test_bad_input_ends_with_exit_code_2_and_one_line(
    arguments: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    (tmp_path / "broken_agent.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert nchain(monkeypatch, "check", *arguments) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert len(shown.strip().splitlines()) == 1
