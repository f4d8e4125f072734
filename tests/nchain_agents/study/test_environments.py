"""Environments of users in studies: of a module, of a package, of a program itself."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from command import nchain
from gymnasium.wrappers import TimeLimit

from nchain_agents import QLearning, compare, score
from nchain_agents.evaluation import ExactEvaluator
from nchain_agents.study.environments import environments
from nchain_agents.study.plan import plan
from nchain_agents.study.study_file import text_of
from nchain_env import NChainEnv, TabularEnv, chain_mdp, river_swim_mdp

# A corridor: action 1 goes on, action 0 back; the end pays 1. `length` states.
CORRIDOR = """
    import gymnasium as gym

    class Corridor(gym.Env):
        def __init__(self, length=3, render_mode=None):
            self.length, self.render_mode = length, render_mode
            self.observation_space = gym.spaces.Discrete(length)
            self.action_space = gym.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.state = 0
            return 0, {}

        def step(self, action):
            self.state = max(self.state + 2 * int(action) - 1, 0)
            over = self.state == self.length - 1
            return self.state, float(over), over, False, {}
"""
REGISTER = """
    gym.register("{id}", entry_point={entry}, max_episode_steps=20, reward_threshold=1.0)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which modules are found; what they register is forgotten afterwards."""
    modules, registry = set(sys.modules), dict(gym.registry)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    gym.registry.clear()
    gym.registry.update(registry)


def module(path: Path, env_id: str, entry: str) -> None:
    text = dedent(CORRIDOR) + dedent(REGISTER).format(id=env_id, entry=entry)
    path.write_text(text)


def learned(found: Any) -> None:
    """Every run came to its end, and learned the corridor's only good policy."""
    assert not found.failures
    assert found.summary["envs"][0]["agents"]["q-learning"]["return"]["by_seed"] == [1.0]


LEARN: dict[str, Any] = {"agents": ["q-learning"], "seeds": 1, "steps": 2000, "episodes": 2}


def test_a_module_of_the_users_is_named_before_the_id(folder: Path) -> None:
    module(folder / "toy_named.py", "CorridorNamed-v0", "'toy_named:Corridor'")
    found = compare(env="toy_named:CorridorNamed-v0 length=4", **LEARN, jobs=1)
    learned(found)
    assert found.study.envs[0].label == "CorridorNamed-v0 length=4"
    assert 'id = "toy_named:CorridorNamed-v0"' in text_of(found.study)


@pytest.mark.parametrize("entry", ["'toy_imported.envs.corridor:Corridor'", "Corridor"])
def test_what_a_program_imported_is_known_to_every_run(
    entry: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # registered by a module that the one of the environment does not import
    (folder / "toy_imported" / "envs").mkdir(parents=True)
    (folder / "toy_imported" / "envs" / "corridor.py").write_text(dedent(CORRIDOR))
    (folder / "toy_imported" / "registration.py").write_text(
        "import gymnasium as gym\nfrom toy_imported.envs.corridor import Corridor\n"
        + dedent(REGISTER).format(id="CorridorImported-v0", entry=entry)
    )
    __import__("toy_imported.registration")
    learned(compare(env="CorridorImported-v0", **LEARN, jobs=1))


@pytest.mark.parametrize("entry", ["Corridor", "'__main__:Corridor'"])
def test_what_a_program_registers_itself_is_known_to_every_run(entry: str, folder: Path) -> None:
    module(folder / "program.py", "CorridorMain-v0", entry)
    with (folder / "program.py").open("a") as file:
        file.write(
            "from nchain_agents import compare\n"
            "from nchain_agents.study.study_file import text_of\n"
            f"found = compare(env='CorridorMain-v0', jobs=1, **{LEARN!r})\n"
            "(env,) = found.summary['envs']\n"
            "print(found.failures, env['agents']['q-learning']['return']['by_seed'])\n"
            "print(text_of(found.study))\n"
        )
    command = [sys.executable, "program.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] [1.0]\n")
    said = "# The program that made this study defines CorridorMain-v0: start it instead.\n"
    assert said in done.stdout


def test_the_module_of_this_package_makes_no_difference() -> None:
    (plain,) = environments("NChain-v0 n=3", {}, {})
    (named,) = environments("nchain_env:NChain-v0 n=3", {}, {})
    assert named == plain
    assert (named.label, named.name) == ("NChain-v0 n=3", "NChain-v0")
    arguments: dict[str, Any] = {"parameters": None, "sweep": None, "seeds": 1, "steps": 10}
    studies = [
        plan(None, env, **arguments, episodes=2) for env in ("NChain-v0", "nchain_env:NChain-v0")
    ]
    assert studies[0].as_data() == studies[1].as_data()


def test_the_commands_take_environments_of_modules(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module(folder / "toy_shell.py", "CorridorShell-v0", "'toy_shell:Corridor'")
    env = ("--env", "toy_shell:CorridorShell-v0 length=4")
    assert nchain(monkeypatch, "train", *env, "--steps", "2000", "--out", "a.agent") == 0
    assert "q-learning on CorridorShell-v0 length=4: return" in capsys.readouterr().out
    assert nchain(monkeypatch, "evaluate", "a.agent", *env, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["env"], row["return"], row["exact"]) == ("CorridorShell-v0 length=4", 1.0, False)
    options = ("--agents", "q-learning", "--seeds", "1", "--steps", "2000", "--jobs", "1", "--json")
    assert nchain(monkeypatch, "compare", *env, *options, "--out", "out") == 0
    (corridor,) = json.loads(capsys.readouterr().out)["envs"]
    assert corridor["agents"]["q-learning"]["return"]["mean"] == 1.0


def test_the_chain_is_made_as_the_readme_spells_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    env = ("--env", "nchain_env:NChain-v0 n=3")
    options = ("--steps", "3000", "--out", str(tmp_path / "a.agent"))
    assert nchain(monkeypatch, "train", *env, *options) == 0
    assert "q-learning on NChain-v0 n=3: return of an episode:" in capsys.readouterr().out


def test_nothing_is_said_of_an_environment_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert nchain(monkeypatch, "compare", "--agents", "sarsa", "--env", "NChain-v1") == 2
    assert capsys.readouterr().err.splitlines() == [
        "nchain: env must be an environment of Gymnasium's, or module:Id, got 'NChain-v1'; "
        "did you mean NChain-v0?"
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("no_such_module:Corridor-v0", "No module named 'no_such_module'"),
        ("json:NChain-v1", "did you mean NChain-v0"),
        (":NChain-v1", "did you mean NChain-v0"),
        ("toy_broken:Corridor-v0", "this module is broken"),
    ],
)
def test_an_environment_that_is_not_there_is_refused(env: str, message: str, folder: Path) -> None:
    (folder / "toy_broken.py").write_text("raise RuntimeError('this module is broken')\n")
    with pytest.raises(ValueError, match=f"^env must be .*, got '{env}'.*{message}"):
        compare(env=env, **LEARN)


# What is no id


def make_river() -> gym.Env[Any, Any]:
    return gym.make("RiverSwim-v0")


@pytest.mark.parametrize(
    ("env", "label"),
    [
        (gym.spec("NChain-v0"), "NChain-v0 max_episode_steps=20"),
        (river_swim_mdp(), "TabularMDP max_episode_steps=20"),
        (make_river, "make_river max_episode_steps=20"),
        (partial(NChainEnv, n=3), "environment max_episode_steps=20"),
    ],
)
def test_a_study_in_an_environment_that_is_no_id(env: Any, label: str) -> None:
    limit = {"max_episode_steps": 20}
    comparison = compare(["q-learning"], env, parameters=limit, seeds=2, steps=200)
    assert not comparison.failures
    assert {row["env"] for row in comparison.results} == {label}
    (evaluator,) = comparison.evaluators.values()
    assert isinstance(evaluator, ExactEvaluator)


@pytest.mark.parametrize("env", [chain_mdp(3), make_river])
def test_a_study_in_an_environment_that_is_no_id_is_shown_and_kept(
    env: Any, tmp_path: Path
) -> None:
    arguments: dict[str, Any] = {"parameters": {"max_episode_steps": 20}, "seeds": 2, "jobs": 1}
    found = compare(["q-learning"], env, steps=200, out=tmp_path, **arguments)
    assert "q-learning" in found._repr_html_()
    kept = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert b"The program that made this study defines" in kept["study.toml"]
    again = compare(["q-learning"], env, steps=200, out=tmp_path, **arguments)
    assert again.timing == found.timing  # nothing was made again


def test_another_table_is_another_study(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"parameters": {"max_episode_steps": 20}, "seeds": 1, "jobs": 1}
    compare(["q-learning"], chain_mdp(3), steps=200, out=tmp_path, **arguments)
    with pytest.raises(ValueError, match=r"with other envs\): .*; take another folder$"):
        compare(["q-learning"], chain_mdp(3, large=11), steps=200, out=tmp_path, **arguments)


def test_a_score_in_an_environment_that_is_no_id() -> None:
    always_right = SimpleNamespace(predict=lambda *args, **kwargs: (np.int64(1), None))
    limited = TimeLimit(TabularEnv(river_swim_mdp()), 100)
    assert score(always_right, limited) == pytest.approx(100, abs=1e-2)
    assert score(always_right, "RiverSwim-v0 max_episode_steps=100") == score(always_right, limited)
    spec = gym.spec("RiverSwim-v0")
    assert score(always_right, spec) == score(always_right, make_river) > 99.9
    with pytest.raises(ValueError, match="env must have a time limit"):
        score(always_right, river_swim_mdp())
    with pytest.raises(ValueError, match="env must have a time limit"):
        compare(["q-learning"], river_swim_mdp())


def test_an_agent_learns_on_a_table() -> None:
    agent = QLearning(chain_mdp(3), seed=0, gamma=0.9).learn(2_000)
    assert agent.env.observation_space == gym.spaces.Discrete(3)
    assert np.count_nonzero(agent.q_values([0, 1, 2])) == 6


@pytest.mark.parametrize("env", [None, 3, ["NChain-v0"]])
def test_what_is_no_environment_is_refused(env: Any) -> None:
    with pytest.raises(ValueError, match="env must be an environment"):
        score(None, env)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="env must be an environment"):
        compare(["q-learning"], [env])  # of several, each is one
