"""`nchain train` and what it leaves: files, logs, and presets as they were."""

import sys
from copy import deepcopy
from importlib.metadata import EntryPoint
from pathlib import Path

import gymnasium as gym
import pytest

from nchain_agents import cli
from nchain_agents.presets import custom, problem

Capture = pytest.CaptureFixture[str]


def nchain(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["nchain", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.run()
    assert isinstance(stop.value.code, int)
    return stop.value.code


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
    monkeypatch.setattr(Optimist, "learn", None)  # a call would be a TypeError
    monkeypatch.setattr(custom, "_checked", lambda preset: preset)
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


def test_the_folders_go_on_from_the_largest_number(tmp_path: Path) -> None:
    from nchain_agents.deep.tensorboard import next_run

    assert next_run(tmp_path / "new", "a") == tmp_path / "new" / "a_1"
    for name in ("a_2", "a_10", "b_70", "a_b_50", "a_x", "xa_90"):
        (tmp_path / name).mkdir()
    assert next_run(tmp_path, "a") == tmp_path / "a_11"
    assert next_run(tmp_path, "a_b") == tmp_path / "a_b_51"
    assert next_run(tmp_path, "a.") == tmp_path / "a._1"


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
    assert nchain(monkeypatch, "train", "sb3-dqn", "--steps", "10", "--out", "model") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "model", "sb3-dqn.zip"]
