"""Pages in Markdown, from templates, and how the terminal shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files as package_files
from itertools import groupby
from typing import Any

from jinja2 import Environment, StrictUndefined
from rich.console import Console
from rich.markdown import Markdown

from nchain_agents.report.table import Table
from nchain_agents.report.terminal import show


def markdown_page(package: str, template: str, **values: Any) -> str:
    """Return a page of a template in a package; `Table` is known to it."""
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = package_files(package).joinpath(template).read_text(encoding="utf-8")
    page = environment.from_string(text).render(Table=Table, **values)
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def show_markdown(console: Console, markdown: str) -> None:
    """Print a page without its pictures."""
    shown = [line for line in markdown.splitlines() if not line.startswith("![")]
    for tabular, lines in groupby(shown, lambda line: line.startswith("|")):
        if tabular:
            show(_table(list(lines)))
        else:
            console.print(Markdown("\n".join(lines)))


def _table(lines: Sequence[str]) -> Table:
    """Return the table that lines of Markdown have."""
    columns, _, *rows = (
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
        for line in lines
    )
    return Table("", columns, rows)
