"""What a training reports, under stable-baselines3's names, and the event files of TensorBoard."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from nchain_agents.extras import needed_for


def run_folder(log_dir: str | os.PathLike[str], name: str, goes_on: bool) -> Path:
    """Return the folder of a run, `name_1`, `name_2`, ..., as stable-baselines3 counts them.

    It is made if it is new. TensorBoard shows each folder below `log_dir` as one run.

    Args:
        log_dir: The folder of all runs.
        name: The name of the run.
        goes_on: Return the folder of the last run of this name, if there is one, not a new one.
    """
    parent = Path(log_dir)
    parent.mkdir(parents=True, exist_ok=True)
    while True:
        matches = (
            re.fullmatch(re.escape(name) + r"_(\d+)", entry.name) for entry in parent.iterdir()
        )
        last = max((int(match[1]) for match in matches if match), default=0)
        if goes_on and last:
            return parent / f"{name}_{last}"
        folder = parent / f"{name}_{last + 1}"
        with suppress(FileExistsError):  # by another training, at the same time
            folder.mkdir()
            return folder


def event_files() -> Any:
    """Return TensorBoard's module that writes event files.

    Raises:
        ModuleNotFoundError: TensorBoard is not installed.
    """
    with needed_for("TensorBoard logging", "keras"):
        from tensorboard.summary.writer import event_file_writer
    return event_file_writer


class Logger:
    """Collects values by name and writes them at each `dump`, as stable-baselines3's `Logger` does.

    Args:
        dir: The folder for an event file of TensorBoard; None: values are collected, and forgotten
            at `dump`.
    """

    def __init__(self, dir: str | os.PathLike[str] | None = None) -> None:
        self.dir = None if dir is None else os.fspath(dir)
        self.name_to_value: dict[str, Any] = {}
        self._counts: dict[str, int] = {}
        self._not_in_file: set[str] = set()
        self._file: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what `copy` and `pickle` keep: all but the open file."""
        return {**vars(self), "_file": None}

    def record(self, key: str, value: Any, exclude: str | tuple[str, ...] | None = None) -> None:
        """Note a value, in place of an earlier one of this name.

        Args:
            key: Its name, as `rollout/ep_rew_mean`.
            value: The value; a number, to be written.
            exclude: With "tensorboard" here, it is not written to the event file.
        """
        self.name_to_value[key] = value
        self._not_in_file.discard(key)
        if "tensorboard" in ((exclude,) if isinstance(exclude, str) else exclude or ()):
            self._not_in_file.add(key)

    def record_mean(
        self, key: str, value: float | None, exclude: str | tuple[str, ...] | None = None
    ) -> None:
        """Note a value; of several of this name, the mean is written. None is ignored."""
        if value is not None:
            count = self._counts[key] = self._counts.get(key, 0) + 1
            before = self.name_to_value.get(key, 0.0)
            self.record(key, before + (value - before) / count, exclude)

    def dump(self, step: int = 0) -> None:
        """Write the values noted since the last call, those that are finite numbers, at a step."""
        scalars = {
            name: float(value)
            for name, value in sorted(self.name_to_value.items())
            if name not in self._not_in_file
            and isinstance(value, int | float | np.number)
            and np.isfinite(value)
        }
        if self.dir is not None and scalars:
            self._write(scalars, step)
        self.name_to_value.clear()
        self._counts.clear()
        self._not_in_file.clear()

    def _write(self, scalars: dict[str, float], step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        if self._file is None:
            self._file = event_files().EventFileWriter(self.dir)
        values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        self._file.add_event(event)
        self._file.flush()

    def close(self) -> None:
        """Close the event file; the next `dump` begins another one in the same folder."""
        if self._file is not None:
            self._file.close()
            self._file = None
