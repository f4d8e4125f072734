"""The notebook in the documentation: it runs, and is committed as it runs, with its outputs."""

import re
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs the dev extra")

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "notebooks" / "first-steps.ipynb"


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell: Any) -> list[tuple[str, ...]]:
    """What a cell shows: the kinds of its outputs, with their formats.

    Lines that are printed may come in one output or in several.
    """
    found = [(one.output_type, *sorted(one.get("data", {}))) for one in cell.outputs]
    return [
        kind
        for kind, before in zip(found, [(), *found], strict=False)
        if kind != ("stream",) or before != kind
    ]


def check(notebook: Any) -> None:
    """See that nothing failed, was written to stderr, or is an unfinished progress bar."""
    for cell in code_cells(notebook):
        for one in cell.outputs:
            assert one.output_type != "error"
            assert one.get("name") != "stderr", one.text
            bar = one.get("data", {}).get("text/plain", "")
            if one.output_type == "display_data":
                done = re.search(r"(\d+)/(\d+) ", bar)
                assert "100%" in bar or (done and done[1] == done[2]), bar


def test_the_notebook_is_committed_with_its_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    check(notebook)
    without = [cell.id for cell in code_cells(notebook) if not cell.outputs]
    assert without == ["install", "learner"]


def test_the_notebook_does_not_say_where_or_when_it_ran() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert not any(cell.metadata for cell in notebook.cells)
    for folder in (str(ROOT), str(Path.home()), "site-packages"):
        assert folder not in NOTEBOOK.read_text()


def test_its_badge_opens_it_in_colab() -> None:
    first = nbformat.read(NOTEBOOK, as_version=4).cells[0].source
    (address,) = re.findall(r"\((https://colab\.research\.google\.com/github/[^)]*)\)", first)
    assert address.endswith(f"/blob/main/{NOTEBOOK.relative_to(ROOT).as_posix()}")


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="needs the dev extra")
    pytest.importorskip("keras", reason="needs the keras extra")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    shown = [kinds(cell) for cell in code_cells(notebook)]
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=120, resources=resources).execute()
    check(notebook)
    assert [kinds(cell) for cell in code_cells(notebook)] == shown
