import csv
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from command import nchain

Capture = pytest.CaptureFixture[str]


def test_solve_prints_the_known_values(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert nchain(monkeypatch, "solve") == 0
    shown = capsys.readouterr().out
    for value in ("61.3795", "66.1309", "3665.83", "3663.69", "1603.19", "1311.25", "3.6768"):
        assert value in shown
    assert shown.count("forward") == 6  # one a state, one in the head


def test_solve_gives_json_for_any_chain(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    options = ("--n", "1", "--slip", "0", "--small", "1", "--large", "3", "--gamma", "0.5")
    assert nchain(monkeypatch, "solve", *options, "--horizon", "10", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    # one state, nothing slips: forward pays 3 for ever, 3 / (1 - 0.5) = 6; backward 1 + 0.5 x 6
    assert answer["q"] == [pytest.approx([6.0, 4.0])]
    assert answer["policy"] == [0]
    assert answer["optimal_return"] == pytest.approx(30)
    assert answer["average_reward"] == pytest.approx(3)


def test_solve_gives_all_answers_of_any_table(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert nchain(monkeypatch, "solve", "--env", "FrozenLake-v1 map_name=8x8", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["env"] == "FrozenLake-v1 map_name=8x8"
    assert (answer["states"], answer["actions"], answer["horizon"]) == (64, 4, 100)
    for name in ("policy", "values", "optimal_bias"):
        assert len(answer[name]) == 64
    for name in ("q", "gaps"):
        assert [len(row) for row in answer[name]] == [4] * 64
    # The goal is reached for certain, if there is no hurry.
    assert answer["optimal_bias"][0] == pytest.approx(1)
    assert answer["optimal_gain"] == 0
    assert answer["diameter"] == "Infinity"


def test_solve_shows_the_long_run_of_the_chain(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert nchain(monkeypatch, "solve", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert [answer[name] for name in ("n", "slip", "small", "large")] == [5, 0.2, 2, 10]
    assert answer["optimal_gain"] == pytest.approx(3.6768)
    assert answer["optimal_bias"][0] == pytest.approx(-13.1072)
    assert answer["bias_span"] == pytest.approx(23.616)
    assert answer["diameter"] == pytest.approx((0.8**-4 - 1) / 0.2)
    assert answer["gaps"][0] == [0, pytest.approx(61.3795 - 60.5778, abs=1e-4)]


@pytest.mark.parametrize(
    "arguments", [(), ("--env", "Taxi-v4"), ("--env", "CliffWalking-v1"), ("--n", "40")]
)
def test_what_solve_prints_fits_into_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert nchain(monkeypatch, "solve", *arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert len(lines) < 60


def test_a_table_too_large_for_the_bias_is_solved_without_it(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert nchain(monkeypatch, "solve", "--n", "3001", "--horizon", "10", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["optimal_gain"] == pytest.approx(1.6)
    assert [answer[name] for name in ("optimal_bias", "bias_span", "diameter")] == [None] * 3


def test_solve_needs_a_horizon_where_episodes_have_no_limit(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    gym.register("NoLimit-v0", "nchain_env:NChainEnv")
    try:
        assert nchain(monkeypatch, "solve", "--env", "NoLimit-v0 n=3") == 2
        error = capsys.readouterr().err
        assert (
            error == "nchain: horizon must be given for NoLimit-v0 n=3, which has no time limit\n"
        )
        assert nchain(monkeypatch, "solve", "--env", "NoLimit-v0 n=3", "--horizon", "9") == 0
        assert "optimal return of 9 steps" in capsys.readouterr().out
    finally:
        del gym.registry["NoLimit-v0"]


def test_a_long_chain_is_shown_by_its_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert nchain(monkeypatch, "solve", "--n", "100", "--gamma", "0.9") == 0
    shown = capsys.readouterr().out
    states = [line.split()[0] for line in shown.splitlines() if line.strip()]
    assert "99" in states
    assert "50" not in states


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("solve", "--n", "0"), "n must be an integer of at least 1, got 0"),
        (("solve", "--n", "2.5"), "'--n'"),
        (("solve", "--slip", "1.5"), "slip must be a number in [0, 1], got 1.5"),
        (("solve", "--slip", "nan"), "slip must be a number in [0, 1], got nan"),
        (("solve", "--large", "inf"), "large must be a number in [-1e+300, 1e+300], got inf"),
        (("solve", "--gamma", "1"), "gamma must be a number in [0, 1), got 1.0"),
        (("solve", "--env", "NChain-v0 n=5", "--n", "8"), "n must be given once, got n=5 and n=8"),
        (("solve", "--env", "CartPole-v1"), "env must have a model, toy-text's `P` and"),
        (("solve", "--env", "FrozenLake-v1", "--n", "3"), "FrozenLake-v1 has no parameter 'n'"),
        (("solve", "--horizon", "0"), "horizon must be an integer of at least 1, got 0"),
        (("compare", "--agents", "q-lerning"), "did you mean q-learning"),
        (("compare", "--seeds", "0"), "seeds must be an integer of at least 1, got 0"),
        (("compare", "--steps", "-1"), "steps must be an integer of at least 1, got -1"),
        (("compare", "--jobs", "-1"), "jobs must be an integer of at least 0, got -1"),
        (("compare", "--small", "nan"), "small must be a number in [-1e+300, 1e+300], got nan"),
        (("compare", "--out", "{file}"), "out must be a folder to write to, got "),
        (("compare", "--out", "{file}/below"), "out must be a folder to write to, got "),
        # nothing is said of agents before the environment is known
        (
            ("compare", "--agents", "sarsa", "--env", "FrozenLake-v1 m=3"),
            "env: FrozenLake-v1 has no parameter 'm'",
        ),
        (
            ("compare", "--agents", "sarsa", "--env", "FrozenLake-v1", "--n", "3"),
            "env: FrozenLake-v1 has no parameter 'n'",
        ),
        (("compare", "--sweep", "n"), "sweep must have the form n=5,10 or slip=0.2, got 'n'"),
        (("compare", "--sweep", "n=1 n=2"), "sweep must have n only once"),
        (("compare", "n=3"), "compare takes a study file and options only, got 'n=3'"),
        (("compare", "a.toml", "b.toml"), "a study file and options only, got 'a.toml b.toml'"),
        (("compare", "a.toml"), "No such file or directory: 'a.toml'"),
        (("compare", "a.toml", "--n", "3"), "--n cannot be given with a study file"),
        (("compare", "a.toml", "--seeds", "5"), "--seeds cannot be given with a study file"),
        (("compare", "--sweep", "n=3", "slip=0", "a.toml"), "--sweep cannot be given with a"),
        (("compare", "--backend", "dask"), "No such option: --backend"),
        (("compare", "--scheduler", "nowhere"), "scheduler must be an address like tcp://"),
        (("train", "q-lerning"), "did you mean q-learning"),
        (("train", "--steps", "0"), "steps must be an integer of at least 1, got 0"),
        (
            ("compare", "--env", "NChain-v0 n=5", "--n", "8"),
            "n must be given once, got n=5 and n=8",
        ),
        (
            ("compare", "--sweep", "n=3,4", "slip=0,0.1", "--slip", "0.5"),
            "slip must be given once, got slip=0.5 and a sweep of it",
        ),
        (("compare", "--agents", "QLearning"), "unknown agent 'QLearning'; "),
        (("compare", "--agents", "QLearning"), "any class as module:Class"),
        (
            ("compare", "--agents", ":QLearning"),
            "agent must have the form module:Class, got ':QLearning'",
        ),
        (("compare", "--agents", "a:b:C"), "agent must have the form module:Class, got 'a:b:C'"),
        (("train", "--out", "."), "out must be a file, got the folder ."),
        (("train", "--out", "{file}/x"), "out must be in an existing folder, got "),
        (("train", "--env", "NChain-v1"), "env must be an environment of Gymnasium's"),
        (("evaluate", "{file}"), "is not a saved agent"),
        (("evaluate", "{file}x"), "No such file"),
        (("reproduce", "--rounds", "0"), "rounds must be an integer of at least 1, got 0"),
        (("reproduce", "--seeds", "1"), "seeds must be an integer of at least 2, got 1"),
        (("reproduce", "--seed", "-1"), "seed must be an integer of at least 0, got -1"),
        (("reproduce", "--jobs", "-1"), "jobs must be an integer of at least 0, got -1"),
        (("reproduce", "--out", "{file}"), "out must be a folder to write to, got "),
        (("dance",), "No such command 'dance'"),
        (("compare", "--agnets", "sarsa"), "No such option: --agnets (Possible options: --agents"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "file"
    file.write_text("here before")
    given = [argument.format(file=file) for argument in arguments]
    assert nchain(monkeypatch, *given) == 2
    error = capsys.readouterr().err
    assert error.startswith("nchain: ")
    assert message in error
    assert error.count("\n") == 1
    assert os.listdir(tmp_path) == ["file"]
    assert file.read_text() == "here before"


def test_the_help_of_compare_shows_the_one_argument_that_it_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert nchain(monkeypatch, "compare", "--help") == 0
    shown = capsys.readouterr().out
    (usage,) = [line for line in shown.splitlines() if "Usage:" in line]
    assert usage.rstrip().endswith(" compare [OPTIONS] [study]")
    assert "A study file" in shown


def test_compare_says_what_it_left_out_and_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    from nchain_agents import presets as home

    missing = home.Preset("missing", "nowhere:Agent", extra="sb3", requires=("no_such_module",))
    known = {"q-learning": home.problem("nchain").preset("q-learning"), "missing": missing}
    chain = replace(home.problem("nchain"), presets=known)
    monkeypatch.setattr(home, "problem", lambda _: chain)
    options = ("--steps", "50", "--seeds", "1", "--jobs", "1", "--out", str(tmp_path))
    assert nchain(monkeypatch, "compare", *options) == 0
    said = capsys.readouterr()
    assert re.search(r"left out: missing, which needs pip install -e '.*\[sb3\]'\n", said.err)
    assert "q-learning" in said.out
    assert nchain(monkeypatch, "compare", "--agents", "missing", *options) == 2
    refused = capsys.readouterr().err
    assert re.search(r"missing needs pip install -e '.*\[sb3\]'\n", refused)


def test_what_is_there_already_and_what_is_not_tuned_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    options = ("--agents", "q-learning,sarsa", "--seeds", "2", "--steps", "100", "--jobs", "1")
    lake = ("--env", "FrozenLake-v1", "--out", str(tmp_path / "lake"))
    assert nchain(monkeypatch, "compare", *options, *lake) == 0
    said = capsys.readouterr().err
    assert "not tuned for FrozenLake-v1: sarsa, which has its settings for the chain" in said
    assert "q-learning, which" not in said
    assert "were there already" not in said
    assert nchain(monkeypatch, "compare", *options, *lake) == 0
    assert "4 of 4 runs were there already" in capsys.readouterr().err


def test_a_failed_run_is_reported_and_makes_the_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    # a table learner cannot see the numbers that a cart has
    options = ("--agents", "q-learning", "--env", "CartPole-v1", "--seeds", "1", "--steps", "20")
    assert nchain(monkeypatch, "compare", *options, "--out", str(tmp_path)) == 1
    shown = capsys.readouterr().out
    assert "Failed runs" in shown
    assert "observations" in shown


def test_the_summary_is_printed_as_markdown(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    options = ("--agents", "q-learning", "--seeds", "2", "--steps", "4000", "--jobs", "1")
    assert nchain(monkeypatch, "compare", *options, "--markdown", "--out", str(tmp_path)) == 0
    shown = capsys.readouterr().out
    assert "## NChain-v0, 4,000 steps, 2 seeds" in shown
    assert "| q-learning | 3,663.7 | 99.91 | 99.9 to 99.9 |" in shown
    assert "| optimal policy | 3,665.8 | 100.00 |" in shown


def test_a_class_in_the_current_folder_is_compared(tmp_path: Path) -> None:
    (tmp_path / "my_agents.py").write_text(
        "import numpy as np\n"
        "class Backward:\n"
        "    def __init__(self, env): self.env = env\n"
        "    def learn(self, total_timesteps):\n"
        "        self.env.reset()\n"
        "        for _ in range(total_timesteps): self.env.step(1)\n"
        "    def predict(self, observation, *, deterministic=False):\n"
        "        return np.ones_like(observation), None\n"
    )
    command = [str(Path(sys.executable).with_name("nchain")), "compare", "--json", "--seeds", "2"]
    command += ["--agents", "my_agents:Backward", "--steps", "40"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    scores = json.loads(done.stdout)["agents"]["Backward"]["score"]["by_seed"]
    assert scores == pytest.approx([12.4, 12.4], abs=0.01)


def test_a_sweep_is_written_as_people_would(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    options = ("--agents", "q-learning", "--seeds", "1", "--steps", "100", "--jobs", "1", "--json")
    swept = ("--sweep", "n=3,4", "slip=0,0.2", "--large", "5")
    assert nchain(monkeypatch, "compare", *options, *swept, "--out", str(tmp_path)) == 0
    envs = json.loads(capsys.readouterr().out)["envs"]
    assert [env["parameters"] for env in envs] == [
        {"large": 5, "n": n, "slip": slip} for n in (3, 4) for slip in (0, 0.2)
    ]


def test_an_agent_is_trained_saved_and_evaluated(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert nchain(monkeypatch, "train", "--steps", "20000") == 0
    shown = capsys.readouterr().out
    assert "return of an episode: 3,663.7 (exactly), score 99.91" in " ".join(shown.split())
    assert (tmp_path / "q-learning.agent").exists()

    file = str(tmp_path / "q-learning.agent")
    assert nchain(monkeypatch, "evaluate", file, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["agent"] == "QLearning"
    assert row["env"] == "NChain-v0"
    assert row["steps"] == 20_000
    assert row["return"] == pytest.approx(3663.6928, abs=1e-3)
    assert row["exact"] is True
    # one episode's return has a standard deviation of about 276
    assert nchain(monkeypatch, "evaluate", file, "--episodes", "30", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["exact"] is False
    assert row["return"] == pytest.approx(3663.69, abs=5 * 276 / 30**0.5)
    assert row["standard_error"] == pytest.approx(276 / 30**0.5, rel=0.5)
    # always forward where a slip is as likely as not: no policy is better than another
    even = ("--env", "NChain-v0 slip=0.5", "--json")
    assert nchain(monkeypatch, "evaluate", file, *even) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["score"] is None


def test_another_environment_of_an_agent_is_named_with_its_parameters(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    file = str(tmp_path / "lake.agent")
    lake = "FrozenLake-v1 is_slippery=false"
    options = ("--env", lake, "--steps", "20000", "--out", file)
    assert nchain(monkeypatch, "train", "q-learning", *options) == 0
    assert "q-learning on FrozenLake-v1 is_slippery=false" in capsys.readouterr().out
    assert nchain(monkeypatch, "evaluate", file, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["env"] == lake
    assert row["return"] == pytest.approx(1.0)
    assert row["score"] == pytest.approx(100.0)


def compared(out: Path, *options: str) -> dict[str, Any]:
    """Run `nchain compare` as a user does: the installed command, in another folder."""
    command = [str(Path(sys.executable).with_name("nchain")), "compare", "--out", str(out)]
    agents = ("--agents", "reward-sum,q-learning", "--seeds", "3", "--steps", "4000")
    done = subprocess.run(
        [*command, *agents, "--json", *options],
        cwd=out.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    printed: dict[str, Any] = json.loads(done.stdout)
    assert printed == json.loads((out / "summary.json").read_text())
    return printed


@pytest.mark.slow
def test_compare_runs_from_the_installed_package(tmp_path: Path) -> None:
    (summary,) = compared(tmp_path / "first", "--jobs", "2")["envs"]
    assert summary["optimal_return"] == pytest.approx(3665.83, abs=0.005)
    assert summary["random_return"] == pytest.approx(1311.25, abs=0.005)
    assert list(summary["agents"]) == ["reward-sum", "q-learning"]
    scores = summary["agents"]["q-learning"]["score"]["by_seed"]
    assert scores == pytest.approx([99.91] * 3, abs=0.01)

    with (tmp_path / "first" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3 * 20
    last = [row for row in rows if row["agent"] == "q-learning" and row["step"] == "4000"]
    assert [row["seed"] for row in last] == ["0", "1", "2"]
    assert float(last[0]["return"]) == pytest.approx(3663.69, abs=0.005)
    assert (tmp_path / "first" / "learning_curves.png").read_bytes().startswith(b"\x89PNG")

    # the number of jobs and the order in which runs end change nothing
    compared(tmp_path / "second", "--jobs", "1")
    for name in ("results.csv", "summary.json", "learning_curves.png", "report.html"):
        first, second = (tmp_path / folder / name for folder in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()


def test_a_chain_on_which_all_policies_are_equal_has_no_score(tmp_path: Path) -> None:
    (summary,) = compared(tmp_path / "out", "--slip", "0.5", "--n", "3")["envs"]
    assert summary["agents"]["q-learning"]["score"]["median"] is None
    assert summary["agents"]["q-learning"]["return"]["median"] == pytest.approx(
        summary["optimal_return"]
    )


def test_help_needs_no_learning_library() -> None:
    code = (
        "import sys; sys.argv = ['nchain', '--help']\n"
        "from nchain_agents.__main__ import main\n"
        "try: main()\n"
        "finally: print([m for m in ('numpy', 'torch', 'tensorflow', 'keras', 'jax', 'numba', "
        "'gymnasium', 'matplotlib') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "compare" in done.stdout
    assert done.stderr.strip().endswith("[]")


def test_the_agents_package_is_imported_lazily() -> None:
    code = "import nchain_agents, sys; print('numpy' in sys.modules, dir(nchain_agents)[1])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "BootstrappedDQN"]
