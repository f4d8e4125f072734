"""The finished parts of a reproduction, kept until all are finished."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nchain_agents.files import whole_file

T = TypeVar("T")

# A part that was computed with other versions of these is computed again.
_PACKAGES = ("nchain-env", "gymnasium", "numpy", "numba", "keras", "jax", "tensorflow")


class Parts:
    """A folder with a file for each finished part: a dataclass of arrays, numbers and names.

    A file's name follows from all that its part depends on, so what is found there is what would
    be computed again, and other settings find nothing.

    Args:
        folder: It is made with the first part; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._versions = [_version(name) for name in _PACKAGES]

    def find(self, what: Sequence[Any], kind: type[T]) -> T | None:
        """Return a part of a dataclass, by all that it depends on; None if it is not there."""
        if self._folder is None:
            return None
        try:
            with self._file(self._folder, what).open("rb") as file:
                arrays = np.load(file, allow_pickle=False)
                return kind(**{name: _value(arrays[name]) for name in arrays.files})
        except (OSError, EOFError, ValueError, zipfile.BadZipFile):  # not there, or not whole
            return None

    def keep(self, what: Sequence[Any], part: Any) -> None:
        """Keep a part."""
        if self._folder is None:
            return
        self._folder.mkdir(exist_ok=True)
        with whole_file(self._file(self._folder, what)) as partial, partial.open("wb") as file:
            np.savez(file, **{field.name: getattr(part, field.name) for field in fields(part)})

    def delete(self) -> None:
        """Delete all parts."""
        if self._folder is None:
            return
        for file in self._folder.glob("*.npz"):
            file.unlink()
        with suppress(OSError):  # it is not there, or has files of others
            self._folder.rmdir()

    def _file(self, folder: Path, what: Sequence[Any]) -> Path:
        text = json.dumps([what, self._versions])
        return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"


def _value(array: Any) -> Any:
    """Return a field as it was: an array, a number, or names."""
    if array.dtype.kind == "U":
        return tuple(array.tolist())
    return array.item() if array.ndim == 0 else array


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
