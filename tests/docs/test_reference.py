"""Every public name has its place in the documentation's reference."""

import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import nchain_agents
import nchain_env
from nchain_env import planning

DOCS = Path(__file__).parents[2] / "docs"


def documented() -> set[str]:
    """The names that the reference has autodoc write about."""
    found = set()
    for page in DOCS.glob("reference-*.md"):
        for kind, name, members in re.findall(
            r"auto(class|function|module):: (\S+)(?:\n +:members: (.+))?", page.read_text()
        ):
            found |= {name} | {f"{name}.{member}" for member in members.split(", ") if member}
            assert kind != "module" or members, f"{page.name}: {name} without members"
    return found


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (nchain_env, nchain_env.__all__),
        (planning, planning.__all__),
        (nchain_agents, nchain_agents.__all__),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_public_name_is_in_the_reference(module: Any, names: list[str]) -> None:
    assert {f"{module.__name__}.{name}" for name in names} <= documented()


def test_what_the_reference_names_is_there_and_says_what_it_is() -> None:
    for path in sorted(documented()):
        owner, name = path, ""
        rest: list[str] = []
        while True:  # the longest beginning that is a module
            try:
                thing: Any = import_module(owner)
                break
            except ModuleNotFoundError:
                owner, _, name = owner.rpartition(".")
                rest.insert(0, name)
        for name in rest:
            thing = getattr(thing, name)
        assert inspect.getdoc(thing), path


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = set(re.findall(r"^[\w-]+$", (DOCS / "index.md").read_text(), re.MULTILINE))
    assert {page.stem for page in DOCS.glob("*.md")} - {"index"} <= listed


def test_every_picture_is_shown() -> None:
    shown = "".join(page.read_text() for page in DOCS.glob("*.md"))
    for picture in (DOCS / "pictures").iterdir():
        assert f"pictures/{picture.name}" in shown, picture.name
