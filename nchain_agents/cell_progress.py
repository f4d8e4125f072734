"""A progress bar that is one output of a notebook's cell, which needs no ipywidgets."""

from __future__ import annotations

import time
from typing import Any

from IPython.display import display
from rich.console import Console
from rich.progress import Progress, ProgressColumn

# In letters, and in seconds
_WIDTH, _INTERVAL = 100, 0.2


class CellProgress(Progress):
    """rich's progress bar as text that is replaced: rich's own needs ipywidgets.

    It is drawn in the thread that advances it. Outputs of another thread could get into the cell
    that runs next.
    """

    def __init__(self, *columns: ProgressColumn, disable: bool = False) -> None:
        console = Console(force_jupyter=False, color_system=None, width=_WIDTH)
        super().__init__(*columns, console=console, auto_refresh=False, disable=disable)
        self._output: Any = None
        self._drawn = 0.0

    def start(self) -> None:
        """Show the bar, if it is not shown yet."""
        if not self.disable and self._output is None:
            self._output = display(self._text(), raw=True, display_id=True)

    def stop(self) -> None:
        """Show the bar as it is in the end."""
        if self._output is not None:
            self._output.update(self._text(), raw=True)

    def refresh(self) -> None:
        """Show the bar as it is now, unless it was drawn just before."""
        now = time.monotonic()
        if self._output is not None and now - self._drawn >= _INTERVAL:
            self._drawn = now
            self._output.update(self._text(), raw=True)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Change a task; see rich."""
        super().update(*args, **kwargs)
        self.refresh()

    def advance(self, *args: Any, **kwargs: Any) -> None:
        """Advance a task; see rich."""
        super().advance(*args, **kwargs)
        self.refresh()

    def _text(self) -> dict[str, str]:
        with self.console.capture() as captured:
            self.console.print(self.get_renderable())
        return {"text/plain": captured.get().strip()}
