"""A module that is missing is named together with what installs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needed_for(what: str, extra: str) -> Iterator[None]:
    """Say what installs a module that an import in the `with` block does not find.

    Args:
        what: What needs it.
        extra: The extra of nchain-env that brings it.

    Raises:
        ModuleNotFoundError: A module is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            f"{what} needs {missing.name}: pip install 'nchain-env[{extra}]'", name=missing.name
        ) from missing
