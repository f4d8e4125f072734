"""The command that installs an extra, for messages about a module that is missing."""

from __future__ import annotations

import json
import os
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname


def install_command(extra: str | None) -> str:
    """Return the pip command that installs an extra (None: only the package) where this one is.

    In a checkout, and where the package was installed from a folder, the command names that folder:
    `pip install -e '.[keras]'`. Elsewhere, it names the package: `pip install 'nchain-env[keras]'`.
    """
    folder, editable = _source()
    where = "nchain-env" if folder is None else "." if folder == Path.cwd() else str(folder)
    what = where if extra is None else f"{where}[{extra}]"
    quote = '"' if os.name == "nt" else "'"  # cmd.exe does not know the single one
    return f"pip install {'-e ' * editable}{quote}{what}{quote}"


def _source() -> tuple[Path | None, bool]:
    """Return the folder that this package comes from, if any, and whether it is imported there."""
    beside = Path(__file__).resolve().parents[1]
    project = beside / "pyproject.toml"
    if project.is_file() and 'name = "nchain-env"' in project.read_text(encoding="utf-8"):
        return beside, True
    try:
        # PEP 610: pip writes where it installed from, unless it was an index
        origin = json.loads(distribution("nchain-env").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        return None, False
    if "dir_info" not in origin:
        return None, False
    folder = Path(url2pathname(urlparse(origin["url"]).path))
    return (folder if folder.is_dir() else None), False
