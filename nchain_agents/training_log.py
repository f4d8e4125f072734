"""Where the trainings of an agent are reported."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nchain_agents.logger import Logger, event_files, run_folder

LogFolder = str | os.PathLike[str] | None


def log_folder(tensorboard_log: Any) -> LogFolder:
    """Return the folder for TensorBoard's files, or None.

    Raises:
        ValueError: It is neither.
    """
    if tensorboard_log is not None and not isinstance(tensorboard_log, str | os.PathLike):
        raise ValueError(f"tensorboard_log must be a folder or None, got {tensorboard_log!r}")
    return tensorboard_log


class TrainingLog:
    """The logger of an agent: its own, with a folder for each training, or one that it was given.

    Attributes:
        logger: What training and callbacks report to.
    """

    def __init__(self) -> None:
        self.logger: Any = Logger()
        self._given = False
        self._folders: dict[tuple[str, str], Path] = {}

    @property
    def writes(self) -> bool:
        """Whether something comes of what is reported."""
        return self._given or self.logger.dir is not None

    def use(self, logger: Any) -> None:
        """Report to another logger from now on.

        Raises:
            ValueError: It has not the methods `record` and `dump`.
        """
        methods = (getattr(logger, name, None) for name in ("record", "dump"))
        if not all(callable(method) for method in methods):
            raise ValueError(f"logger must have the methods record and dump, got {logger!r}")
        self.logger, self._given = logger, True

    @contextmanager
    def run(self, tensorboard_log: LogFolder, name: str, new: bool) -> Iterator[None]:
        """Write to the folder of a training in the block, if there is a `tensorboard_log`.

        Args:
            tensorboard_log: The folder of all trainings.
            name: The name of this one.
            new: Whether it has a new folder; else it goes on in the last one of its name.

        Raises:
            ValueError: tensorboard_log is not a folder.
            ModuleNotFoundError: TensorBoard is not installed.
        """
        if self._given:
            yield
            return
        folder, parent = None, log_folder(tensorboard_log)
        if parent is not None:
            event_files()  # refused before a folder is made
            key = os.fspath(parent), name
            if new or key not in self._folders:
                self._folders[key] = run_folder(*key, goes_on=not new)
            folder = self._folders[key]
        self.logger = logger = Logger(folder)
        try:
            yield
        finally:
            logger.close()
