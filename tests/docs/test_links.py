"""The pages read well on GitHub too: links have a text and lead somewhere; prose comes first."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "nchain_agents").rglob("*.md.j2"),  # `nchain reproduce` writes pages with these
]
LINK = re.compile(r"\[([^][]*)\]\(([^()\s]+)\)")
SCREEN = 15  # lines of a page that are seen first


def names(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^ *(```+).*?^ *\1", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_link_has_a_text_and_leads_somewhere(page: Path) -> None:
    for text, target in LINK.findall(prose(page)):
        assert text.strip(), f"no text: []({target})"
        path, _, anchor = target.partition("#")
        if re.match(r"https?:|mailto:", target) or page.suffix == ".j2":
            continue
        linked = page.parent / path if path else page
        assert linked.exists(), target
        if linked.name.startswith("reference-") and "." in anchor:  # Sphinx's anchor of a name
            assert re.search(rf"\b{anchor.rpartition('.')[2]}\b", linked.read_text()), target
        elif anchor:
            assert anchor in anchors(linked), target


@pytest.mark.parametrize("page", [page for page in PAGES if page.suffix == ".md"], ids=names)
def test_no_page_begins_with_what_only_sphinx_understands(page: Path) -> None:
    for line in page.read_text().splitlines()[:SCREEN]:
        assert not re.match(r" *```+\{|:::|%|\([\w-]+\)=", line), line


@pytest.mark.parametrize("page", [page for page in PAGES if page.suffix == ".md"], ids=names)
def test_no_page_has_roles_in_its_text(page: Path) -> None:
    assert not re.findall(r"\{[\w:-]+\}`", prose(page))
