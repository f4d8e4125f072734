"""Why a call has no result."""

from __future__ import annotations

import os
import sysconfig
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Self

# Of a longer traceback, as one whose message prints an array, the end is kept.
_LONGEST = 20_000
# Code below these folders is no user's: the standard library, and nchain_env and nchain_agents.
_LIBRARIES = tuple(
    os.path.join(folder, "")
    for folder in (
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib")),
        *(str(Path(__file__).parents[2] / name) for name in ("nchain_env", "nchain_agents")),
    )
)
_INSTALLED = {"site-packages", "dist-packages"}


@dataclass(frozen=True)
class Failure:
    """Why a call has no result.

    Args:
        reason: One line.
        traceback: That of the exception, where one was raised.
    """

    reason: str
    traceback: str | None = None

    @classmethod
    def of(cls, error: BaseException, doing: str = "") -> Self:
        """Return an exception as a failure; the reason names file and line of the user's code.

        Args:
            error: The exception.
            doing: What the reason begins with.
        """
        try:
            said = str(error)
        except Exception:  # the exception is a user's, too
            said = ""
        reason = f"{doing}{type(error).__name__}: {said}".splitlines()[0].removesuffix(": ")
        where = _users_line(error)
        text = "".join(traceback.format_exception(error))
        return cls(reason if where is None else f"{reason} ({where})", text[-_LONGEST:])


def _users_line(error: BaseException) -> str | None:
    """Return file and line of the innermost frame that is in no library, None if there is none."""
    frames = [
        (frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    for file, line in reversed(frames):
        path = Path(file)
        if not (file.startswith(("<frozen ", *_LIBRARIES)) or _INSTALLED.intersection(path.parts)):
            return f"{path.name}:{line}"
    return None
