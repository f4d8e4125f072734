"""`nchain train` and what it leaves: files, logs, and presets as they were."""

import json
import os
import subprocess
import sys
from copy import deepcopy
from importlib.metadata import EntryPoint
from pathlib import Path

import gymnasium as gym
import pytest
from command import nchain

from nchain_agents import score
from nchain_agents.presets import custom, problem

Capture = pytest.CaptureFixture[str]


class Optimist:
    """Goes forward, has no `save`, and is not asked to have one."""

    def __init__(self, env: gym.Env[int, int]) -> None:
        self.env = env

    def learn(self, total_timesteps: int) -> None:
        self.env.reset(seed=0)
        for _ in range(total_timesteps):
            self.env.step(0)

    def predict(self, observation: int, *, deterministic: bool = False) -> tuple[object, None]:
        return observation * 0, None


@pytest.fixture
def optimist(monkeypatch: pytest.MonkeyPatch) -> str:
    """An agent that an installed package offers, by its name."""
    module = type(sys)("optimist")
    monkeypatch.setitem(sys.modules, "optimist", module)
    monkeypatch.setattr(module, "Optimist", Optimist, raising=False)
    point = EntryPoint("optimist", "optimist:Optimist", custom.GROUP)
    monkeypatch.setattr(custom, "entry_points", lambda group: [point])
    return "optimist"


def test_an_agent_that_cannot_be_saved_is_trained_and_measured(
    optimist: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert nchain(monkeypatch, "train", optimist, "--steps", "20") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "return of an episode: 3,663.7 (exactly), score 99.91" in said
    assert "not saved: optimist:Optimist has no method save" in said
    assert list(tmp_path.iterdir()) == []


def test_where_to_save_what_cannot_be_saved_is_refused_before_the_training(
    optimist: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    def learn(agent: Optimist, total_timesteps: int) -> None:
        raise AssertionError("called")

    monkeypatch.setattr(Optimist, "learn", learn)
    out = str(tmp_path / "x")
    assert nchain(monkeypatch, "train", optimist, "--out", out) == 2
    said = capsys.readouterr().err
    assert said == (
        "nchain: out must not be given for optimist:Optimist, which has no method save\n"
    )


def test_each_training_has_a_folder_of_its_own_in_tensorboard(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard", reason="needs the keras extra")
    monkeypatch.chdir(tmp_path)
    for agent in ("q-learning", "greedy-q", "q-learning"):
        options = ("--steps", "1000", "--tensorboard", "logs")
        assert nchain(monkeypatch, "train", agent, *options) == 0
    runs = sorted(path.name for path in Path("logs").iterdir())
    assert runs == ["greedy-q_1", "q-learning_1", "q-learning_2"]
    for run in Path("logs").iterdir():
        (file,) = run.iterdir()
        assert b"rollout/ep_rew_mean" in file.read_bytes()


# SB3 asks for silence about this when it is imported, and pytest listens all the same
@pytest.mark.filterwarnings("ignore:rich is experimental")
def test_a_model_of_sb3_is_trained_logged_and_saved_and_its_preset_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    sb3 = pytest.importorskip("stable_baselines3", reason="needs the sb3 extra")
    pytest.importorskip("tensorboard", reason="needs the keras extra")
    monkeypatch.chdir(tmp_path)
    before = deepcopy(problem("nchain").preset("sb3-dqn"))
    options = ("--steps", "1100", "--tensorboard", "logs")
    assert nchain(monkeypatch, "train", "sb3-dqn", *options) == 0
    assert problem("nchain").preset("sb3-dqn") == before
    assert "saved to sb3-dqn.zip" in capsys.readouterr().out
    assert sb3.DQN.load("sb3-dqn.zip").num_timesteps == 1100
    assert [path.name for path in Path("logs").iterdir()] == ["sb3-dqn_1"]
    # the path is taken as it is given
    env = ("--env", "NChain-v0 n=3")
    arguments = ("sb3-dqn", *env, "--steps", "12", "--out", "model")
    assert nchain(monkeypatch, "train", *arguments) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "model", "sb3-dqn.zip"]
    said = capsys.readouterr().out
    command = "nchain evaluate model --agent sb3-dqn --env 'NChain-v0 n=3'"
    assert said.endswith(f"saved to model; to evaluate it: {command}\n")

    # its file does not name its class, and can run code: so who evaluates it says what it is
    assert nchain(monkeypatch, "evaluate", "model") == 2
    said = capsys.readouterr().err
    assert said.startswith("nchain: model is a model of stable-baselines3")
    assert "give --agent, as sb3-dqn or module:Class, if you trust the file" in said
    for agent in ("sb3-dqn", "stable_baselines3:DQN"):
        assert nchain(monkeypatch, "evaluate", "model", "--agent", agent, *env, "--json") == 0
        (row,) = json.loads(capsys.readouterr().out)
        about = [row[name] for name in ("agent", "env", "steps", "exact")]
        assert about == ["DQN", "NChain-v0 n=3", 12, True]
        loaded = score(sb3.DQN.load("model"), gym.make("NChain-v0", n=3))
        assert row["score"] == pytest.approx(loaded)
    # what does not fit is one line
    assert nchain(monkeypatch, "evaluate", "model", "--agent", "sb3-dqn") == 2
    assert "model cannot be read as stable_baselines3:DQN: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("file", "--agent", "sarsa"), "file is not a saved agent"),
        (("file", "--agent", "json:JSONDecoder"), "must have a method learn"),
        (("file", "--agent", "sasra"), "did you mean sarsa"),
        (("none", "--agent", "optimist:Loading"), "No such file"),
        (("file", "--agent", "optimist:Optimist"), "agent must have a method load, got optimist"),
        (("file", "--agent", "optimist:Loading"), "file cannot be read as optimist:Loading: 'x'"),
    ],
)
def test_what_cannot_be_evaluated_is_answered_in_one_line(
    arguments: tuple[str, ...],
    message: str,
    optimist: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    tmp_path: Path,
) -> None:
    class Loading(Optimist):
        @classmethod
        def load(cls, path: Path) -> object:
            raise KeyError("x")

    monkeypatch.setattr(sys.modules["optimist"], "Loading", Loading, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("no agent")
    assert nchain(monkeypatch, "evaluate", *arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("nchain: ")
    assert message in said
    assert said.count("\n") == 1


def test_an_agent_of_ones_own_is_saved_and_evaluated(
    optimist: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    class Keeping(Optimist):
        def save(self, path: Path) -> None:
            path.write_text("forward")

        @classmethod
        def load(cls, path: Path) -> "Keeping":
            assert path.read_text() == "forward"
            return cls(gym.make("NChain-v0"))

    monkeypatch.setattr(sys.modules["optimist"], "Keeping", Keeping, raising=False)
    monkeypatch.chdir(tmp_path)
    assert nchain(monkeypatch, "train", "optimist:Keeping", "--steps", "5") == 0
    command = "nchain evaluate Keeping.agent --agent optimist:Keeping"
    assert capsys.readouterr().out.endswith(f"; to evaluate it: {command}\n")
    assert nchain(monkeypatch, *command.split()[1:]) == 0
    said = capsys.readouterr().out
    assert "3,663.7 (exact)" in said
    assert " - " in said  # it does not count its steps


@pytest.mark.slow
def test_evaluating_a_network_prints_no_notes(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs the keras or the jax extra")
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    for backend in ("tensorflow", "jax"):
        pytest.importorskip(backend, reason="needs the keras and the jax extra")

    def nchain(*arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "nchain_agents", *arguments]
        env = {**environment, **given}
        return subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        )

    nchain("train", "keras-dqn", "--steps", "20", KERAS_BACKEND="jax")
    done = nchain("evaluate", "keras-dqn.agent", KERAS_BACKEND="tensorflow")
    assert "KerasDQN" in done.stdout
    assert done.stderr == ""
