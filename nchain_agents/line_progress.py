"""A progress bar where nothing can be redrawn, as in a file or a pipe."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import Progress, ProgressColumn

# In seconds
_INTERVAL = 30.0


class LineProgress(Progress):
    """rich's progress bar as a line every half minute; rich's own prints one line at the end."""

    def __init__(self, *columns: ProgressColumn, console: Console, disable: bool = False) -> None:
        super().__init__(*columns, console=console, auto_refresh=False, disable=disable)
        self._printed = time.monotonic()

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Change a task; see rich."""
        super().update(*args, **kwargs)
        self._print()

    def advance(self, *args: Any, **kwargs: Any) -> None:
        """Advance a task; see rich."""
        super().advance(*args, **kwargs)
        self._print()

    def _print(self) -> None:
        now = time.monotonic()
        if self.live.is_started and now - self._printed >= _INTERVAL:
            self._printed = now
            self.console.print(self.get_renderable())
