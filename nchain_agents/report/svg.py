"""Pictures as SVG elements of an HTML page, in the colours of the page."""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Mapping

from markupsafe import Markup
from matplotlib import style

from nchain_agents.report.pictures import STYLE, Picture


def inline(picture: Picture, name: str, colours: Mapping[str, str]) -> Markup:
    """Return a picture as an `<svg>` element of an HTML page. Equal pictures give equal text.

    Args:
        picture: The picture. Its title and its text become those of the element.
        name: The prefix of all ids in the element, which must be unique in a page.
        colours: The replacement of each colour of the picture, as `{"#222222": "var(--ink)"}`.
    """
    text = io.StringIO()
    settings = [*STYLE, {"svg.fonttype": "none", "svg.hashsalt": name}]
    with style.context(settings), warnings.catch_warnings():
        # The browser's fonts may have a character that matplotlib's lack.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        picture.figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    # This XML was written by matplotlib, so it has no harmful entities.
    drawn = ET.fromstring(text.getvalue())
    box = drawn.get("viewBox", "")
    used = set(re.findall(r"#([\w-]+)", " ".join(_references(drawn))))
    for element in drawn.iter():
        _adapt(element, name, used, colours)
    for child in list(drawn):
        if child.tag == "metadata":
            drawn.remove(child)
    for definitions in drawn.findall("defs"):
        for sheet in definitions.findall("style"):  # it would apply to the whole page
            definitions.remove(sheet)
    drawn.attrib = {
        "viewBox": box,
        "role": "img",
        "aria-labelledby": f"{name}-title",
        "aria-describedby": f"{name}-text",
    }
    title = ET.Element("title", id=f"{name}-title")
    title.text = picture.title
    description = ET.Element("desc", id=f"{name}-text")
    description.text = picture.text
    drawn[:0] = [title, description]
    return Markup(ET.tostring(drawn, encoding="unicode"))


def _references(drawn: ET.Element) -> list[str]:
    """Return the attributes that refer to other elements."""
    return [
        value
        for element in drawn.iter()
        for key, value in element.attrib.items()
        if key.endswith("href") or value.startswith("url(#")
    ]


def _adapt(element: ET.Element, name: str, used: set[str], colours: Mapping[str, str]) -> None:
    element.tag = element.tag.rpartition("}")[2]
    attributes = {}
    for key, value in element.attrib.items():
        key = key.rpartition("}")[2]
        if key == "id":
            if value not in used:
                continue
            value = f"{name}-{value}"
        elif key == "href" or value.startswith("url(#"):
            value = value.replace("#", f"#{name}-")
        elif key == "style":
            value = re.sub(r"font: (\S+) [^;]*", r"font-size: \1", value)
            value = re.sub(r"#[0-9a-f]{6}", lambda found: colours[found[0]], value)
        attributes[key] = value
    element.attrib = attributes
