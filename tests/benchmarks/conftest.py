from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def table() -> Iterator[list[tuple[str, str, str]]]:
    """Rows (what was measured, result, what is wanted), printed when all are there."""
    rows: list[tuple[str, str, str]] = []
    yield rows
    if not rows:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    print("\n")
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
