import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nchain_agents.files import whole_file


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.skipif(os.name != "posix", reason="about POSIX permissions")
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o027, 0o077])
def test_a_file_has_the_permissions_that_open_would_give(mask: int, tmp_path: Path) -> None:
    with umask(mask):
        with whole_file(tmp_path / "ours.txt") as partial:
            partial.write_text("whole")
        with open(tmp_path / "theirs.txt", "w"):
            pass
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours.txt", "theirs.txt")]
    assert modes[0] == modes[1] == 0o666 & ~mask
    assert (tmp_path / "ours.txt").read_text() == "whole"


def test_a_file_that_is_not_finished_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    path.write_text("before")
    with pytest.raises(KeyError), whole_file(path) as partial:  # noqa: PT012
        partial.write_text("half")
        raise KeyError
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["kept.txt"]
