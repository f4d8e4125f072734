"""Files that appear whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which becomes `path` when all went well.

    The file has the permissions that the umask leaves, as any that `open` makes.
    """
    partial = path.with_name(f".{path.stem}.{secrets.token_hex(8)}{path.suffix}")
    partial.touch(mode=0o666, exist_ok=False)
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink()
        raise
