"""Tables in a terminal, and in a pipe or a file, which have no width."""

from __future__ import annotations

import os

from rich.console import Console

from nchain_agents.report.table import Table


def show(table: Table, elsewhere: str = "") -> None:
    """Print a table.

    A terminal, and the environment variable COLUMNS, have a width; see `Table.rich`. In a pipe or a
    file all columns are beside each other.

    Args:
        table: The table.
        elsewhere: What shows the columns that a terminal has no room for.
    """
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(width=max(console.width, table.width))
    console.print(table.rich(console.width, elsewhere))
