"""Progress bars, drawn by rich."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nchain_agents.extras import needed_for


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
    with rich.Progress(*columns) as progress:
        task = progress.add_task("learning", total=total)

        def show(steps: int, episode_return: float) -> None:
            speed = steps / (time.perf_counter() - start)
            said = f"{speed:,.0f} steps/s, return {episode_return:,.1f}"
            progress.update(task, completed=steps, description=said)

        yield show
        progress.update(task, completed=total)
