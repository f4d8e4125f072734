"""The rules of the house that a program can check: private names, and circles of imports."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import nchain_agents
import nchain_env

FOLDERS = [Path(package.__path__[0]) for package in (nchain_agents, nchain_env)]
# What begins with an underscore and is public: the methods of named tuples, how a process ends
# without Python, and what IPython calls to show an object.
DOCUMENTED = {"_asdict", "_replace", "_exit", "_repr_html_", "_repr_png_"}
# Gymnasium's TimeLimit has no public name for its limit and for the steps since the reset.
NO_PUBLIC_NAME = {
    "nchain_agents.model_env": {"_elapsed_steps"},
    "nchain_env.known_tables": {"_max_episode_steps"},
}


def module_name(file: Path, folder: Path) -> str:
    parts = [folder.name, *file.relative_to(folder).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {
    module_name(file, folder): ast.parse(file.read_text(encoding="utf-8"))
    for folder in FOLDERS
    for file in sorted(folder.rglob("*.py"))
}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def own_names(tree: ast.Module) -> set[str]:
    """The private names that a module defines, as functions, variables or attributes of `self`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                names.add(name)
    return names


def foreign_private_names(tree: ast.Module) -> Iterator[str]:
    """Yield the private names that a module takes from others, with their lines."""
    own = own_names(tree)
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(names=aliases) | ast.Import(names=aliases):
                for alias in aliases:
                    if any(is_private(part) for part in alias.name.split(".")):
                        yield f"line {node.lineno}: {alias.name}"
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super"))):
                pass
            case ast.Attribute(attr=name) if is_private(name) and name not in own:
                yield f"line {node.lineno}: {name}"


TESTS = Path(__file__).parent
PRIVATE = {name for tree in TREES.values() for name in own_names(tree) if is_private(name)}
PRIVATE -= {"_", *DOCUMENTED}


def words(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield what a test names: attributes, methods, imports, and words in strings, with its line.

    A string may be an argument of `setattr`, or the code of another process.
    """
    for node in ast.walk(tree):
        match node:
            case (
                ast.Attribute(attr=text)
                | ast.FunctionDef(name=text)
                | ast.alias(name=text)
                | ast.Constant(value=str(text))
            ):
                yield from ((node.lineno, word) for word in re.findall(r"\w+", text))


def imported(name: str, tree: ast.Module) -> set[str]:
    """The modules of the two packages that a module imports, wherever it does."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports by a relative name"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in TREES else str(node.module))
    return found & TREES.keys() - {name}


@pytest.mark.parametrize("name", TREES)
def test_a_module_uses_only_public_names_of_others(name: str) -> None:
    allowed = DOCUMENTED | NO_PUBLIC_NAME.get(name, set())
    used = [use for use in foreign_private_names(TREES[name]) if use.split()[-1] not in allowed]
    assert not used


@pytest.mark.parametrize(
    "file", sorted(TESTS.rglob("*.py")), ids=lambda file: str(file.relative_to(TESTS))
)
def test_a_test_names_nothing_private_of_the_packages(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert not [f"line {line}: {word}" for line, word in words(tree) if word in PRIVATE]


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: imported(name, tree) for name, tree in TREES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_checks_see_what_they_look_for() -> None:
    code = "from a import _b\nimport c._d\nx._e()\nself._f = 1\ny._f\nsuper()._g()\nz.__h__"
    assert list(foreign_private_names(ast.parse(code))) == [
        "line 1: _b",
        "line 2: c._d",
        "line 3: _e",
    ]
    code = "import a._b\nc._d\ndef _e(): ...\nset(x, '_f')\nrun('x._g()')\n"
    assert sorted(found for found in words(ast.parse(code)) if is_private(found[1])) == [
        (1, "_b"),
        (2, "_d"),
        (3, "_e"),
        (4, "_f"),
        (5, "_g"),
    ]
    code = "if TYPE_CHECKING:\n    import nchain_env.mdp\ndef f():\n    import nchain_agents.agent"
    assert imported("x", ast.parse(code)) == {"nchain_env.mdp", "nchain_agents.agent"}
