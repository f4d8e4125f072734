"""One rule for Keras's backend, in studies, in commands and in what is written about them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nchain_agents import keras_backend as home
from nchain_agents.keras_backend import keras_backend
from nchain_agents.study.plan import RunKey, Study, plan
from nchain_agents.study.run import Run
from nchain_agents.study.store import Store
from nchain_agents.study.study_file import read, text_of
from nchain_agents.study.versions import versions


def installed(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    monkeypatch.setattr(home, "find_spec", lambda name: object() if name in modules else None)


@pytest.mark.parametrize(
    ("modules", "variable", "backend"),
    [
        (("keras", "tensorflow", "jax"), None, "jax"),
        (("keras", "tensorflow"), None, "tensorflow"),
        (("keras", "jax"), "", "jax"),
        (("keras", "tensorflow", "jax"), "tensorflow", "tensorflow"),
        (("keras", "tensorflow", "jax"), "jax", "jax"),
        (("keras",), None, None),
        (("tensorflow", "jax"), None, None),
    ],
)
def test_the_variable_decides_then_what_is_installed(
    modules: tuple[str, ...],
    variable: str | None,
    backend: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed(monkeypatch, *modules)
    if variable is None:
        monkeypatch.delenv("KERAS_BACKEND", raising=False)
    else:
        monkeypatch.setenv("KERAS_BACKEND", variable)
    assert keras_backend() == backend


@pytest.mark.parametrize("unfit", ["torch", "jax"])
def test_a_backend_that_cannot_be_used_is_refused(
    unfit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, "keras", "tensorflow")
    monkeypatch.setenv("KERAS_BACKEND", unfit)
    with pytest.raises(ValueError, match=f"KERAS_BACKEND must be .*, got '{unfit}'"):
        keras_backend()
    # who does not need Keras is not asked
    assert planned(["q-learning"]).keras_backend is None


def planned(agents: list[Any], seeds: int = 2) -> Study:
    about: dict[str, Any] = {"parameters": None, "sweep": None, "episodes": 100}
    return plan(agents, "NChain-v0", seeds=seeds, steps=100, **about)


def derived(file: Path) -> str:
    """Write a TOML file of an agent that changes a preset for Keras, and return its path."""
    file.write_text("[mine]\npreset = 'keras-dqn'\nparameters = { gamma = 0.5 }\n")
    return str(file)


def test_the_backend_is_part_of_every_study_that_needs_keras(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("keras", reason="needs the keras or the jax extra")
    for backend in ("jax", "tensorflow"):
        installed(monkeypatch, "keras", backend)
        monkeypatch.setenv("KERAS_BACKEND", backend)
        own = derived(tmp_path / "mine.toml")
        for agents in (["keras-dqn"], ["nchain_agents:KerasDQN"], [own], ["sarsa", "keras-dqn"]):
            study = planned(agents)
            assert study.keras_backend == study.as_data()["keras_backend"] == backend
            other = {"jax": "tensorflow", "tensorflow": "jax"}[backend]
            # versions are of what is installed here
            assert set(versions(study)) & {backend, other} <= {backend}


def test_a_study_file_names_the_backend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs the keras or the jax extra")
    installed(monkeypatch, "keras", "tensorflow", "jax")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    file = tmp_path / "study.toml"
    file.write_text(text_of(planned(["keras-dqn"])))
    assert 'keras_backend = "tensorflow"' in file.read_text()
    monkeypatch.delenv("KERAS_BACKEND")
    assert planned(["keras-dqn"]).keras_backend == "jax"
    assert read(file).keras_backend == "tensorflow"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(ValueError, match="KERAS_BACKEND must be 'tensorflow' or unset, as keras_"):
        read(file)
    monkeypatch.delenv("KERAS_BACKEND")
    installed(monkeypatch, "keras", "jax")
    with pytest.raises(ValueError, match="keras_backend must be 'jax' or 'tensorflow', installed"):
        read(file)


def test_seeds_of_another_backend_are_not_added(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("keras", reason="needs the keras or the jax extra")
    installed(monkeypatch, "keras", "tensorflow", "jax")
    path = tmp_path / "runs.sqlite"
    with Store(path, planned(["sarsa"])) as store:
        store.add(Run(RunKey("NChain-v0", "sarsa", 0), (), None, None, None, 0.0))
    # nothing there needed Keras, so any backend may come
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with Store(path, planned(["sarsa", "keras-dqn"]), adds=True):
        pass
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    other = planned(["sarsa", "keras-dqn"], seeds=3)
    with pytest.raises(ValueError, match=r"with other seeds, keras_backend\).*another folder$"):
        Store(path, other, adds=True)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with Store(path, planned(["sarsa", "keras-dqn"], seeds=3), adds=True):
        pass


# Says which backend it learned on by the actions that it prefers.
BACKWARD_ON_JAX = """
import numpy as np
from nchain_agents import KerasDQN

class Telling(KerasDQN):
    def learn(self, total_timesteps, callback=None, progress_bar=False):
        import keras
        self.action = ["tensorflow", "jax"].index(keras.backend.backend())
        return super().learn(total_timesteps, callback, progress_bar=progress_bar)

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.full(np.shape(observation), self.action), None
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", None])
def test_the_runs_and_the_training_are_on_that_backend(backend: str | None, tmp_path: Path) -> None:
    for extra in ("keras", "tensorflow", "jax"):
        pytest.importorskip(extra, reason="needs the keras and the jax extra")
    (tmp_path / "telling.py").write_text(BACKWARD_ON_JAX)
    environment = {name: v for name, v in os.environ.items() if name != "KERAS_BACKEND"}
    if backend is not None:
        environment["KERAS_BACKEND"] = backend

    def nchain(*arguments: str) -> str:
        command = [sys.executable, "-m", "nchain_agents", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    options = ("--steps", "40", "--seeds", "1", "--jobs", "1", "--json")
    summary = json.loads(nchain("compare", "--agents", "telling:Telling", *options))
    returned = summary["envs"][0]["agents"]["Telling"]["return"]["mean"]
    # always forward earns 3,663.69, always backward 1,603.19
    expected = 3663.69 if backend == "tensorflow" else 1603.19
    assert returned == pytest.approx(expected, abs=0.01)
    trained = " ".join(nchain("train", "telling:Telling", "--steps", "40").split())
    assert f"return of an episode: {expected:,.1f} (exactly)" in trained
    study = (tmp_path / "results" / "study.toml").read_text()
    assert f'keras_backend = "{backend or "jax"}"\n' in study
