"""TensorFlow's log messages are dropped, unless a user wants them."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from nchain_agents.quiet import tensorflow_quiet

ROOT = Path(__file__).parents[2]
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


@pytest.mark.slow
def test_an_ensemble_on_jax_is_quiet_where_tensorflow_is_installed() -> None:
    for needed in ("jax", "keras", "tensorflow"):
        if find_spec(needed) is None:
            pytest.skip(f"needs {needed}")
    code = "from nchain_agents import BootstrappedDQN as B; B('NChain-v0', net_arch=[8]).learn(50)"
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
    environment.pop(LEVEL, None)
    done = subprocess.run(
        (sys.executable, "-c", code), env=environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
