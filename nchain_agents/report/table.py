"""A table of text, with views for the terminal, Markdown and HTML."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

from markupsafe import Markup
from rich.box import SIMPLE_HEAD, Box
from rich.cells import cell_len
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

# Also where there is no "─": the command writes "-" there (see cli/plain_text.py).
_BOX = Box(str(SIMPLE_HEAD), ascii=True)
# The least width of a column of long text.
_LONG = 24


class _Shape(NamedTuple):
    """How a terminal shows a table."""

    gap: int  # between the columns
    blocks: Sequence[Sequence[int]]  # the columns of each part, the names of the rows first
    dropped: Sequence[int]  # the columns that are left out
    limits: Mapping[int, int]  # the widths of the columns whose text takes several lines


@dataclass(frozen=True)
class Table:
    """A table of text.

    Args:
        caption: The title.
        columns: The names of the columns. The first column has the names of the rows.
        rows: The rows, each as long as `columns`.
        references: Rows for comparison, shown below the others. They may be shorter.
        align: The alignment of all columns but the first, which is aligned to the left.
        long: The names of the columns whose text may take several lines.
        note: An explanation of the table.
        droppable: The names of the columns that a terminal too narrow for all does not show: the
            first one is left out first.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    references: Sequence[Sequence[str]] = ()
    align: Literal["left", "right"] = "right"
    long: Collection[str] = ()
    note: str = ""
    droppable: Sequence[str] = ()

    def rich(self, width: int | None = None, elsewhere: str = "") -> Group:
        """Return the table for a terminal, with its caption and its note.

        Args:
            width: The width of the terminal. Columns that do not fit are left out if they are
                droppable, which a line below says; else they are continued below, with the names of
                the rows again. None: all columns beside each other.
            elsewhere: What shows the columns that are left out.
        """
        shape = self._shape(width)
        parts = [self._rich(block, shape, title=not i) for i, block in enumerate(shape.blocks)]
        below = [Text(self.note + "\n", "table.caption")] if self.note else []
        if shape.dropped:
            names = ", ".join(self.columns[i] for i in shape.dropped)
            ways = " or ".join(filter(None, (elsewhere, f"a width of {self.width}")))
            below.insert(0, Text(f"left out: {names}; {ways} shows them\n"))
        return Group(*parts, *below)

    @property
    def width(self) -> int:
        """The least width of a terminal that shows all columns beside each other."""
        return sum(1 + width for width in self._widths()) + 1  # gaps, and the two edges

    def _rich(self, columns: Sequence[int], shape: _Shape, title: bool) -> RichTable:
        table = RichTable(
            title=Text(self.caption, "table.title") if title and self.caption else None,
            box=_BOX,
            padding=(0, shape.gap - 1),
            collapse_padding=True,
            pad_edge=False,
        )
        for i in columns:
            table.add_column(
                Text(self._heading(i)),
                justify=self.align if i else "left",
                no_wrap=self.columns[i] not in self.long and i not in shape.limits,
                max_width=shape.limits.get(i),
                overflow="fold",
            )
        for rows in (self.rows, self.references):
            for row in map(self._filled, rows):
                table.add_row(*(Text(row[i]) for i in columns))  # a Text is not parsed as markup
            table.add_section()
        return table

    def _shape(self, width: int | None) -> _Shape:
        """Return which columns are shown in a terminal of a width, and how."""
        numbers = list(range(1, len(self.columns)))
        widths = self._widths()
        if width is None:
            return _Shape(2, [[0, *numbers]], [], {})
        # What is wider takes several lines; the names of the rows leave half of the width free.
        name = min(widths[0], max(1, (width - 4) // 2))
        most = [name, *(max(1, width - name - 4) for _ in numbers)]
        limits = {i: most[i] for i in range(len(widths)) if widths[i] > most[i]}
        widths = [min(pair) for pair in zip(widths, most, strict=True)]

        def fits(columns: Sequence[int], gap: int) -> bool:
            return sum(gap + widths[i] for i in columns) + widths[0] + 2 <= width

        order = [self.columns.index(name) for name in self.droppable]
        for k in range(len(order) + 1):
            shown = [i for i in numbers if i not in order[:k]]
            for gap in (2, 1):
                if fits(shown, gap):
                    return _Shape(gap, [[0, *shown]], sorted(order[:k]), limits)
        for size in range(len(shown), 0, -1):  # as many columns in each part, but the last
            parts = [shown[k : k + size] for k in range(0, len(shown), size)]
            if size == 1 or all(fits(part, 2) for part in parts):
                break
        return _Shape(2, [[0, *part] for part in parts], sorted(order), limits)

    def _widths(self) -> list[int]:
        """Return the widths of the columns, those of long text at least."""
        cells = [self._filled(row) for row in (*self.rows, *self.references)]
        widths = [
            max(map(cell_len, (*self._heading(i).split("\n"), *(row[i] for row in cells))))
            for i in range(len(self.columns))
        ]
        return [
            min(one, _LONG) if name in self.long else one
            for name, one in zip(self.columns, widths, strict=True)
        ]

    def _heading(self, i: int) -> str:
        """Return the name of a column, on two lines if that makes it narrower."""
        name = self.columns[i]
        if self.align == "left":
            return name
        if " " in name or i == 0 or len(name) <= 10:
            return re.sub(" (?!%)", "\n", name, count=1)  # 95 % stays together
        places = [k + 1 for k, letter in enumerate(name[:-1]) if letter == "-"]
        half = min(places, key=lambda k: max(k, len(name) - k), default=len(name))
        return f"{name[:half]}\n{name[half:]}".rstrip()

    def markdown(self) -> str:
        """Return the table as Markdown, without its caption and its note."""
        rule = ["---:" if i and self.align == "right" else "---" for i in range(len(self.columns))]
        lines = [self.columns, rule, *self.rows, *map(self._filled, self.references)]
        cells = ([text.replace("|", "\\|") for text in line] for line in lines)
        return "\n".join(f"| {' | '.join(line)} |" for line in cells)

    def html(self, kind: str = "") -> Markup:
        """Return the table as HTML, in a scrollable box with the caption as its label.

        Args:
            kind: The CSS class of the table.
        """
        kinds = f"words {kind}".strip() if self.align == "left" else kind
        names = Markup("").join(Markup('<th scope="col">{}</th>').format(n) for n in self.columns)
        return Markup(
            '<div class="scroll" role="region" aria-label="{}" tabindex="0">\n'
            '<table class="{}">\n<thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody>\n</table>\n</div>'
        ).format(self.caption, kinds, names, Markup("").join(self._html_rows()))

    def _html_rows(self) -> Iterator[Markup]:
        for rows, kind in ((self.rows, ""), (self.references, ' class="reference"')):
            for name, *texts in map(self._filled, rows):
                cells = Markup("").join(
                    Markup(
                        '<td class="long">{}</td>' if column in self.long else "<td>{}</td>"
                    ).format(text)
                    for column, text in zip(self.columns[1:], texts, strict=True)
                )
                yield Markup('<tr{}><th scope="row">{}</th>{}</tr>\n').format(
                    Markup(kind), name, cells
                )

    def _filled(self, row: Sequence[str]) -> Sequence[str]:
        return [*row, *[""] * (len(self.columns) - len(row))]


class Folded(str):
    """Text of a table with a folded part, which only HTML has."""

    def __new__(cls, text: str, more: str, about: str) -> Self:
        """Return a text with a folded part.

        Args:
            text: The text that is always shown.
            more: The folded text.
            about: The summary of the folded text.
        """
        folded = super().__new__(cls, text)
        folded.more, folded.about = more, about
        return folded

    more: str
    about: str

    def __html__(self) -> str:
        return Markup("{}<details><summary>{}</summary><pre>{}</pre></details>").format(
            str(self), self.about, self.more
        )
