"""Progress bars, drawn by rich, in a terminal and in a notebook."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nchain_agents.extras import needed_for

if TYPE_CHECKING:
    from rich.progress import Progress


def progress(*columns: Any, disable: bool = False) -> Progress:
    """Return a progress bar on stderr, or in the output of a notebook's cell.

    Where stderr is no terminal, it is a line every half minute.

    Args:
        columns: rich's columns; none: a spinner, the description, the bar and the times.
        disable: Show nothing.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

    columns = columns or (SpinnerColumn(), *Progress.get_default_columns(), TimeElapsedColumn())
    console = Console(stderr=True)
    if console.is_jupyter:
        from nchain_agents.cell_progress import CellProgress

        return CellProgress(*columns, disable=disable)
    if not console.is_terminal:
        from nchain_agents.line_progress import LineProgress

        return LineProgress(*columns, console=console, disable=disable)
    return Progress(*columns, console=console, disable=disable)


def wanted(progress_bar: bool | None) -> bool:
    """Return whether to show progress: as asked; for None, in a terminal and in a notebook."""
    if progress_bar is not None:
        return progress_bar
    from rich.console import Console

    console = Console(stderr=True)
    return console.is_terminal or console.is_jupyter


@contextmanager
def training_progress(total: int, shown: bool) -> Iterator[Callable[[int, float], None]]:
    """Yield a function that shows (steps done, return of the last episode); one bar if `shown`."""
    if not shown:
        yield lambda steps, episode_return: None
        return
    with needed_for("progress_bar=True", "agents"):
        from rich import progress as rich

    columns = (
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn("{task.description}"),
        rich.TimeElapsedColumn(),
    )
    start = time.perf_counter()
    with progress(*columns) as bar:
        task = bar.add_task("learning", total=total)

        def show(steps: int, episode_return: float) -> None:
            speed = steps / (time.perf_counter() - start)
            said = f"{speed:,.0f} steps/s, return {episode_return:,.1f}"
            bar.update(task, completed=steps, description=said)

        yield show
        bar.update(task, completed=total)
