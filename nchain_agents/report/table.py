"""A table of text, with views for the terminal, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from markupsafe import Markup
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text


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
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    references: Sequence[Sequence[str]] = ()
    align: Literal["left", "right"] = "right"
    long: Collection[str] = ()
    note: str = ""

    def rich(self, width: int | None = None) -> Group:
        """Return the table for a terminal, with its caption and its note.

        Args:
            width: The width of the terminal. Columns that do not fit are continued below, with the
                names of the rows again. None: all columns beside each other.
        """
        gap, blocks = self._blocks(width)
        parts = [self._rich(block, gap, title=not i) for i, block in enumerate(blocks)]
        note = [Text(self.note + "\n", "table.caption")] if self.note else []
        return Group(*parts, *note)

    def _rich(self, columns: Sequence[int], gap: int, title: bool) -> RichTable:
        table = RichTable(
            title=Text(self.caption, "table.title") if title else None,
            box=SIMPLE_HEAD,
            padding=(0, gap - 1),
            collapse_padding=True,
            pad_edge=False,
        )
        for i in columns:
            name = self.columns[i]
            table.add_column(
                Text(self._heading(i)),
                justify=self.align if i else "left",
                no_wrap=name not in self.long,
                overflow="fold" if name in self.long else "ellipsis",
            )
        for rows in (self.rows, self.references):
            for row in map(self._filled, rows):
                table.add_row(*(Text(row[i]) for i in columns))  # a Text is not parsed as markup
            table.add_section()
        return table

    def _blocks(self, width: int | None) -> tuple[int, list[list[int]]]:
        """Return the gap between columns, and the columns of each part that fits into the width."""
        numbers = range(1, len(self.columns))
        whole = [[0, *numbers]]
        if width is None or self.long:  # what is long takes several lines instead
            return 2, whole
        cells = [self._filled(row) for row in (*self.rows, *self.references)]
        widths = [
            max(map(cell_len, (*self._heading(i).split("\n"), *(row[i] for row in cells))))
            for i in range(len(self.columns))
        ]

        def fits(columns: Sequence[int], gap: int) -> bool:
            return sum(gap + widths[i] for i in columns) + widths[0] + 2 <= width  # two edges

        for gap in (2, 1):
            if fits(numbers, gap):
                return gap, whole
        for most in range(len(numbers) - 1, 1, -1):  # as many columns in each part, but the last
            parts = [numbers[k : k + most] for k in range(0, len(numbers), most)]
            if all(fits(part, 2) for part in parts):
                return 2, [[0, *part] for part in parts]
        return 2, [[0, i] for i in numbers]

    def _heading(self, i: int) -> str:
        """Return the name of a column, on two lines if that makes it narrower."""
        name = self.columns[i]
        if self.align == "left":
            return name
        if " " in name or i == 0 or len(name) <= 10:
            return name.replace(" ", "\n", 1)
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
