import os
import signal
import stat
import subprocess
import sys
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


WRITES = """
import sys, time
from pathlib import Path
from nchain_agents.files import whole_file
with whole_file(Path(sys.argv[1])) as partial:
    partial.write_text("half")
    print(partial.name, flush=True)
    time.sleep(60)
"""


@contextmanager
def writing(path: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, "-c", WRITES, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process
        process.kill()


@pytest.mark.skipif(os.name != "posix", reason="processes are asked by POSIX signals")
def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    mine = [".picture.png", ".picture.1234.png", ".nchain-1-2", "picture.nchain-00000000-1-2.png"]
    for name in mine:
        (tmp_path / name).write_text("mine")
    with writing(tmp_path / "picture.png") as (left, killed):
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    there = set(os.listdir(tmp_path))
    assert left in there
    assert there == {left, *mine}
    # another machine's process of the same number may be at work in the folder
    (elsewhere,) = [left.replace("nchain-", "nchain-x")]
    (tmp_path / elsewhere).write_text("theirs")
    with writing(tmp_path / "other.png") as (begun, living):
        assert set(os.listdir(tmp_path)) == {begun, elsewhere, *mine}
        with whole_file(tmp_path / "picture.png") as partial:
            partial.write_text("whole")
        assert living.poll() is None
        assert set(os.listdir(tmp_path)) == {begun, elsewhere, "picture.png", *mine}
