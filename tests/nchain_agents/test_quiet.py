"""TensorFlow's log messages are dropped, unless a user wants them."""

import os
import sys

import pytest

from nchain_agents.quiet import tensorflow_quiet

LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@pytest.fixture(autouse=True)
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)


def write() -> None:
    os.write(2, b"a note of C++")


def test_what_is_written_while_it_is_imported_is_dropped(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(LEVEL, raising=False)
    with tensorflow_quiet():
        assert os.environ[LEVEL] == "3"  # errors that end the process only
        write()
    assert LEVEL not in os.environ
    assert capfd.readouterr().err == ""
    write()
    assert capfd.readouterr().err == "a note of C++"


def test_a_level_that_a_user_has_set_holds(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(LEVEL, "0")
    with tensorflow_quiet():
        write()
    assert capfd.readouterr().err == "a note of C++"
    assert os.environ[LEVEL] == "0"


def test_an_error_leaves_everything_as_it_was(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(LEVEL, raising=False)
    with pytest.raises(ImportError, match="nothing"), tensorflow_quiet():
        raise ImportError("nothing")
    write()
    assert capfd.readouterr().err == "a note of C++"
    assert LEVEL not in os.environ
