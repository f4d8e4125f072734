"""The command that a message gives installs the extra wherever the package came from."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nchain_env import extras


def said(root: Path, folder: Path) -> str:
    """Return what the module says in a folder, where its package lies in `root`."""
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r})\n"
        "from nchain_env.extras import install_command; print(install_command('keras'))"
    )
    # -I -S: no other package is found
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of a package that has only the module."""
    package = tmp_path / "root" / "nchain_env"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    shutil.copy(extras.__file__, package)
    return package.parent


def record(root: Path, origin: dict[str, object]) -> None:
    """Record an installation as pip does (PEP 610)."""
    folder = root / "nchain_env-0.1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.4\nName: nchain-env\nVersion: 0.1.0\n")
    if origin:
        (folder / "direct_url.json").write_text(json.dumps(origin))


def test_in_a_checkout_it_names_the_checkout(root: Path, tmp_path: Path) -> None:
    (root / "pyproject.toml").write_text('[project]\nname = "nchain-env"\n')
    assert said(root, root) == "pip install -e '.[keras]'"
    assert said(root, tmp_path) == f"pip install -e '{root}[keras]'"


def test_a_copy_installed_from_a_checkout_names_the_checkout(root: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "my checkout"
    checkout.mkdir()
    record(root, {"url": checkout.as_uri(), "dir_info": {}})
    assert said(root, checkout) == "pip install '.[keras]'"
    assert said(root, tmp_path) == f"pip install '{checkout}[keras]'"
    checkout.rmdir()
    assert said(root, tmp_path) == "pip install 'nchain-env[keras]'"


@pytest.mark.parametrize(
    "origin", [{}, {"url": "file:///tmp/nchain_env-0.1.0-py3-none-any.whl", "archive_info": {}}]
)
def test_installed_from_an_index_or_a_wheel_it_names_the_package(
    origin: dict[str, object], root: Path, tmp_path: Path
) -> None:
    record(root, origin)
    assert said(root, tmp_path) == "pip install 'nchain-env[keras]'"


def test_not_installed_it_names_the_package(root: Path, tmp_path: Path) -> None:
    (root / "pyproject.toml").write_text('[project]\nname = "another"\n')
    assert said(root, tmp_path) == "pip install 'nchain-env[keras]'"
