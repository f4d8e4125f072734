"""What a reproduction of a paper gives: its numbers, its page, and its pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from matplotlib.figure import Figure

from nchain_agents.study.pool import Pool


class Page(NamedTuple):
    """A reproduction as it is written.

    Args:
        data: JSON-ready; nothing in it depends on clocks.
        markdown: The page, with links to the pictures beside it.
        pictures: The pictures by the names of their files.
    """

    data: dict[str, Any]
    markdown: str
    pictures: dict[str, Figure]


class Paper(Protocol):
    """A module of this package: it makes all runs of a paper and returns the page."""

    def reproduce(
        self,
        seeds: range,
        command: str,
        *,
        quick: bool,
        pool: Pool,
        track: Callable[[str, int], Callable[[int], None]],
    ) -> Page:
        """Make the runs and return the page.

        Args:
            seeds: The seeds of each agent, at least two.
            command: What the page says that it was written by.
            quick: Only check that everything runs.
            pool: Makes the runs; results do not depend on its jobs.
            track: Called with a name and a number of runs; what it returns is called with the
                number of runs that have finished since.
        """
