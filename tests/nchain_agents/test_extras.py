"""What is said where an extra is not installed: its modules cannot be imported here."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

AGENTS = ["cloudpickle", "jinja2", "joblib", "matplotlib", "numba", "rich", "scipy", "typer"]


def said_without(modules: list[str], code: str, folder: Path) -> list[str]:
    """Return the lines that a program writes to stderr before it fails."""
    hidden = f"import sys\nsys.modules.update(dict.fromkeys({modules!r}))\n"
    command = [sys.executable, "-c", hidden + code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return done.stderr.splitlines()


def test_a_study_in_a_base_install_names_the_extra(tmp_path: Path) -> None:
    code = "import nchain_agents\nnchain_agents.compare(['q-learning'])"
    *_, said = said_without(AGENTS, code, tmp_path)
    assert said.startswith("ModuleNotFoundError: nchain_agents.compare needs ")
    assert re.search(r": pip install -e '.*\[agents\]'$", said)


@pytest.mark.parametrize(
    ("modules", "arguments", "message"),
    [
        (
            ["distributed"],
            ["compare", "--agents", "q-learning", "--scheduler", "tcp://127.0.0.1:1"],
            r"distributed: pip install -e '.*\[distributed\]'",
        ),
        (
            ["optuna"],
            ["tune", "q-learning", "--trials", "1"],
            r"tuning needs optuna: pip install -e '.*\[tune\]'",
        ),
        (
            ["tensorboard"],
            ["train", "q-learning", "--tensorboard", "logs"],
            r"TensorBoard logging needs tensorboard: pip install -e '.*\[keras\]'",
        ),
        (
            ["keras", "tensorflow", "jax"],
            ["train", "keras-dqn"],
            r"agents: keras-dqn needs pip install -e '.*\[keras\]'",
        ),
    ],
)
def test_the_command_line_answers_in_one_line(
    modules: list[str], arguments: list[str], message: str, tmp_path: Path
) -> None:
    code = f"sys.argv = ['nchain', *{arguments!r}]\nfrom nchain_agents.cli import run\nrun()"
    lines = said_without(modules, code, tmp_path)
    assert lines[-1].startswith("nchain: ")
    assert re.search(message + "$", lines[-1])
    assert "Traceback" not in " ".join(lines)
    assert list(tmp_path.glob("*.agent")) == []
