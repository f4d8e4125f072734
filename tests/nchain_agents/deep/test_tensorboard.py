import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

pytest.importorskip("keras", reason="needs the keras or the jax extra")

from nchain_agents import KerasDQN
from nchain_agents.deep.tensorboard import TensorBoard


def test_training_is_written_under_the_names_of_sb3(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    agent = KerasDQN(
        gym.make("NChain-v0", max_episode_steps=25),
        learning_starts=30,
        net_arch=[4],
        batch_size=4,
        seed=0,
    )
    log = TensorBoard(tmp_path / "log")
    agent.learn(100, callback=log)
    log.close()
    events: Any = EventAccumulator(str(tmp_path / "log"))
    events.Reload()
    read = {
        tag: [(e.step, e.tensor_proto.float_val[0]) for e in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
    }
    means = [sum(agent.episode_returns[:n]) / n for n in (1, 2, 3, 4)]
    assert [step for step, _ in read["rollout/ep_rew_mean"]] == [25, 50, 75, 100]
    assert [value for _, value in read["rollout/ep_rew_mean"]] == pytest.approx(means)
    assert [step for step, _ in read["train/loss"]] == [50, 75, 100]  # none before learning_starts
    assert read["train/loss"][-1][1] == pytest.approx(agent.last_loss)
    assert [value for _, value in read["rollout/exploration_rate"]][-1] == pytest.approx(0.05)
    assert [step for step, _ in read["time/fps"]] == [50, 75, 100]


def test_without_tensorboard_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'nchain-env\[keras\]'"):
        TensorBoard(tmp_path)
