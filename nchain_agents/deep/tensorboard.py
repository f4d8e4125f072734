"""A callback that writes TensorBoard files, with stable-baselines3's names."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np

from nchain_agents.agent import Agent
from nchain_agents.extras import needed_for


def next_run(log_dir: Path, name: str) -> Path:
    """Return the folder for the next run of a name: `name_1`, `name_2`, ..., as SB3 counts them.

    TensorBoard shows each folder below `log_dir` as one run.
    """
    folders = log_dir.iterdir() if log_dir.is_dir() else ()
    numbers = (re.fullmatch(re.escape(name) + r"_(\d+)", folder.name) for folder in folders)
    return log_dir / f"{name}_{1 + max((int(n[1]) for n in numbers if n), default=0)}"


class TensorBoard:
    """Writes the progress of a training to event files: pass it as `callback`, and close it.

    At the end of each episode come `rollout/ep_rew_mean` (the mean return of the last 100),
    `rollout/exploration_rate`, `train/loss` (of the last batch) and `time/fps` (steps a second
    since the first episode's end), over the steps. Look at them with `tensorboard --logdir DIR`.

    Args:
        log_dir: The folder to write to.

    Raises:
        ModuleNotFoundError: TensorBoard is not installed.
    """

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        with needed_for("TensorBoard logging", "keras"):
            from tensorboard.summary import Writer
        self._writer: Any = Writer(os.fspath(log_dir))
        self._begin: tuple[float, int] | None = None

    def __call__(self, agent: Agent) -> None:
        """Write the scalars of an episode."""
        step, now = agent.num_timesteps, time.perf_counter()
        scalars = {"rollout/ep_rew_mean": float(np.mean(agent.episode_returns[-100:]))}
        if hasattr(agent, "epsilon"):
            scalars["rollout/exploration_rate"] = float(agent.epsilon)
        if hasattr(agent, "last_loss"):
            scalars["train/loss"] = float(agent.last_loss)
        if self._begin is None:
            self._begin = now, step
        elif now > self._begin[0]:
            scalars["time/fps"] = (step - self._begin[1]) / (now - self._begin[0])
        for name, value in scalars.items():
            if np.isfinite(value):
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()
