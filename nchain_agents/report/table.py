"""A table of text, with views for the terminal, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from markupsafe import Markup
from rich.box import SIMPLE_HEAD
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

    def rich(self) -> RichTable:
        """Return the table for a terminal, with its caption and its note."""
        table = RichTable(
            title=Text(self.caption, "table.title"),
            caption=Text(self.note, "table.caption") if self.note else None,
            caption_justify="left",
            box=SIMPLE_HEAD,
            collapse_padding=True,  # to fit into 80 columns
            pad_edge=False,
        )
        for i, name in enumerate(self.columns):
            table.add_column(
                Text(name.replace(" ", "\n", 1) if self.align == "right" else name),
                justify=self.align if i else "left",
                no_wrap=name not in self.long,
                overflow="fold" if name in self.long else "ellipsis",
            )
        for rows in (self.rows, self.references):
            for row in rows:
                table.add_row(*map(Text, row))  # a Text is not parsed as markup
            table.add_section()
        return table

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
