"""The pool's calls: what they return, how they fail, and that nothing of them is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from processes import eventually

from nchain_agents.study.failure import Failure
from nchain_agents.study.pool import Pool

SOURCE = Path(__file__).read_text().splitlines()
needs_proc = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")


def line_of(code: str) -> int:
    return next(i for i, text in enumerate(SOURCE, 1) if text.strip() == code)


def run(*calls: Callable[[], Any], **settings: Any) -> dict[int, Any]:
    return dict(Pool(**settings).map_unordered(calls))


def run_one(call: Callable[[], Any], **settings: Any) -> Any:
    return run(call, jobs=1, **settings)[0]


def square(n: int) -> int:
    time.sleep(0.05 * (n % 3))
    return n * n


@pytest.mark.parametrize("jobs", [1, 3, 0])
def test_results_come_with_their_places(jobs: int) -> None:
    calls = [partial(square, n) for n in range(7)]
    assert run(*calls, jobs=jobs) == {n: n * n for n in range(7)}


def test_no_calls_are_none() -> None:
    assert run() == {}


def raises() -> None:
    raise KeyError("there is none")


def raises_below() -> None:
    int("no number")


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("it does not say")


def raises_mute() -> None:
    raise MuteError


@pytest.mark.parametrize(
    ("call", "code", "reason"),
    [
        (raises, 'raise KeyError("there is none")', "KeyError: 'there is none'"),
        (raises_below, 'int("no number")', "ValueError: invalid literal for int() with base 10"),
        (raises_mute, "raise MuteError", "MuteError ("),
    ],
)
def test_an_exception_is_told_with_the_users_line(
    call: Callable[[], Any], code: str, reason: str
) -> None:
    failure = run_one(call)
    assert failure.reason.startswith(reason)
    assert failure.reason.endswith(f" (test_pool.py:{line_of(code)})")
    assert "Traceback (most recent call last)" in failure.traceback
    assert code in failure.traceback


def raises_in_a_library() -> None:
    import json

    json.loads("{")


def test_the_line_is_the_users_where_a_library_raises() -> None:
    failure = run_one(raises_in_a_library)
    line = line_of('json.loads("{")')
    assert failure.reason.startswith("JSONDecodeError: Expecting property name")
    assert failure.reason.endswith(f" (test_pool.py:{line})")


class Unpicklable:
    def __reduce__(self) -> Any:
        raise ValueError("it stays here")


class Explosive:
    def __reduce__(self) -> Any:
        return int, ("no number",)


def test_what_cannot_be_sent_says_so() -> None:
    assert run_one(Unpicklable).reason.startswith(
        "its result cannot be pickled: ValueError: it stays here (test_pool.py:"
    )
    assert run_one(Explosive).reason == (
        "its result cannot be unpickled: ValueError: "
        "invalid literal for int() with base 10: 'no number'"
    )
    assert run_one(partial(print, Unpicklable())).reason.startswith(
        "it cannot be pickled: ValueError: it stays here (test_pool.py:"
    )
    assert run_one(partial(print, Explosive())).reason.startswith("ValueError: invalid literal")


def test_a_call_that_ends_its_process_says_how_and_ends_nothing_else() -> None:
    results = run(
        partial(square, 2),
        partial(os._exit, 3),
        partial(sys.exit, 3),
        partial(signal.raise_signal, signal.SIGKILL),
        partial(signal.raise_signal, signal.SIGSEGV),
        partial(square, 3),
        jobs=1,
    )
    assert (results[0], results[5]) == (4, 9)
    assert [results[i].reason for i in range(1, 5)] == [
        "its process ended with exit code 3",
        "SystemExit: 3",
        "its process ended with signal SIGKILL",
        "its process ended with signal SIGSEGV",
    ]


def test_a_call_that_takes_too_long_ends() -> None:
    failure = Failure("it took longer than 0.5 s, the time limit")
    assert run_one(partial(time.sleep, 1000), time_limit=0.5) == failure


def test_an_interpreter_has_one_core_and_what_it_is_given() -> None:
    names = ("OMP_NUM_THREADS", "NCHAIN_TEST")
    call = partial(lambda: [os.environ.get(name) for name in names])
    assert run_one(call) == ["1", None]
    assert run_one(call, environment={"NCHAIN_TEST": "here"}) == ["1", "here"]
    assert "NCHAIN_TEST" not in os.environ


def test_calls_read_nothing_and_print_elsewhere(capfd: pytest.CaptureFixture[str]) -> None:
    def talks() -> int:
        print("printed")
        os.write(1, b"written")
        return 5

    assert run_one(talks) == 5
    assert capfd.readouterr().out == ""


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended may wait for its parent."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def begins_another(folder: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    own = Path(folder, str(os.getpid()))
    own.with_suffix(".partial").write_text(str(child.pid))
    own.with_suffix(".partial").rename(own)
    time.sleep(1000)


def processes(folder: Path, number: int) -> list[int]:
    """Return the interpreters that have written their names, and what they began."""
    assert eventually(lambda: len([*folder.glob("[0-9]*[0-9]")]) == number)
    files = folder.glob("[0-9]*[0-9]")
    return [process for file in files for process in (int(file.name), int(file.read_text()))]


def quick_then_endless(folder: str) -> Iterator[Callable[[], Any]]:
    yield partial(square, 1)
    yield from [partial(begins_another, folder)] * 2


@needs_proc
def test_a_closed_iterator_leaves_no_process(tmp_path: Path) -> None:
    calls = [*quick_then_endless(str(tmp_path))]
    with closing(Pool(2).map_unordered(calls)) as results:
        assert next(results) == (0, 1)
        found = processes(tmp_path, 2)
        assert all(map(alive, found))
    assert eventually(lambda: not any(map(alive, found)))


@needs_proc
@pytest.mark.parametrize(
    "number",
    [
        signal.SIGKILL,
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_no_process_outlives_the_one_that_began_it(tmp_path: Path, number: int) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from test_pool import *\n"
        "for result in Pool(2).map_unordered([*quick_then_endless(sys.argv[1])]): pass\n"
    )
    here = Path(__file__).parent
    folders = [str(here), str(here.parents[1] / "helpers")]
    command = [sys.executable, "-c", code, str(tmp_path), *folders]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as parent:
        try:
            found = processes(tmp_path, 2)
            parent.send_signal(number)
            assert parent.wait(60) == -number
        finally:
            parent.kill()  # a shell may have had it ignore the signal
    assert eventually(lambda: not any(map(alive, found)))
