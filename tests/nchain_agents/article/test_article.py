import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from math import comb
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from processes import eventually, marked
from scipy.stats import binomtest, fisher_exact

from nchain_agents import RewardSum, cli, keras_backend
from nchain_agents.article import chance, networks, published, run, tables
from nchain_agents.article.learners import TutorialQLearning
from nchain_agents.article.parts import Parts
from nchain_agents.article.wrappers import TerminationAsTruncation, TruncationAsTermination
from nchain_agents.tabular import q_learning
from nchain_env.mdp import TabularMDP

Rule = Any


def seeds_of(seed: int) -> list[int]:
    """The seeds that an agent makes of its own: for itself, and for its environment."""
    seeds: list[int] = np.random.SeedSequence(seed).generate_state(2).tolist()
    return seeds


def tutorial_loop(seed: int, episodes: int, epsilon: float, learns: Rule) -> Any:
    """The tutorial's loop by NumPy calls, with the random numbers that an agent would take."""
    env, table = gym.make("NChain-v0"), np.zeros((5, 2))
    agent_seed, env_seed = seeds_of(seed)
    rng = np.random.default_rng(agent_seed)
    for episode in range(episodes):
        s, _ = env.reset(seed=None if episode else env_seed)
        epsilon *= 0.999
        done = False
        while not done:
            explores = epsilon > 0 and rng.random() < epsilon
            if explores or np.sum(table[s, :]) == 0:
                a = int(rng.random() * 2)
            else:
                a = int(np.argmax(table[s, :]))
            reached, r, _, done, _ = env.step(a)
            learns(table, s, a, float(r), reached)
            s = reached
    return table


def adds_up(table: Any, s: int, a: int, r: float, reached: int) -> None:
    table[s, a] += r


def moves(table: Any, s: int, a: int, r: float, reached: int) -> None:
    table[s, a] += r + 0.8 * (0.95 * np.max(table[reached, :]) - table[s, a])


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_the_learners_are_the_tutorials_to_the_bit(epsilon: float, compiled: bool) -> None:
    schedule: Any = {"initial": epsilon, "decay": 0.999}
    settings: Any = {"gamma": 0.95, "learning_rate": 0.8, "epsilon": schedule, "seed": 3}
    learned = TutorialQLearning("NChain-v0", compiled=compiled, **settings).learn(8000).q
    expected = tutorial_loop(3, 8, epsilon, moves)
    assert (learned == expected).all()
    assert np.count_nonzero(learned) == (10 if epsilon else 5)


@pytest.mark.parametrize("seed", range(3))
def test_the_sum_of_rewards_is_the_tutorials_to_the_bit(seed: int) -> None:
    learned = RewardSum("NChain-v0", seed=seed).learn(8000).q
    assert (learned == tutorial_loop(seed, 8, 0.0, adds_up)).all()


class Textbook(TutorialQLearning):
    update = staticmethod(q_learning.update)


def test_its_update_is_the_textbooks_with_larger_rewards() -> None:
    settings: Any = {"learning_rate": 0.8, "epsilon": {"initial": 0.5, "decay": 0.999}, "seed": 5}
    tutorial = TutorialQLearning("NChain-v0", **settings).learn(20_000)
    larger = gym.make("NChain-v0", small=2 / 0.8, large=10 / 0.8)
    np.testing.assert_allclose(tutorial.q, Textbook(larger, **settings).learn(20_000).q, rtol=1e-9)


def test_the_exact_tables() -> None:
    # going backward for ever: 0.8 of the time in state 0, then a fifth of that each further state
    rewards = [1.6, 1.6, 1.6, 1.6, 0.8 * 2 + 0.2 * 10]
    share = np.array([0.8, 0.16, 0.032, 0.0064, 0.0016])
    naive = tables.exact_table("reward-sum")
    np.testing.assert_allclose(naive[:, 1], 500_000 * share * rewards, rtol=5e-3)
    assert naive[:, 0].tolist() == [0] * 5
    # the greedy table's policy: backward but in state 3
    moves = np.zeros((5, 5))
    moves[[0, 1, 2, 3, 4], [1, 2, 3, 4, 4]] += [0.2, 0.2, 0.2, 0.8, 0.2]
    moves[:, 0] += [0.8, 0.8, 0.8, 0.2, 0.8]
    v = np.linalg.solve(np.identity(5) - 0.95 * moves, [1.6, 1.6, 1.6, 0.4, 3.6])
    greedy = tables.exact_table("greedy-q")
    np.testing.assert_allclose(greedy.sum(axis=1), v / 0.8)
    assert greedy.argmax(axis=1).tolist() == [1, 1, 1, 0, 1]
    explores = tables.exact_table("epsilon-greedy-q")
    assert explores[0].tolist() == pytest.approx([61.3795 / 0.8, 60.5778 / 0.8], abs=1e-3)


def test_the_intervals_of_wins() -> None:
    assert chance.binomial_interval(0, 10) == pytest.approx((0, 1 - 0.025 ** (1 / 10)))
    assert chance.binomial_interval(65, 100) == pytest.approx((0.548, 0.743), abs=1e-3)


def test_the_exact_test_of_two_samples() -> None:
    # all ways to put 2 + 2 into three classes with one, one and two in all
    ways = {(1, 1, 0): 1, (1, 0, 1): 2, (0, 1, 1): 2, (0, 0, 2): 1}
    for seen, count in ways.items():
        other = tuple(total - own for total, own in zip((1, 1, 2), seen, strict=True))
        expected = sum(w for w in ways.values() if w <= count) / comb(4, 2)
        assert chance.same_source(seen, other) == pytest.approx(expected)
    assert chance.same_source((3, 7, 0), (8, 4, 0)) == pytest.approx(
        fisher_exact(np.array([[3, 7], [8, 4]])).pvalue
    )
    assert chance.same_source((13, 22, 65), (13, 22, 65)) == pytest.approx(1)
    assert chance.same_source((0, 0, 100), (13, 22, 65)) < 1e-10


def test_one_more_value_lies_in_the_interval_19_times_in_20() -> None:
    values = np.random.default_rng(0).normal(5, 3, size=(6, 4000))
    low, high = chance.next_value_interval(values[:5])
    inside = int(((low <= values[5]) & (values[5] <= high)).sum())
    assert binomtest(inside, 4000, 0.95).pvalue > 0.01


def test_games_earn_what_their_policies_are_worth() -> None:
    policies = np.repeat([[0] * 5, [1] * 5], 400, axis=0)
    returns = tables.exact_returns(policies)
    assert returns[[0, -1]].tolist() == pytest.approx([3663.69, 1603.19], abs=0.005)
    rewards = tables.play(policies, seed=0)
    assert (rewards.reshape(2, 400).mean(axis=1) - returns[[0, -1]]) / 276 * 20 == pytest.approx(
        0, abs=3
    )


def test_the_first_of_equals_wins() -> None:
    rewards = np.array([[5.0, 5, 1], [1, 5, 5], [1, 2, 3]])
    q = np.zeros((3, 3, 5, 2))
    q[1, 2, :, 0] = 1
    played = tables.Tournament(("a", "b", "c"), q, rewards, rewards)
    assert played.wins == (1, 1, 1)
    assert played.forward == (3, 3, 3)  # among equal values the first, forward


def test_the_tournaments_wins_agree_with_the_articles() -> None:
    done: list[int] = []
    played = tables.tournament(tables.VERSIONS["as written"], 32, seed=1, advance=done.append)
    assert sum(played.wins) == sum(done) == 32
    assert chance.same_source(played.wins, published.WINS) > 0.05
    again = tables.tournament(tables.VERSIONS["as written"], 32, seed=1, jobs=1)
    assert (again.q == played.q).all()
    assert (again.rewards == played.rewards).all()
    # the printed tables could be ours
    for i, printed in enumerate(published.TABLES.values()):
        for s, a in np.argwhere(printed):
            learned = played.q[:, i, s, a][played.q[:, i, s, a] != 0]
            assert learned.min() * 0.7 < printed[s][a] < learned.max() * 1.3


def test_falling_rates_win_and_are_exact() -> None:
    played = tables.tournament(tables.VERSIONS["visit-count rates"], 4)
    assert played.wins[2] == played.forward[2] == 4
    exact = tables.exact_table("epsilon-greedy-q") * 0.8
    assert abs(played.q[:, 2].mean(axis=0) - exact).max() < 0.5


def test_taking_the_time_limit_for_an_end_costs_what_it_should() -> None:
    limit = tables.truncation(1, episodes=100)
    lost = (limit.terminated - limit.bootstrapped)[0]
    assert lost[:4] == pytest.approx(
        (limit.exact_terminated - limit.exact_bootstrapped)[:4], abs=0.7
    )
    assert limit.exact_bootstrapped[4].tolist() == pytest.approx([83.5921, 66.1309], abs=1e-4)


def test_ends_and_cuts_are_mistaken_for_each_other() -> None:
    class One(gym.Env[Any, Any]):
        observation_space = gym.spaces.Discrete(1)
        action_space = gym.spaces.Discrete(2)

        def step(self, action: int) -> Any:
            return 0, 1.0, action == 0, action == 1, {}

    for wrapper, action, ends in (
        (TerminationAsTruncation, 0, (False, True)),
        (TerminationAsTruncation, 1, (False, True)),
        (TruncationAsTermination, 0, (True, False)),
        (TruncationAsTermination, 1, (True, False)),
    ):
        assert wrapper(One()).step(action) == (0, 1.0, *ends, {})


def test_the_way_to_the_goal() -> None:
    lake = TabularMDP.from_env(gym.make("FrozenLake-v1", is_slippery=False))
    left, down, right, up = range(4)
    policy = np.full(16, left)
    policy[[0, 4, 9]], policy[[8, 13, 14]] = down, right
    assert networks.steps_to_goal(lake, policy) == networks.SHORTEST
    policy[4] = right  # into a hole
    assert networks.steps_to_goal(lake, policy) == float("inf")
    policy[0] = up  # stays where it is
    assert networks.steps_to_goal(lake, policy) == float("inf")


# Keras reads variables in a way that NumPy warns about
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning")
def test_the_network_learns_as_the_tutorials_does() -> None:
    """Beside Keras's own training, with the targets that the tutorial builds."""
    keras = pytest.importorskip("keras", reason="needs the keras or the jax extra")
    steps = 40
    learned = networks.tutorial_learner(4).learn(steps)
    same = networks.tutorial_learner(4)  # its generators are at their beginning
    network = networks.keras_network(5, (10,), "sigmoid", 2, 4)
    network.compile(loss="mse", optimizer="adam")
    env, one_hot = gym.make("NChain-v0"), np.identity(5, dtype=np.float32)

    def values(state: int) -> Any:
        return keras.ops.convert_to_numpy(network(one_hot[state : state + 1])).copy()

    s, _ = env.reset(seed=seeds_of(4)[1])
    for _ in range(steps):
        explores, action, _ = same.np_random.random(3)  # the third chooses from a buffer of one
        a = int(2 * action) if explores < 0.5 * 0.999 else int(values(s).argmax())
        reached, r, _, _, _ = env.step(a)
        target = values(s)
        target[0, a] = r + 0.95 * values(reached).max()
        network.train_on_batch(one_hot[s : s + 1], target)
        s = reached
    pairs = zip(learned.network.get_weights(), network.get_weights(), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, atol=1e-4)  # a step is 1e-3


@pytest.mark.slow
def test_the_networks_values_are_within_the_scatter_of_ours(in_processes: Any) -> None:
    keras = pytest.importorskip("keras", reason="needs the keras or the jax extra")
    seeds = 10 if keras.backend.backend() == "jax" else 3
    train = partial(networks.chain_as_written, episodes=published.NETWORK_EPISODES)
    runs: list[networks.Training] = in_processes(train, range(seeds))
    low, high = chance.next_value_interval(np.array([trained.q for trained in runs]))
    printed = np.array(published.NETWORK_Q)
    assert ((low <= printed) & (printed <= high)).all()
    for trained in runs:
        assert trained.result == pytest.approx(3663.69, abs=0.005)
        rewards = trained.episode_returns / published.STEPS
        assert 1.2 < rewards[:10].mean() < 2.1
        assert rewards[-50:].mean() == pytest.approx(published.LAST_REWARD, abs=0.1)


@pytest.mark.slow
def test_bootstrapping_through_ends_learns_nothing_but_large_values() -> None:
    pytest.importorskip("keras", reason="needs the keras or the jax extra")
    written, right = (networks.cartpole(0, version, 5000) for version in networks.CARTPOLE[:2])
    assert written.q.max() > 200 > 100 > right.q.max()
    assert written.result < 12


def reproduced(out: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "nchain_agents", "reproduce", "--quick", "--json"]
    done = subprocess.run(
        [*command, "--out", str(out), *options],
        capture_output=True,
        text=True,
        check=True,
        timeout=900,
    )
    printed: dict[str, Any] = json.loads(done.stdout)
    assert printed == json.loads((out / "reproduce.json").read_text())
    return printed


@pytest.mark.slow
def test_a_quick_run_writes_everything(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs the keras or the jax extra")
    data = reproduced(tmp_path / "out", "--rounds", "3")
    assert data["article_wins"] == [13, 22, 65]
    assert set(data["tournaments"]) == set(tables.VERSIONS)
    assert set(data["cartpole"]) == set(networks.CARTPOLE)
    assert len(data["network"]["runs"]["as written"]) == 2
    page = (tmp_path / "out" / "reproduce.md").read_text()
    pictures = [line.split("(")[1][:-1] for line in page.splitlines() if line.startswith("![")]
    assert sorted(os.listdir(tmp_path / "out")) == sorted(
        ["reproduce.json", "reproduce.md", *pictures]
    )
    for name in pictures:
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")
    assert "62.73" in page
    assert "This was a quick run" in page


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_neither_the_number_of_jobs_nor_an_interruption_changes_anything(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs the keras or the jax extra")
    options = ("--rounds", "3", "--seed", "5")
    reproduced(tmp_path / "1", *options, "--jobs", "1")
    out, mark = tmp_path / "2", f"{tmp_path.name}-{os.getpid()}"
    command = [sys.executable, "-m", "nchain_agents", "reproduce", "--quick", *options]
    with subprocess.Popen(
        [*command, "--jobs", "2", "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "NCHAIN_MARK": mark},
        text=True,
    ) as process:
        # 4 parts come before the networks
        assert eventually(lambda: len([*out.glob("unfinished/[!.]*")]) >= 6)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert time.monotonic() - sent < 10  # 2 s where the machine is not busy
    assert process.returncode == 128 + signal.SIGINT
    assert said.endswith("nchain: stopped\n")
    assert eventually(lambda: not marked(mark))
    kept = [*out.glob("unfinished/*")]
    assert 6 <= len(kept) < 20
    reproduced(out, *options, "--jobs", "2")
    assert sorted(os.listdir(tmp_path / "1")) == sorted(os.listdir(out))
    for name in os.listdir(tmp_path / "1"):
        assert (tmp_path / "1" / name).read_bytes() == (out / name).read_bytes()


def played(rounds: int, q: Any) -> tables.Tournament:
    names = tuple(published.TABLES)
    rewards = np.arange(rounds * 3, dtype=np.float64).reshape(rounds, 3)
    return tables.Tournament(names, np.full((rounds, 3, 5, 2), q), rewards, rewards / 3)


def test_parts_come_back_as_they_were(tmp_path: Path) -> None:
    what = ("tournament", "as written", 2, 0)
    folder = tmp_path / "unfinished"
    Parts(folder).keep(what, played(2, 1 / 3))
    found = Parts(folder).find(what, tables.Tournament)
    assert found is not None
    assert found.names == tuple(published.TABLES)
    assert (found.q == 1 / 3).all()
    assert (found.returns == played(2, 0).returns).all()
    # a single float and its precision come back, too
    trained = networks.Training(
        7, np.array([1.5]), np.array([[0.1]], dtype=np.float32), float("inf")
    )
    Parts(folder).keep(("chain", 7), trained)
    again = Parts(folder).find(("chain", 7), networks.Training)
    assert again is not None
    assert (type(again.steps), again.steps, again.result) == (int, 7, float("inf"))
    assert again.q.dtype == np.float32
    assert again.q.tolist() == trained.q.tolist()


@pytest.mark.parametrize("other", [1, 2, 3])
def test_parts_of_other_settings_are_not_found(other: int, tmp_path: Path) -> None:
    what: list[Any] = ["tournament", "as written", 2, 0]
    Parts(tmp_path).keep(what, played(2, 0))
    what[other] = 9 if other > 1 else "scaled reward"
    assert Parts(tmp_path).find(what, tables.Tournament) is None


def test_a_part_that_is_not_whole_is_none_and_only_parts_are_deleted(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "unfinished")
    parts.keep(("a",), played(2, 0))
    (file,) = (tmp_path / "unfinished").iterdir()
    for size in (0, 10, file.stat().st_size - 5):
        file.write_bytes(file.read_bytes()[:size])
        assert parts.find(("a",), tables.Tournament) is None
        parts.keep(("a",), played(2, 0))
    (tmp_path / "unfinished" / "mine.txt").touch()
    parts.delete()
    assert os.listdir(tmp_path / "unfinished") == ["mine.txt"]


def test_a_reproduction_goes_on_from_its_parts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[int] = []

    def counted(makers: Any, rounds: int, advance: Any, **settings: Any) -> Any:
        if len(made) == 2:
            made.append(rounds)
            raise KeyboardInterrupt
        made.append(rounds)
        advance(rounds)
        return played(rounds, len(made))

    shown: dict[str, int] = {}

    def track(name: str, total: int) -> Any:
        shown[name] = -total

        def advance(done: int) -> None:
            shown[name] += done

        return advance

    monkeypatch.setattr(run, "tournament", counted)
    scale = run.Scale(rounds=2, step_fraction=0.01, truncation_pairs=1)
    reproduce = partial(run.reproduce, scale, 0, 1, None, track)
    with pytest.raises(KeyboardInterrupt):
        reproduce(Parts(tmp_path))
    result = reproduce(Parts(tmp_path))
    assert len(made) == 4  # two, the interrupted one, and only that again
    assert [found.q[0, 0, 0, 0] for found in result.tournaments.values()] == [1, 2, 4]
    assert set(shown.values()) == {0}


def test_without_keras_the_networks_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(keras_backend, "find_spec", lambda name: None)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    arguments = ["nchain", "reproduce", "--quick", "--rounds", "2", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit, match="0"):
        cli.run()
    said = capsys.readouterr()
    assert re.search(r"networks are left out: they need pip install -e '.*\[jax\]' \(", said.err)
    assert "The tournament" in said.out
    assert "CartPole-v1" not in said.out
    data = json.loads((tmp_path / "reproduce.json").read_text())
    assert data["command"] == "nchain reproduce --quick --rounds 2 --seed 0"
    assert f"Written by `{data['command']}`" in (tmp_path / "reproduce.md").read_text()
    assert data["backend"] is None
    assert "network" not in data
