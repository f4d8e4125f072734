"""The pictures of the README."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
# a badge is at another address
IMAGE_LINK = re.compile(r"!\[([^\]]*)\]\((?!https:)([^)]*)\)")


def test_every_picture_of_the_readme_is_there_and_says_what_it_shows() -> None:
    links = IMAGE_LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    pictures = ["chain.gif", "comparison.png", "deep-sea.png", "check.png"]
    assert [Path(path).name for _, path in links] == pictures
    for text, path in links:
        assert (ROOT / path).is_file()
        assert len(text) > 40


def test_the_script_makes_the_moving_picture_that_the_readme_shows(tmp_path: Path) -> None:
    pytest.importorskip("pygame", reason="pictures need the extra `render`")
    image = pytest.importorskip("PIL.Image", reason="Pillow comes with the extra `agents`")
    made = tmp_path / "chain.gif"
    script = ROOT / "docs" / "make_gif.py"
    subprocess.run([sys.executable, str(script), str(made)], check=True, cwd=tmp_path)
    shown = ROOT / "docs" / "_static" / "chain.gif"
    assert shown.stat().st_size < 500_000
    with image.open(made) as ours, image.open(shown) as theirs:
        assert ours.size == theirs.size == (680, 234)
        assert ours.n_frames == theirs.n_frames == 23
        assert ours.info["loop"] == theirs.info["loop"] == 0
        milliseconds = 0
        for k in range(ours.n_frames):
            ours.seek(k)
            theirs.seek(k)
            milliseconds += theirs.info["duration"]
            assert ours.info["duration"] == theirs.info["duration"]
            # another version of pygame may smooth the edges in another way
            pixels = [np.asarray(picture.convert("RGB"), int) for picture in (ours, theirs)]
            assert np.abs(pixels[0] - pixels[1]).mean() < 1
        assert 6_000 <= milliseconds <= 9_000


def test_the_colours_of_the_moving_picture_are_those_of_the_rendering() -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow comes with the extra `agents`")
    from nchain_env.problems.chain_picture import TAKEN
    from nchain_env.rendering.canvas import INK, PAPER

    with image.open(ROOT / "docs" / "_static" / "chain.gif") as shown:
        shown.seek(3)  # a slip
        found = np.unique(np.asarray(shown.convert("RGB"), int).reshape(-1, 3), axis=0)
    for colour in (INK, PAPER, *TAKEN.values()):
        assert np.abs(found - colour).max(axis=-1).min() <= 2  # smoothing rounds
