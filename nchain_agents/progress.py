"""Progress bars, drawn by rich."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def training_progress(total: int, shown: bool) -> Iterator[Callable[[int, float], None]]:
    """Yield a function that shows (steps done, return of the last episode); one bar if `shown`.

    Raises:
        ModuleNotFoundError: `shown`, and rich is not installed.
    """
    if not shown:
        yield lambda steps, episode_return: None
        return
    try:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            "progress_bar=True needs rich: pip install 'nchain-env[agents]'", name=missing.name
        ) from missing

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    start = time.perf_counter()
    with Progress(*columns) as progress:
        task = progress.add_task("learning", total=total)

        def show(steps: int, episode_return: float) -> None:
            speed = steps / (time.perf_counter() - start)
            said = f"{speed:,.0f} steps/s, return {episode_return:,.1f}"
            progress.update(task, completed=steps, description=said)

        yield show
        progress.update(task, completed=total)
