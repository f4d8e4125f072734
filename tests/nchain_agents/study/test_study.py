import json
import os
import re
import sqlite3
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from nchain_agents import QLearning, compare, score
from nchain_agents.presets import Preset, presets_for
from nchain_agents.presets import custom as plug_ins
from nchain_agents.report.outputs import as_markdown
from nchain_agents.report.page import write_page
from nchain_agents.study.comparison import Comparison
from nchain_agents.study.environments import environments
from nchain_agents.study.plan import plan
from nchain_agents.study.run import train
from nchain_env import NChainEnv

pd = pytest.importorskip("pandas", reason="needs the dev extra")

SOURCE = Path(__file__).read_text().splitlines()
FORWARD, RANDOM, OPTIMAL = 3663.6928, 1311.25, 3665.8333  # known returns of the chain


class Fixed:
    """Learns nothing: goes forward for ever. It is no class of this package, nor of any."""

    def __init__(self, env: gym.Env[Any, Any], action: int = 0) -> None:
        self.env, self.action = env, action

    def learn(self, total_timesteps: int) -> None:
        self.env.reset(seed=0)
        for _ in range(total_timesteps):
            *_, truncated, _ = self.env.step(self.action)
            if truncated:
                self.env.reset()

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        return np.full(np.shape(observation), self.action), None


class Pushing(Fixed):
    """Pushes the cart to one side."""

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        return np.full(np.shape(observation)[:-1], self.action), None


class Printing(Fixed):
    def learn(self, total_timesteps: int) -> None:
        print("what a run prints is no answer")
        os.write(1, b"nor is this")
        super().learn(total_timesteps)


class Raising(Fixed):
    def learn(self, total_timesteps: int) -> None:
        raise KeyError("there is none")


class Crashing(Fixed):
    def learn(self, total_timesteps: int) -> None:
        os._exit(3)


class Hanging(Fixed):
    def learn(self, total_timesteps: int) -> None:
        time.sleep(1000)


class Idle(Fixed):
    def learn(self, total_timesteps: int) -> None:
        pass


class Diverging(QLearning):
    def __init__(self, env: Any, **parameters: Any) -> None:
        super().__init__(env, **parameters)
        self.q[0, 0] = np.nan


@pytest.fixture(scope="module")
def small() -> Comparison:
    """The least that shows everything: an agent that learns, one that does not, one that fails."""
    agents: list[str | type] = ["q-learning", Fixed, Raising]
    return compare(agents, seeds=2, steps=3000, jobs=2)


def test_any_class_that_learns_and_predicts_is_compared_with_the_exact_answer(
    small: Comparison,
) -> None:
    frame = pd.DataFrame(small.results)
    assert list(frame.columns[:6]) == ["agent", "env", "seed", "step", "return", "score"]
    assert len(frame) == 2 * 2 * 20
    fixed = frame[frame.agent == "Fixed"]
    assert fixed["return"].to_numpy() == pytest.approx(FORWARD, abs=1e-3)
    expected = 100 * (FORWARD - RANDOM) / (OPTIMAL - RANDOM)
    assert fixed.score.to_numpy() == pytest.approx(expected, abs=1e-2)
    assert fixed.step.tolist() == [*range(150, 3001, 150)] * 2
    # three finished episodes: three times the optimum, less what was earned in them
    (regret,) = set(fixed[fixed.step == 3000].realised_regret)
    (reward,) = set(fixed[fixed.step == 3000].reward_per_step)
    assert regret == pytest.approx(3 * OPTIMAL - 3000 * reward, abs=1e-2)
    (summary,) = small.summary["envs"]
    assert summary["optimal_return"] == pytest.approx(OPTIMAL, abs=1e-3)
    assert summary["random_return"] == pytest.approx(RANDOM, abs=1e-3)
    assert set(summary["agents"]) == {"q-learning", "Fixed"}
    json.dumps(small.summary, allow_nan=False)


def test_the_error_of_the_table_and_the_first_optimal_step_are_known(small: Comparison) -> None:
    (learner, fixed, _) = small.of_env(small.study.envs[0])
    run = learner.runs[0]
    q_star = np.array([[61.3795, 60.5778], [64.8913, 61.4557], [69.5121, 62.6109]])
    assert run.q is not None
    error = abs(np.array(run.q)[:3] - q_star).max()
    assert run.final.q_error >= error - 1e-4
    assert run.policy == [0] * 5
    assert run.optimal_from is not None
    first = [point.step for point in run.checkpoints if point.step >= run.optimal_from]
    assert all(point.optimal for point in run.checkpoints if point.step in first)
    # one without a discount has no optimal policy to learn, and one without values no error
    assert small.summary["envs"][0]["agents"]["Fixed"]["optimal_from"] is None
    assert np.isnan(fixed.runs[0].final.q_error)


def test_a_run_that_fails_ends_nothing_else(small: Comparison) -> None:
    assert [failure["agent"] for failure in small.failures] == ["Raising"] * 2
    line = next(i for i, text in enumerate(SOURCE, 1) if "raise KeyError" in text)
    told = f"KeyError: 'there is none' (test_study.py:{line})"
    assert small.failures[0]["failure"] == told
    traceback = small.runs[-1].traceback
    assert traceback is not None
    assert traceback.startswith("Traceback (most recent call last):")
    assert traceback.endswith("KeyError: 'there is none'\n")
    assert f'{Path(__file__).name}", line {line}, in learn' in traceback


@pytest.mark.slow
def test_what_hangs_crashes_or_diverges_is_a_reported_failure() -> None:
    agents: list[str | type] = [Hanging, Crashing, Diverging, Idle, Printing]
    found = compare(agents, seeds=1, steps=100, jobs=2, time_limit=20.0)
    assert [run.key.agent for run in found.runs if run.failure is None] == ["Printing"]
    assert {failure["agent"]: failure["failure"] for failure in found.failures} == {
        "Hanging": "it took longer than 20 s, the time limit",
        "Crashing": "its process ended with exit code 3",
        "Diverging": "ValueError: what it learned is no longer finite",
        "Idle": "ValueError: learn took no step in the environment it was given",
    }


class Single(Fixed):
    """Takes one observation at a time."""

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        return [self.action, self.action][int(observation) % 2], None


class Double(Fixed):
    """Gives two actions, whatever it is asked."""

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        return np.zeros(2), None


class Renamed(Fixed):
    def learn(self, steps: int) -> None:
        super().learn(steps)


def test_what_learn_and_predict_must_take_is_said() -> None:
    found = compare([Single, Double], seeds=1, steps=20, jobs=1)
    (failure,) = found.failures
    assert failure["agent"] == "Double"
    assert "predict must take an observation, or a batch of them" in failure["failure"]
    assert found.runs[0].failure is None
    with pytest.raises(ValueError, match=r"Renamed.learn must take total_timesteps$"):
        compare([Renamed])


@pytest.mark.slow
def test_an_sb3_model_that_diverges_is_a_failure_too() -> None:
    pytest.importorskip("stable_baselines3", reason="needs the sb3 extra")
    parameters = {"policy": "MlpPolicy", "learning_rate": float("inf"), "learning_starts": 1}
    agent = Preset("diverging", "stable_baselines3:DQN", parameters | {"train_freq": 1})
    (failure,) = compare([agent], seeds=1, steps=60).failures
    assert failure["failure"] == "ValueError: what it learned is no longer finite"


def files_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("results.csv", "summary.json")}


class Told(Fixed):
    def __init__(self, env: Any, *, by: Any = None) -> None:
        super().__init__(env)


@pytest.mark.parametrize("value", [dict, {1, 2}, b"x", 1j])
def test_a_parameter_that_cannot_be_kept_is_refused_by_name(value: Any, tmp_path: Path) -> None:
    told = Preset("told", Told, {"by": value})
    with pytest.raises(ValueError, match=r"^by of told must be made of numbers, .*, got .*"):
        compare([told], seeds=2, steps=10, out=tmp_path / "new" / "out")
    assert not (tmp_path / "new" / "out" / "runs.sqlite").exists()
    # without a folder there is nothing to be written
    assert not compare([told], seeds=2, steps=10, jobs=1).failures


@pytest.mark.slow
def test_only_missing_and_failed_runs_are_made_again_and_nothing_differs(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"seeds": 3, "steps": 500}
    agents = ["q-learning", "sarsa"]
    whole = compare(agents, out=tmp_path / "whole", jobs=1, **arguments)
    compare(agents, out=tmp_path / "parts", jobs=2, **arguments)
    with sqlite3.connect(tmp_path / "parts" / "runs.sqlite") as store:
        store.execute("delete from runs where agent = 'sarsa' and seed != 1")
        (kept,) = store.execute("select text from runs where agent = 'sarsa'").fetchone()
    (tmp_path / "parts" / "results.csv").unlink()
    again = compare(agents, out=tmp_path / "parts", jobs=2, **arguments)
    assert again.results == whole.results
    assert files_of(tmp_path / "whole") == files_of(tmp_path / "parts")
    with sqlite3.connect(tmp_path / "parts" / "runs.sqlite") as store:
        query = "select text from runs where agent = 'sarsa' and seed = 1"
        assert store.execute(query).fetchone() == (kept,)  # its time, too


def test_a_folder_of_another_study_is_refused_and_not_touched(tmp_path: Path) -> None:
    compare(["q-learning"], seeds=1, steps=200, out=tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    for other in ({"steps": 300}, {"seeds": 2}, {"agents": ["sarsa"]}, {"env": "NChain-v0 n=3"}):
        arguments: dict[str, Any] = {"agents": ["q-learning"], "seeds": 1, "steps": 200, **other}
        with pytest.raises(ValueError, match="out has the runs of another study"):
            compare(**arguments, out=tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    with pytest.raises(ValueError, match=r"\(with other steps\): .*; take another folder$"):
        compare(["q-learning"], seeds=1, steps=300, out=tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"take another folder, or add to this one by resume=True"):
        compare(["q-learning"], seeds=2, steps=200, out=tmp_path)
    with pytest.raises(ValueError, match=r"name the seeds that are there, too: 0 to 0$"):
        compare(["q-learning"], seeds=range(1, 2), steps=200, out=tmp_path, resume=True)
    more = compare(["q-learning", "sarsa"], seeds=2, steps=200, out=tmp_path, resume=True)
    assert len(more.runs) == 4
    with pytest.raises(ValueError, match="of another study"):
        compare(["q-learning"], seeds=1, steps=200, out=tmp_path, resume=True)


def test_a_folder_in_which_nothing_succeeded_can_be_used_again(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    for epsilon, failures in (("'big'", 2), ("0.3", 0)):
        file.write_text(f"[mine]\npreset = 'q-learning'\nparameters = {{ epsilon = {epsilon} }}\n")
        found = compare([str(file)], seeds=2, steps=100, out=tmp_path / "out", jobs=1)
        assert len(found.failures) == failures
    assert "mine on NChain-v0: 2 runs, 0 failed" in repr(found)


def fill(store: Any, comparison: Comparison) -> None:
    for seed in range(10, 1000):
        run = comparison.runs[1]
        store.add(replace(run, key=run.key._replace(seed=seed)))


def test_a_full_disk_is_a_clear_error_and_loses_no_run(
    tmp_path: Path, small: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nchain_agents.study.store import Store

    connect = sqlite3.connect

    def full(*arguments: Any, **options: Any) -> sqlite3.Connection:
        database: sqlite3.Connection = connect(*arguments, **options)
        (pages,) = database.execute("pragma page_count").fetchone()
        database.execute(f"pragma max_page_count = {pages}")
        return database

    with Store(tmp_path / "runs.sqlite", small.study) as store:
        store.add(small.runs[0])
    monkeypatch.setattr(sqlite3, "connect", full)
    with (
        Store(tmp_path / "runs.sqlite", small.study) as store,
        pytest.raises(OSError, match=r"cannot be written: database or disk is full"),
    ):
        fill(store, small)
    monkeypatch.undo()
    with Store(tmp_path / "runs.sqlite", small.study) as store:
        assert store.runs()[small.runs[0].key] == small.runs[0]


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs.sqlite").write_text("here before " * 100)
    with pytest.raises(ValueError, match=r"out has a file runs.sqlite that is no store of runs"):
        compare(["q-learning"], seeds=1, steps=100, out=tmp_path)
    assert (tmp_path / "runs.sqlite").read_text() == "here before " * 100


def test_a_sweep_compares_every_combination() -> None:
    swept = compare(
        ["q-learning"], sweep={"n": [3, 4], "slip": [0, 0.2]}, seeds=2, steps=4000, jobs=2
    )
    labels = [env.label for env in swept.study.envs]
    assert labels == [f"NChain-v0 n={n} slip={slip}" for n in (3, 4) for slip in (0, 0.2)]
    sections = swept.summary["envs"]
    assert [section["parameters"]["n"] for section in sections] == [3, 3, 4, 4]
    # without slips: n - 1 steps there, then 10 each; with them, less
    assert sections[0]["optimal_return"] == pytest.approx(10 * 998)
    assert sections[1]["optimal_return"] < sections[0]["optimal_return"]
    assert len(swept.summary["agents"]["q-learning"]["score"]["by_seed"]) == 8


def test_the_summary_has_one_shape_whatever_the_number_of_environments(small: Comparison) -> None:
    swept = compare(["q-learning"], sweep={"n": [3, 4]}, seeds=2, steps=100, jobs=1)
    for found, number in ((small, 1), (swept, 2)):
        assert list(found.summary) == ["envs", "agents", "steps", "seeds", "failures"]
        assert len(found.summary["envs"]) == number
    # over one environment the scores are that environment's
    (chain,) = small.summary["envs"]
    assert small.summary["agents"] == {
        name: {measure: about[measure] for measure in ("score", "area_under_curve", "profile")}
        for name, about in chain["agents"].items()
    }


def test_an_environment_without_a_model_is_scored_by_episodes() -> None:
    found = compare([Pushing], "CartPole-v1", seeds=1, steps=40, episodes=5)
    assert not found.failures
    assert found.summary["envs"][0]["exact"] is False
    assert found.summary["envs"][0]["optimal_return"] == 475.0
    assert found.results[-1]["standard_error"] > 0


def test_toy_text_without_a_time_limit_gets_that_of_its_presets() -> None:
    found = compare("q-learning", "CliffWalking-v1", seeds=1, steps=20_000)
    assert found.study.envs[0].label == "CliffWalking-v1 max_episode_steps=200"
    assert found.results[-1]["return"] == -13  # the shortest way along the cliff
    said = "episodes are truncated after 200 steps: CliffWalking-v1 has no time limit of its own"
    assert said in as_markdown(found)
    # score has the same rule
    way = Path13()
    assert score(way, "CliffWalking-v1") == score(way, found.study.envs[0].make())
    assert score(way, "CliffWalking-v1") == pytest.approx(100)
    chain = compare("q-learning", seeds=1, steps=100)
    assert "time limit" not in as_markdown(chain)


class Path13:
    """Up, along the cliff, and down."""

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        up, right, down = 0, 1, 2
        rows = np.full(48, right)
        rows[36], rows[35] = up, down
        return rows[observation], None


class TaxedChain(NChainEnv):
    """Going forward costs 5, which its table does not say."""

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        reached, reward, terminated, truncated, info = super().step(action)
        return reached, reward - 5 * (action == 0), terminated, truncated, info


class Renumbered(NChainEnv):
    """Does what its table says, but by a `step` of its own."""

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        return super().step(action)


def test_what_an_environment_does_counts_and_not_what_its_table_says(tmp_path: Path) -> None:
    kinds: dict[str, Any] = {"Taxed-v0": TaxedChain, "Renumbered-v0": Renumbered}
    for name, kind in kinds.items():
        gym.register(name, kind, max_episode_steps=1000)
    try:
        # in this process: the classes are of this module only
        taxed, same, plain = (
            Comparison.of(study, {task.key: train(task) for task in study.tasks})
            for study in (
                plan(
                    ["q-learning"],
                    name,
                    parameters=None,
                    sweep=None,
                    seeds=1,
                    steps=2_000,
                    episodes=10,
                )
                for name in ("Taxed-v0", "Renumbered-v0", "NChain-v0")
            )
        )
        assert not taxed.failures
        assert not same.failures
        assert taxed.summary["envs"][0]["exact"] is False
        assert "by 10 episodes, as its model does not describe it: action 0" in as_markdown(taxed)
        assert taxed.results[-1]["standard_error"] > 0
        assert taxed.runs[0].policy is None
        # stepped and compiled learning give the same, and so do the table and the check of it
        assert same.summary["envs"][0]["exact"] is True
        assert same.results[-1]["return"] == plain.results[-1]["return"]
        said = "computed exactly on the model, with which 2,000 steps agreed"
        assert said in as_markdown(same)
        write_page(tmp_path / "report.html", same)
        assert said in (tmp_path / "report.html").read_text()
        write_page(tmp_path / "report.html", taxed)
        assert (
            "as its model does not describe it: action 0" in (tmp_path / "report.html").read_text()
        )
    finally:
        del gym.registry["Taxed-v0"], gym.registry["Renumbered-v0"]


def test_a_table_learner_where_there_are_no_states_fails_with_the_reason() -> None:
    (failure,) = compare(["q-learning"], "CartPole-v1", seeds=1, steps=40, episodes=5).failures
    assert "must have discrete observations" in failure["failure"]


def test_agents_come_from_toml_files(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        "[eager]\npreset = 'q-learning'\nparameters = { epsilon = 1.0 }\n"
        "[lazy]\nagent = 'nchain_agents:QLearning'\n"
    )
    found = compare([str(file)], seeds=1, steps=100)
    eager, lazy = found.study.agents
    assert eager.parameters == {
        "gamma": 0.95,
        "learning_rate": 1.0,
        "visit_power": 0.6,
        "epsilon": 1.0,
    }
    assert (lazy.name, lazy.parameters) == ("lazy", {})
    assert not found.failures


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a]\nagent = nothing\n", r"is not TOML: .*line 2"),
        ("", "must have a table for each agent, got none"),
        ("\n\n[a]\nparameters = {}\n", "line 3: a must have an agent or a preset"),
        ("[a]\nagent='x:Y'\npreset='sarsa'\n", "line 1: a must have an agent or a preset"),
        ("[a]\npreset='sarsa'\n[b]\nagents='x'\n", "line 3: unknown key 'agents'; known: agent, "),
        ("a = 1\n", "line 1: a must be a table, got 1"),
        ("[a]\nagent = 3\n", "line 1: agent must be a string, got 3"),
        ("[a]\nagent='no.such:Thing'\n", "line 1: 'no.such:Thing' cannot be imported"),
        ("[a]\nagent='json:JSONDecoder'\n", "line 1: json:JSONDecoder must have a method learn"),
        (
            "[a]\npreset='sarsa'\nparameters={speed=1}\n",
            "line 1: nchain_agents:Sarsa does not take its parameters: .*'speed'",
        ),
        ("[a]\npreset='sasra'\n", "line 1: unknown agent 'sasra'; did you mean sarsa"),
    ],
)
def test_a_mistake_in_a_toml_file_is_named_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"^agents: .*mine.toml.*{message}"):
        compare([str(file)], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_installed_packages_offer_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name, value = "theirs", "nchain_agents:Sarsa"

    def entry_points(group: str) -> list[Any]:
        assert group == "nchain_agents.agents"
        return [Point]

    monkeypatch.setattr(plug_ins, "entry_points", entry_points)
    (agent,) = plug_ins.agents_of("theirs", presets_for("NChain-v0", {}))
    assert (agent.name, agent.path) == ("theirs", "nchain_agents:Sarsa")
    with pytest.raises(ValueError, match="unknown agent 'their'; did you mean theirs"):
        plug_ins.agents_of("their", {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"agents": []}, "agents must be at least one"),
        ({"agents": [3]}, "agents must be names, classes, pairs .*got 3"),
        ({"agents": ["json:loads"]}, "agents: json:loads must have a method learn"),
        ({"agents": [dict]}, "agents: builtins:dict must have a method learn"),
        ({"agents": ["q-lerning"]}, "unknown agent 'q-lerning'; did you mean q-learning"),
        ({"env": "NChian-v0"}, "env must be .*, got 'NChian-v0'; did you mean NChain-v0"),
        ({"env": "NChain-v0 n"}, "env must be like 'NChain-v0 n=8 slip=0', got 'NChain-v0 n'"),
        ({"env": "NChain-v0 m=3"}, "env: NChain-v0 has no parameter 'm'; it has n, slip, "),
        ({"sweep": {"m": [1]}}, "env: NChain-v0 has no parameter 'm'"),
        ({"sweep": {"n": []}}, "sweep must give n at least one value, got none"),
        ({"sweep": {"n": [3, 3]}}, "sweep must not repeat a value"),
        ({"sweep": {"slip": [2]}}, "slip must be a number in .0, 1., got 2"),
        ({"seeds": 0}, "seeds must be an integer of at least 1, got 0"),
        ({"steps": 1.5}, "steps must be an integer of at least 1, got 1.5"),
        ({"episodes": 1}, "episodes must be an integer of at least 2, got 1"),
        ({"jobs": -1}, "jobs must be an integer of at least 0, got -1"),
        ({"scheduler": "x:1"}, "scheduler must be an address like tcp://HOST:PORT, got 'x:1'"),
        ({"cluster_timeout": -1}, "cluster_timeout must be a number in .0, inf., got -1"),
        ({"time_limit": 0.0}, "time_limit must be a number in"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_made(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compare(**{"agents": ["q-learning"], "out": tmp_path / "out", **arguments})
    assert not (tmp_path / "out").exists()


def test_a_label_can_be_given_back() -> None:
    for given in ("NChain-v0", "NChain-v0 n=3 slip=0.25", "FrozenLake-v1 is_slippery=false"):
        (choice,) = environments(given, {}, {})
        assert choice.label == given
    (lake,) = environments("FrozenLake-v1 map_name=8x8", {}, {})
    assert lake.make().observation_space == gym.spaces.Discrete(64)


def test_presets_follow_the_environment() -> None:
    chain = presets_for("NChain-v0", {"n": 9})
    assert not chain["q-learning"].by_name_only
    assert chain["keras-tutorial"].by_name_only
    lake = presets_for("FrozenLake-v1", {})
    assert lake["q-learning"].parameters["epsilon"] == 0.5
    assert lake["sarsa"].by_name_only  # the chain's, for those who ask for it
    grid = presets_for("FrozenLake-v1", {"is_slippery": False})
    assert grid["q-learning"].parameters["learning_rate"] == 0.5
    cards = presets_for("Blackjack-v1", {})  # nothing is tuned for it: the chain's it is
    assert all(one.borrowed for one in cards.values())
    assert not cards["q-learning"].by_name_only
    assert cards["rmax"].by_name_only
    assert not any(one.borrowed for one in chain.values())


def test_python_and_the_command_line_need_no_guard_around_the_main_module(tmp_path: Path) -> None:
    import subprocess

    script = tmp_path / "script.py"
    script.write_text(
        "from nchain_agents import compare\n"
        "class Mine:\n"
        "    def __init__(self, env): self.env = env\n"
        "    def learn(self, total_timesteps):\n"
        "        self.env.reset()\n"
        "        for _ in range(total_timesteps): self.env.step(0)\n"
        "    def predict(self, observation, *, deterministic=False):\n"
        "        return [0] * len(observation), None\n"
        "print(compare([Mine], seeds=2, steps=50, jobs=2).summary['agents']['Mine']['score'])\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert re.search(r"'mean': 99.909", done.stdout)


def remarks(agents: list[str] | None, env: str, sweep: dict[str, Any] | None = None) -> Any:
    found = plan(agents, env, parameters=None, sweep=sweep, seeds=1, steps=10, episodes=2)
    return found.remarks


def test_a_plan_remarks_which_presets_were_tuned_for_another_environment(tmp_path: Path) -> None:
    both = ["q-learning", "sarsa"]
    chains = "not tuned for FrozenLake-v1: sarsa, which has its settings for the chain"
    assert remarks(both, "NChain-v0", {"n": [3, 4]}) == ()
    assert remarks(both, "FrozenLake-v1") == (chains,)
    # the same settings in all environments of a sweep: those for the first
    slipping = "FrozenLake-v1 is_slippery=true"
    assert remarks(both, "FrozenLake-v1", {"is_slippery": [True, False]}) == (
        f"not tuned for FrozenLake-v1 is_slippery=false: q-learning, which has its settings for "
        f"{slipping}",
        chains,
    )
    # with other settings it is the user's own
    file = tmp_path / "mine.toml"
    file.write_text("[mine]\npreset = 'sarsa'\nparameters = { epsilon = 0.5 }\n")
    assert remarks([str(file)], "FrozenLake-v1") == ()


def test_a_plan_remarks_which_agents_are_told_too_small_a_reward() -> None:
    (said,) = remarks(["rmax", "q-learning"], "NChain-v0", {"large": [5, 100]})
    has = "max_reward = 10, where NChain-v0 large=100 has 100"
    assert said == f"told too small a reward: rmax, which has {has}"


def test_remarks_are_no_part_of_what_a_study_is() -> None:
    given: dict[str, Any] = {"parameters": None, "sweep": None, "seeds": 1, "steps": 9}
    study = plan(["sarsa"], "FrozenLake-v1", episodes=2, **given)
    assert study.remarks
    assert study == replace(study, remarks=())
    assert "remarks" not in study.as_data()


def test_what_is_run_does_not_need_what_is_shown() -> None:
    import subprocess

    code = (
        "import sys, nchain_agents.study.conduct\n"
        "print([name for name in ('nchain_agents.report', 'matplotlib', 'jinja2') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
