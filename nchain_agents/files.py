"""Files that are replaced atomically."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Part of the names of unfinished files, before the process id: a folder may be shared by machines.
_HERE = f"nchain-{hashlib.sha256(platform.node().encode()).hexdigest()[:8]}"
_PARTIAL = re.compile(rf"\..*\.{_HERE}-(\d+)-[0-9a-f]{{16}}(\.[^.]*)?")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which is renamed to `path` if no exception is raised."""
    remove_abandoned(path.parent)
    made_by = f"{_HERE}-{os.getpid()}-{secrets.token_hex(8)}"
    partial = path.with_name(f".{path.stem}.{made_by}{path.suffix}")
    partial.touch(mode=0o666, exist_ok=False)  # less the umask, as `open` makes files
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def prepare_folder(out: Path) -> None:
    """Make a folder; a ValueError says that no file can be written there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            remove_abandoned(out)
    except OSError as error:
        raise ValueError(f"out must be a folder to write to, got {out}: {error.strerror}") from None


def remove_abandoned(folder: Path) -> None:
    """Remove unfinished files of processes of this machine that were killed."""
    with suppress(OSError):
        for name in os.listdir(folder):
            found = _PARTIAL.fullmatch(name)
            if found and not _alive(int(found[1])):
                (folder / name).unlink(missing_ok=True)


def _alive(process: int) -> bool:
    if os.name != "posix":  # elsewhere only a signal that ends it would tell
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
