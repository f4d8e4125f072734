"""The benchmarks' tables: printed, and where `--benchmark-table` asks written as Markdown."""

import inspect
import os
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

Table = list[tuple[str, str, str]]
SECTIONS = pytest.StashKey[list[str]]()
PACKAGES = (
    "nchain-env",
    "gymnasium",
    "numpy",
    "numba",
    "envpool",
    "keras",
    "tensorflow",
    "jax",
    "stable_baselines3",
    "torch",
    "sbx-rl",
)
HEAD = """\
# Side by side

How fast this package is beside others, measured on one machine in one run:

```console
pip install -c constraints.txt -e ".[all,dev,bench]"
pip install -c constraints.txt sbx-rl
pytest tests/benchmarks -m slow -s --benchmark-table docs/benchmarks.md
```

That wrote this page. Machine: {machine}. Versions: {versions}.
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--benchmark-table",
        type=Path,
        metavar="FILE",
        help="write the tables of tests/benchmarks to FILE, as a page of Markdown",
    )


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    """Rows (what was measured, result, what is wanted), printed when all are there."""
    rows: Table = []
    yield rows
    if not rows:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    print("\n")
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    request.config.stash.setdefault(SECTIONS, []).append(section(request.module, rows))


def section(module: object, rows: Table) -> str:
    """Return the docstring of a benchmark and its table as Markdown."""
    title, _, text = (inspect.getdoc(module) or "").partition("\n\n")
    lines = [("measured", "result", "aim"), ("---",) * 3, *rows]
    body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"## {title.rstrip('.')}\n\n{text}\n\n{body}\n"


def machine() -> str:
    """Return the processor and how many cores there are."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def versions() -> Iterator[str]:
    """Yield the versions of Python and of what is measured, as far as it is installed."""
    yield f"Python {platform.python_version()}"
    for name in PACKAGES:
        try:
            yield f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--benchmark-table", None)
    sections = session.config.stash.get(SECTIONS, None)
    if path is not None and sections:
        head = HEAD.format(machine=machine(), versions=", ".join(versions()))
        path.write_text("\n".join([head, *sections]), encoding="utf-8")
