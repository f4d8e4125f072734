"""The templates of pages, and the colours that they share with the pictures."""

from __future__ import annotations

import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from nchain_agents.report.pictures import COLOURS, INK, MUTED

# The colours of the pictures in dark mode, in the order of `pictures.COLOURS`.
_DARK_COLOURS = (
    "#4ba3e0",
    "#f5874f",
    "#2ec495",
    "#e39ac4",
    "#9ad4f5",
    "#f5bc45",
    "#f2f2f2",
    "#dd7398",
    "#c9c95c",
    "#a397f2",
)
# The CSS variable for each colour of the pictures; it has another value in dark mode.
CSS_COLOURS = {
    **{colour: f"var(--c{i})" for i, colour in enumerate(COLOURS)},
    INK: "var(--ink)",
    MUTED: "var(--muted)",
}
# The colours in the output of a notebook's cell, whose background may be light or dark: the almost
# black one of the pictures has the colour of the text.
CELL_COLOURS = {
    **{colour: colour for colour in COLOURS},
    **dict.fromkeys((COLOURS[6], INK, MUTED), "currentColor"),
}


def with_code(text: str) -> Markup:
    """Return a text with what stands between backticks as code."""
    return Markup(re.sub("`(.*?)`", r"<code>\1</code>", str(escape(text))))


def rendered(template: str, **values: Any) -> str:
    """Return a page of a template in this package."""
    environment = Environment(
        loader=PackageLoader("nchain_agents", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = with_code
    values |= {"colours": COLOURS, "dark_colours": _DARK_COLOURS}
    return environment.get_template(template).render(**values)
