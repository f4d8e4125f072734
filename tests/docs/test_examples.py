"""Every example in the documentation and the README runs as it stands.

In a page, from top to bottom and in one folder: `python` blocks in one namespace, `bash` blocks by
bash, and a block whose first line is a comment with the name of a file becomes that file. Blocks
marked `console` show what is not run. `<!-- skip: next if(not slow) -->` keeps a block for
`pytest -m slow`, and `<!-- skip: next if(not found("sb3_contrib")) -->` for those who have that
package.
"""

import os
import re
import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import SkipTest

import pytest

pytest.importorskip("sybil", reason="needs the dev extra")

from sybil import Document, Example
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.myst import CodeBlockParser, SkipParser

ROOT = Path(__file__).parents[2]
# Pages whose examples make whole studies or checks: they run with `pytest -m slow` only.
LONG = {
    "docs/check-your-agent.md",
    "docs/command-line.md",
    "docs/getting-started.md",
    "docs/measures.md",
    "docs/own-agents.md",
    "docs/studies.md",
    "docs/tables.md",
    "docs/other-libraries.md",
}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

pytestmark = [
    # Keras reads JAX's arrays in a way that NumPy warns about
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning"),
]


def file_name(example: Example) -> str | None:
    """Return the name in the first line of a block, or that of its caption."""
    name = re.match(r"# ([\w/]+\.\w+)\n", example.parsed)
    caption: str | None = example.region.lexemes.get("options", {}).get("caption")
    return name[1] if name else caption


def data(example: Example) -> None:
    name = file_name(example)
    if name is not None:
        Path(name).write_text(example.parsed)
    elif example.region.lexemes["arguments"] == "toml":
        tomllib.loads(example.parsed)


def python(example: Example) -> None:
    name = file_name(example)
    if name is not None:
        Path(name).write_text(example.parsed)
    else:
        PythonEvaluator()(example)


def bash(example: Example) -> None:
    here = f"{example.path}, line {example.line}"
    if example.path == str(ROOT / "README.md"):
        return  # its two commands are run by .ci/run
    environment = {
        **os.environ,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "PYTHONPATH": str(ROOT),  # the package beside these tests, installed or not
    }
    command = ["bash", "-euo", "pipefail", "-c", example.parsed]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{here}:\n{example.parsed}\n{done.stdout}\n{done.stderr}"


def parsers() -> list[Any]:
    files = [CodeBlockParser(language, data) for language in ("toml", "yaml")]
    return [*files, CodeBlockParser("python", python), CodeBlockParser("bash", bash), SkipParser()]


def pages() -> list[Any]:
    found = []
    for page in PAGES:
        if not any(fence in page.read_text() for fence in ("```python", "```bash")):
            continue
        name = str(page.relative_to(ROOT))
        if name not in LONG:
            found.append(pytest.param(page, False, id=name))
        if name in LONG or "if(not slow" in page.read_text():
            found.append(pytest.param(page, True, id=f"{name}-slow", marks=pytest.mark.slow))
    return found


@pytest.mark.parametrize(("page", "slow"), pages())
def test_the_examples_of_a_page_run(
    page: Path, slow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    document = Document.parse(str(page), *parsers())
    document.namespace.update(__name__="__main__", slow=slow, found=find_spec)
    for example in document.examples():
        with suppress(SkipTest):
            example.evaluate()
