"""What a training writes for TensorBoard, and what else reports to the same logger."""

import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from nchain_agents import QLearning
from nchain_agents.logger import Logger, run_folder


def short() -> gym.Env[Any, Any]:
    return gym.make("NChain-v0", max_episode_steps=25)


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what the event files of a run hold: (step, value) by tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events: Any = EventAccumulator(str(folder))
    events.Reload()
    tags = events.Tags()["scalars"]
    return {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in tags}


@pytest.fixture
def tensorboard() -> None:
    pytest.importorskip("tensorboard", reason="needs tensorboard")


def test_the_folders_of_runs_are_numbered(tmp_path: Path) -> None:
    assert run_folder(tmp_path / "new", "a", goes_on=True) == tmp_path / "new" / "a_1"
    for name in ("a_2", "a_10", "b_70", "a_b_50", "a_x", "xa_90"):
        (tmp_path / name).mkdir()
    assert run_folder(tmp_path, "a", goes_on=True) == tmp_path / "a_10"
    assert run_folder(tmp_path, "a", goes_on=False) == tmp_path / "a_11"
    assert run_folder(str(tmp_path), "a_b", goes_on=False) == tmp_path / "a_b_51"
    assert run_folder(tmp_path, "a.", goes_on=True) == tmp_path / "a._1"
    assert (tmp_path / "a_11").is_dir()


@pytest.mark.usefixtures("tensorboard")
@pytest.mark.parametrize("compiled", [True, False])
def test_every_fourth_episode_is_written_and_changes_nothing(
    tmp_path: Path, compiled: bool
) -> None:
    parameters: dict[str, Any] = {"seed": 0, "compiled": compiled}
    parameters["epsilon"] = {"initial": 1.0, "final": 0.0, "fraction": 1.0}
    agent = QLearning(short(), tensorboard_log=tmp_path, **parameters).learn(260)
    written = read(tmp_path / "QLearning_1")
    ends = [100, 200]
    # the number of steps is the axis, and is not written again
    assert {tag: [step for step, _ in values] for tag, values in written.items()} == dict.fromkeys(
        ("rollout/ep_rew_mean", "rollout/ep_len_mean", "rollout/exploration_rate", "time/fps"), ends
    )
    means = [sum(agent.episode_returns[:n]) / n for n in (4, 8)]
    assert [value for _, value in written["rollout/ep_rew_mean"]] == pytest.approx(means)
    assert [value for _, value in written["rollout/ep_len_mean"]] == [25.0, 25.0]
    rates = [value for _, value in written["rollout/exploration_rate"]]
    assert rates == pytest.approx([1 - 100 / 260, 1 - 200 / 260])
    plain = QLearning(short(), **parameters).learn(260)
    assert agent.q.tobytes() == plain.q.tobytes()
    assert agent.episode_lengths == plain.episode_lengths
    assert agent.episode_lengths.tolist() == [25] * 10


@pytest.mark.usefixtures("tensorboard")
def test_means_are_over_the_last_hundred_episodes(tmp_path: Path) -> None:
    env = gym.make("FrozenLake-v1")
    agent = QLearning(env, seed=0, epsilon=1.0, tensorboard_log=tmp_path).learn(2_000, None, 50)
    written = read(tmp_path / "QLearning_1")
    assert len(agent.episode_lengths) > 200
    for tag, all_of_them in (
        ("rollout/ep_rew_mean", agent.episode_returns),
        ("rollout/ep_len_mean", agent.episode_lengths),
    ):
        until = (50, 100, 150, 200)
        means = [sum(all_of_them[max(n - 100, 0) : n]) / min(n, 100) for n in until]
        assert [value for _, value in written[tag][:4]] == pytest.approx(means)
    steps = [sum(agent.episode_lengths[:n]) for n in (50, 100, 150, 200)]
    assert [step for step, _ in written["rollout/ep_rew_mean"][:4]] == steps


@pytest.mark.usefixtures("tensorboard")
def test_a_training_that_goes_on_stays_in_its_folder(tmp_path: Path) -> None:
    first, second = (QLearning(short(), seed=s, tensorboard_log=tmp_path) for s in (0, 1))
    first.learn(100)
    second.learn(100)
    first.learn(100)  # not in the second's folder, which is the last one
    second.learn(100, reset_num_timesteps=True)
    second.learn(100, tb_log_name="named")
    steps = {
        folder.name: [step for step, _ in read(folder)["time/fps"]] for folder in tmp_path.iterdir()
    }
    assert steps == {
        "QLearning_1": [100, 200],
        "QLearning_2": [100],
        "QLearning_3": [100],
        "named_1": [200],
    }
    first.save(tmp_path / "agent")
    loaded = QLearning.load(tmp_path / "agent")
    loaded.tensorboard_log = tmp_path
    loaded.learn(100)  # the last folder of this name, as in stable-baselines3
    assert [step for step, _ in read(tmp_path / "QLearning_3")["time/fps"]] == [100, 300]


@pytest.mark.usefixtures("tensorboard")
def test_callbacks_may_write_too_and_copy_the_agent(tmp_path: Path) -> None:
    copies: list[QLearning] = []

    def note(agent: QLearning) -> None:
        agent.logger.record("mine/q", agent.q.max())
        agent.logger.record("mine/text", "not a number")
        agent.logger.record_mean("mine/mean", len(agent.episode_returns))
        agent.logger.record("mine/hidden", 1.0, exclude=("stdout", "tensorboard"))
        if len(agent.episode_returns) == 4:
            copies.append(deepcopy(agent))

    agent = QLearning(short(), seed=0, tensorboard_log=tmp_path).learn(150, note, log_interval=3)
    written = read(tmp_path / "QLearning_1")
    assert written["mine/mean"] == [(75, 2.0), (150, 5.0)]  # of 1, 2, 3 and of 4, 5, 6
    assert [step for step, _ in written["mine/q"]] == [75, 150]
    assert {tag for tag in written if tag.startswith("mine/")} == {"mine/q", "mine/mean"}
    (copied,) = copies
    assert copied.learn(50).q.tobytes() == agent.q.tobytes()


@pytest.mark.usefixtures("tensorboard")
def test_without_log_interval_nothing_is_written(tmp_path: Path) -> None:
    QLearning(short(), tensorboard_log=tmp_path).learn(150, log_interval=None)
    assert list((tmp_path / "QLearning_1").iterdir()) == []


def test_a_logger_of_the_users_gets_everything() -> None:
    class Lines(Logger):
        def __init__(self) -> None:
            super().__init__()
            self.lines: list[tuple[int, dict[str, Any]]] = []

        def dump(self, step: int = 0) -> None:
            self.lines.append((step, dict(self.name_to_value)))
            super().dump(step)

    agent, lines = QLearning(short(), seed=0), Lines()
    agent.set_logger(lines)
    agent.learn(110, log_interval=2)
    assert [step for step, _ in lines.lines] == [50, 100]
    noted = lines.lines[-1][1]
    assert noted["time/total_timesteps"] == 100
    assert noted["time/episodes"] == 4
    assert noted["rollout/ep_rew_mean"] == pytest.approx(sum(agent.episode_returns) / 4)
    with pytest.raises(ValueError, match="logger must have the methods record and dump, got 3"):
        agent.set_logger(3)


@pytest.mark.parametrize("value", [True, 0, 1.5, b"x", ["logs"]])
def test_what_is_no_folder_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^tensorboard_log must be a folder or None, got "):
        QLearning("NChain-v0", tensorboard_log=value)
    agent = QLearning("NChain-v0")
    agent.tensorboard_log = value
    with pytest.raises(ValueError, match=r"^tensorboard_log must be a folder or None, got "):
        agent.learn(10)


@pytest.mark.parametrize("value", [0, -1, 1.5, "4"])
def test_log_interval_must_be_a_number_of_episodes(value: Any) -> None:
    with pytest.raises(ValueError, match="log_interval must be an integer of at least 1"):
        QLearning("NChain-v0").learn(10, log_interval=value)


def test_without_tensorboard_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for module in ("tensorboard.summary.writer", "tensorboard.summary", "tensorboard"):
        monkeypatch.setitem(sys.modules, module, None)
    agent = QLearning(short(), tensorboard_log=tmp_path / "logs")
    with pytest.raises(ModuleNotFoundError, match="TensorBoard logging needs tensorboard"):
        agent.learn(100)
    assert agent.num_timesteps == 0
    assert not (tmp_path / "logs").exists()
