"""What a release says about itself is the same in all places."""

import re
import tomllib
from pathlib import Path

import pytest

import nchain_env

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CITATION = (ROOT / "CITATION.cff").read_text()


def test_the_version_stands_in_the_package_and_the_citation_agrees() -> None:
    assert "version" not in PROJECT["project"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "nchain_env/__init__.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+", nchain_env.__version__)
    assert f"\nversion: {nchain_env.__version__}\n" in CITATION


def test_the_licence_is_named_as_spdx_does_and_its_text_is_there() -> None:
    assert PROJECT["project"]["license"] == "MIT"
    (licence,) = PROJECT["project"]["license-files"]
    assert (ROOT / licence).read_text().startswith("MIT License")
    assert "\nlicense: MIT\n" in CITATION


def test_the_addresses_are_the_same_everywhere() -> None:
    urls = PROJECT["project"]["urls"]
    assert f'\nurl: "{urls["Documentation"]}"\n' in CITATION
    assert f'\nrepository-code: "{urls["Source"]}"\n' in CITATION
    files = [
        ROOT / "pyproject.toml",
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob(".github/**/*.yml"),
    ]
    for file in files:
        for address in re.findall(
            r"https://[\w.-]*nchain[\w.-]*|https://(?:raw\.)?github.*?\.com/nchain.*?/[\w-]+",
            file.read_text(),
        ):
            page = address.replace("raw.githubusercontent.com", "github.com")
            assert page in (urls["Documentation"], urls["Source"]), f"{file.name}: {address}"


def test_all_has_every_extra_of_users() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    named = re.fullmatch(r"nchain-env\[(.+)\]", everything)
    assert named
    assert set(named[1].split(",")) == set(extras) - {"all", "docs", "dev", "bench"}


@pytest.mark.skipif(not (ROOT / ".ci").exists(), reason="not in the source distribution")
def test_every_extra_of_users_is_tried_alone() -> None:
    extras, matrix = ((ROOT / ".ci" / name).read_text() for name in ("extras", "install-matrix"))
    named = set(PROJECT["project"]["optional-dependencies"]) - {"all", "docs", "dev", "bench"}
    assert set(re.findall(r"^promise_(\w+)\(\)", extras, re.MULTILINE)) == named
    called = re.findall(r'\.ci/extras "\$wheel" ([\w ]+)', matrix)
    assert sorted(" ".join(called).split()) == sorted(named - {"agents"})
    assert '"$wheel[agents]"' in matrix
