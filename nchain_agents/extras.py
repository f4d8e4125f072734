"""Errors that name the extra which installs a missing module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needed_for(what: str, extra: str) -> Iterator[None]:
    """Name the extra of nchain-env where an import in the block fails that `what` needs."""
    try:
        yield
    except ModuleNotFoundError as missing:
        from nchain_env.extras import (
            install_command,  # with Gymnasium, which `--help` does not need
        )

        raise ModuleNotFoundError(
            f"{what} needs {missing.name}: {install_command(extra)}", name=missing.name
        ) from missing
