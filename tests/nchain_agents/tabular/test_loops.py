"""The stepped and the compiled loop give the same bits; and both treat names as names."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.toy_text import FrozenLakeEnv
from hypothesis import given, settings
from hypothesis import strategies as st

import nchain_agents.tabular.table_agent as home
from nchain_agents import (
    MBIEEB,
    UCRL2,
    Agent,
    DoubleQLearning,
    ExpectedSarsa,
    OptimisticQLearning,
    PosteriorSampling,
    QLearning,
    RewardSum,
    RMax,
    Sarsa,
    StopAfterEpisodes,
    batch,
    learn_many,
)
from nchain_agents.interrupts import Pace
from nchain_agents.model_env import model_env
from nchain_agents.tabular import compiler, loop
from nchain_agents.tabular.table_agent import TableAgent
from nchain_agents.tabular.temporal_difference import TemporalDifferenceAgent
from nchain_env import TabularMDP, chain_mdp

pytest.importorskip("numba", reason="needs the agents extra")

ENVS = ("NChain-v0", "FrozenLake-v1", "CliffWalking-v1", "Taxi-v4")
RATES: tuple[dict[str, Any], ...] = (
    {"learning_rate": 0.8, "epsilon": {"initial": 0.5, "decay": 0.99}},
    {
        "visit_power": 0.7,
        "learning_rate": 1.0,
        "epsilon": {"initial": 1.0, "final": 0.1, "fraction": 0.5},
        "initial_q": (-1.0, 1.0),
    },
    {"temperature": 1.5, "epsilon": 0.1, "initial_q": 3.0},
)
CASES = [
    *(
        (kind, rates)
        for kind in (QLearning, Sarsa, ExpectedSarsa, DoubleQLearning)
        for rates in RATES
    ),
    (RewardSum, {}),
    (OptimisticQLearning, {"max_reward": 3.0, "bonus": 0.01}),
]
# Their plans take too long with the many states of Taxi.
MODEL_BASED: list[tuple[type[TableAgent], dict[str, Any]]] = [
    (PosteriorSampling, {}),
    (PosteriorSampling, {"rewards": "known"}),
    (UCRL2, {"max_reward": 3.0}),
    (MBIEEB, {"max_reward": 3.0}),
    (RMax, {"max_reward": 3.0, "known_after": 3}),
]


def assert_equal_bits(one: TableAgent, other: TableAgent) -> None:
    for name, array in one.tables._asdict().items():
        assert array.tobytes() == getattr(other.tables, name).tobytes(), name
    assert one.episode_returns == other.episode_returns
    assert one.num_timesteps == other.num_timesteps
    assert model_env(one.env).position == model_env(other.env).position
    assert one.np_random.bit_generator.state == other.np_random.bit_generator.state
    theirs = (agent.env.unwrapped.np_random.bit_generator.state for agent in (one, other))
    assert next(theirs) == next(theirs)


@pytest.mark.parametrize("env", ENVS)
@pytest.mark.parametrize(("kind", "parameters"), CASES)
def test_stepped_and_compiled_learning_give_the_same_bits(
    kind: type[TableAgent], parameters: dict[str, Any], env: str
) -> None:
    stepped = kind(env, seed=7, compiled=False, **parameters)
    machine = kind(env, seed=7, compiled=True, **parameters)
    # more than one call, ending within episodes
    for steps in (1, 1503, 777):
        stepped.learn(steps)
        machine.learn(steps)
        assert_equal_bits(stepped, machine)
    # each goes on where the other stopped
    stepped.compiled, machine.compiled = True, False
    stepped.learn(300)
    machine.learn(300)
    assert_equal_bits(stepped, machine)


@pytest.mark.parametrize("env", ["NChain-v0", "FrozenLake-v1"])
@pytest.mark.parametrize(("kind", "parameters"), MODEL_BASED)
def test_learners_of_a_model_give_the_same_bits_too(
    kind: type[TableAgent], parameters: dict[str, Any], env: str
) -> None:
    stepped = kind(env, seed=7, compiled=False, **parameters)
    machine = kind(env, seed=7, compiled=True, **parameters)
    for steps in (1, 503, 277):
        stepped.learn(steps)
        machine.learn(steps)
        assert_equal_bits(stepped, machine)


def test_listening_to_episodes_changes_nothing() -> None:
    alone, heard = (QLearning("FrozenLake-v1", seed=1, compiled=True) for _ in range(2))
    seen: list[int] = []

    def listen(agent: Agent) -> None:
        seen.append(agent.num_timesteps)

    alone.learn(2000)
    heard.learn(2000, callback=listen)
    assert_equal_bits(alone, heard)
    assert len(seen) == len(heard.episode_returns)
    stepped = QLearning("FrozenLake-v1", seed=1, compiled=False)
    stepped.learn(2000, callback=StopAfterEpisodes(10))
    machine = QLearning("FrozenLake-v1", seed=1, compiled=True)
    machine.learn(2000, callback=StopAfterEpisodes(10))
    assert_equal_bits(stepped, machine)
    assert stepped.num_timesteps == seen[9]


def test_a_number_draws_the_first_outcome_whose_cumulative_probability_exceeds_it() -> None:
    table = loop.OutcomeArrays.of(chain_mdp())
    # two actions of two outcomes each: those of state 4, action 1 begin at place 18
    for u, place in ((0.0, 18), (0.1999, 18), (0.2, 19), (0.9999, 19)):
        assert loop.sample_outcome(table, 4, 1, u) == place
    cumulative = np.array([0.25, 0.5, 1.0])
    for u, state in ((0.0, 0), (0.2499, 0), (0.25, 1), (0.5, 2), (0.9999, 2)):
        assert loop.sample_start(cumulative, u) == state
    # where rounding leaves the last one below the number, NumPy's argmax takes the first
    short = table._replace(cumulative=table.cumulative * 0.5)
    assert loop.sample_outcome(short, 4, 1, 0.5) == 18
    assert loop.sample_start(cumulative * 0.5, 0.5) == 0


def test_the_returns_are_those_of_the_environment() -> None:
    agent = QLearning(gym.make("NChain-v0", slip=0.0, large=3.0, n=2), epsilon=0.0, seed=0)
    agent.tables.q[:] = [[1e9, 0.0], [1e9, 0.0]]  # always forward: 0, then 3 a step
    agent.learn(3500)
    assert list(agent.episode_returns) == [2997.0] * 3


def test_batches_learn_what_each_would_learn_alone() -> None:
    kinds = (QLearning, Sarsa, DoubleQLearning, RewardSum)
    together = [kind("NChain-v0", seed=seed) for kind in kinds for seed in range(5)]
    alone = [kind("NChain-v0", seed=seed).learn(5000) for kind in kinds for seed in range(5)]
    learn_many(together, 5000, jobs=2)
    for one, other in zip(together, alone, strict=True):
        assert_equal_bits(one, other)


def test_a_batch_of_agents_that_share_an_environment_is_refused() -> None:
    env = gym.make("NChain-v0")
    with pytest.raises(
        ValueError, match=r"^agents must be different and have an environment each$"
    ):
        learn_many([QLearning(env), QLearning(env)], 10)
    with pytest.raises(ValueError, match=r"^jobs must be an integer of at least 1, got 0"):
        learn_many([QLearning(env)], 10, jobs=0)
    with pytest.raises(
        ValueError, match=r"^total_timesteps must be an integer of at least 1, got 0"
    ):
        learn_many([], 0)


def test_a_batch_takes_all_cores_unless_told_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    workers: list[int | None] = []

    class Pool(ThreadPoolExecutor):
        def __init__(self, max_workers: int | None) -> None:
            workers.append(max_workers)
            super().__init__(max_workers)

    monkeypatch.setattr(batch, "ThreadPoolExecutor", Pool)
    for cores, jobs in ((3, None), (None, None), (3, 2)):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        learn_many([RewardSum("NChain-v0", seed=0)], 1, jobs)
    assert workers == [3, 1, 2]


def test_a_batch_shows_the_steps_of_all_and_the_last_return_of_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[tuple[float, float]] = []

    @contextmanager
    def progress(total: int, shown: bool) -> Iterator[Any]:
        said.append((total, shown))
        yield lambda steps, last: said.append((steps, last))

    monkeypatch.setattr(batch, "training_progress", progress)
    agents = [QLearning("NChain-v0", seed=seed) for seed in range(3)]
    learn_many(agents, 3000, progress_bar=True)
    first, second, third = (agent.episode_returns for agent in agents)
    assert all(len(set(returns)) == 3 for returns in (first, second, third))
    assert said == [(9000, True), (3000, first[2]), (6000, second[2]), (9000, third[2])]
    said.clear()
    learn_many([QLearning("NChain-v0", seed=0)], 10)
    assert said[0] == (10, False)
    assert said[1][0] == 10
    assert np.isnan(said[1][1])  # no episode is over


def test_the_compiled_loop_is_not_taken_where_a_wrapper_may_change_what_is_seen() -> None:
    class Richer(gym.RewardWrapper[int, int]):
        def reward(self, reward: Any) -> float:
            return float(reward) + 100.0

    env = Richer(gym.make("NChain-v0"))
    with pytest.raises(ValueError, match=r"^env wears Richer, which may change what is seen$"):
        QLearning(env, compiled=True)
    agent = QLearning(env, seed=0).learn(1000)
    assert agent.episode_returns[0] > 100_000
    message = r"^env has a render mode, and what is not stepped is not drawn$"
    with pytest.raises(ValueError, match=message):
        QLearning(gym.make("NChain-v0", render_mode="ansi"), compiled=True)
    message = r"^env has a fickle passenger, who is not in its table$"
    with pytest.raises(ValueError, match=message):
        QLearning(gym.make("Taxi-v4", fickle_passenger=True), compiled=True)
    with pytest.raises(
        ValueError, match=r"^compiled must be one of True, False, 'auto', got 'yes'$"
    ):
        QLearning("NChain-v0", compiled="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize(("compiled", "stepped"), [(True, False), ("auto", False), (False, True)])
def test_the_environment_is_stepped_where_it_is_asked_for(compiled: Any, stepped: bool) -> None:
    agent = QLearning("FrozenLake-v1", seed=0, compiled=compiled).learn(1)
    env: Any = agent.env.unwrapped
    assert (env.lastaction is not None) is stepped  # only a step notes what was done


def test_without_numba_the_environment_is_stepped(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = QLearning("NChain-v0", seed=0).learn(1500)
    monkeypatch.setattr(home, "find_spec", lambda name: None)
    with pytest.raises(
        ModuleNotFoundError,
        match=r"^compiled=True needs numba: pip install -e '.*\[agents\]'$",
    ) as missing:
        QLearning("NChain-v0", compiled=True)
    assert missing.value.name == "numba"

    def refused(*_: Any) -> None:
        raise AssertionError("compiled without Numba")

    monkeypatch.setattr(home, "compiled", refused)
    assert_equal_bits(QLearning("NChain-v0", seed=0).learn(1500), machine)


def test_a_second_process_takes_the_machine_code_from_disk() -> None:
    code = (
        "from nchain_agents import QLearning; from nchain_agents.tabular import compiler\n"
        "agent = QLearning('NChain-v0', seed=0, compiled=True).learn(1000)\n"
        "run = compiler.compiled(QLearning.act, QLearning.update, QLearning.due)\n"
        "print(sum(run.stats.cache_hits.values()), sum(run.stats.cache_misses.values()))"
    )
    done = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert done[1].stdout.split() == ["1", "0"]


def test_machine_code_is_named_by_all_the_code_that_it_holds() -> None:
    def digest(called: str, caller: str) -> str:
        names: dict[str, Any] = {}
        exec(f"def called(x):\n    return {called}\n", names)
        exec(f"def caller(x):\n    return {caller}\n", names)
        function, name = compiler.compile_with_callees(names["caller"], {})
        assert function.py_func.__qualname__ == f"caller_{name}"
        return name

    digests = [
        digest(called, caller)
        for called in ("x + 1", "x + 2", "x - 1")
        for caller in ("called(x)", "called(x) + 1", "called(x) + 2")
    ]
    assert len(set(digests)) == 9
    assert digest("x + 1", "called(x)") == digests[0]


def test_an_interrupted_agent_can_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(home, "Pace", lambda steps: Pace(700))
    whole = QLearning("NChain-v0", seed=3, compiled=True).learn(2800)
    agent = QLearning("NChain-v0", seed=3, compiled=True)

    def interrupt(_: Agent) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        agent.learn(2800, callback=interrupt)
    assert agent.num_timesteps == 1000
    agent.save(tmp_path / "agent")
    QLearning.load(tmp_path / "agent")
    agent.learn(1800)
    assert_equal_bits(agent, whole)


class Tabular(FrozenLakeEnv):
    """An environment on any outcome table, which toy-text's `step` and `reset` sample."""

    def __init__(self, mdp: TabularMDP) -> None:
        self.P, self.initial_state_distrib = mdp.P, mdp.initial
        self.observation_space = gym.spaces.Discrete(mdp.num_states)
        self.action_space = gym.spaces.Discrete(mdp.num_actions)
        self.render_mode = None


@st.composite
def processes(draw: st.DrawFn) -> TabularMDP:
    shape = tuple(draw(st.integers(1, high)) for high in (5, 4, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return TabularMDP(
        next_state=rng.integers(shape[0], size=shape),
        probability=rng.dirichlet(np.ones(shape[2]), size=shape[:2]),
        reward=rng.normal(size=shape).round(2),
        terminated=rng.random(shape) < 0.2,
        initial=rng.dirichlet(np.ones(shape[0])),
    )


@pytest.mark.parametrize(("states", "actions"), [(4, 2), (5, 3), (6, 2), (5, 1)])
def test_a_table_of_another_size_than_the_spaces_is_not_compiled(states: int, actions: int) -> None:
    env = Tabular(chain_mdp())
    QLearning(env, compiled=True)
    env.observation_space = gym.spaces.Discrete(states)
    env.action_space = gym.spaces.Discrete(actions)
    message = rf"^env must have \({states}, {actions}\) states and actions in its model, too$"
    with pytest.raises(ValueError, match=message):
        QLearning(env, compiled=True)


def test_an_environment_that_is_not_known_to_sample_its_table_is_stepped_or_refused() -> None:
    class Elsewhere(gym.Env[int, int]):
        def __init__(self) -> None:
            self.inner: Any = Tabular(chain_mdp())
            self.P, self.initial_state_distrib = self.inner.P, self.inner.initial_state_distrib
            self.observation_space = self.inner.observation_space
            self.action_space = self.inner.action_space

        def reset(self, **options: Any) -> Any:
            return self.inner.reset(**options)

        def step(self, action: int) -> Any:
            return self.inner.step(action)

    agents = (QLearning(Tabular(chain_mdp()), seed=2), QLearning(Elsewhere(), seed=2))
    known, elsewhere = (agent.learn(500).q for agent in agents)
    np.testing.assert_array_equal(known, elsewhere)
    with pytest.raises(
        ValueError, match=r"^env must be known to sample its table, .* Elsewhere is"
    ):
        QLearning(Elsewhere(), seed=2, compiled=True)


@settings(max_examples=30)
@given(processes(), st.integers(0, 2**32), st.sampled_from([*CASES, *MODEL_BASED]))
def test_the_loops_agree_on_random_processes(
    mdp: TabularMDP, seed: int, case: tuple[type[TableAgent], dict[str, Any]]
) -> None:
    kind, parameters = case
    agents = [
        kind(gym.wrappers.TimeLimit(Tabular(mdp), 13), seed=seed, compiled=compiled, **parameters)
        for compiled in (True, False)
    ]
    for agent in agents:
        agent.learn(150)
    assert_equal_bits(*agents)


@settings(max_examples=30)
@given(processes(), st.integers(0, 2**32), st.data())
def test_renaming_states_renames_the_table(mdp: TabularMDP, seed: int, data: st.DataObject) -> None:
    new = np.array(data.draw(st.permutations(range(mdp.num_states))))
    old = np.argsort(new)
    # start in one state, so that the same draw starts in the same state under both names
    start = np.zeros(mdp.num_states)
    start[0] = 1.0
    first = TabularMDP(mdp.next_state, mdp.probability, mdp.reward, mdp.terminated, start)
    renamed = TabularMDP(
        new[mdp.next_state][old],
        mdp.probability[old],
        mdp.reward[old],
        mdp.terminated[old],
        start[old],
    )
    kind: type[TemporalDifferenceAgent]
    for kind in (QLearning, Sarsa, ExpectedSarsa, DoubleQLearning):
        q = kind(Tabular(first), seed=seed, epsilon=0.3).learn(200).q
        other = kind(Tabular(renamed), seed=seed, epsilon=0.3).learn(200).q
        assert (other[new] == q).all()


@settings(max_examples=30)
@given(processes(), st.integers(0, 2**32))
def test_renaming_actions_renames_the_table(mdp: TabularMDP, seed: int) -> None:
    # Every action is tried many times in every state, by both; step sizes that fall as 1 / N make
    # the table of an undiscounted process the mean reward, whatever the actions are called.
    back = slice(None, None, -1)
    renamed = TabularMDP(
        mdp.next_state[:, back],
        mdp.probability[:, back],
        mdp.reward[:, back],
        mdp.terminated[:, back],
        mdp.initial,
    )
    parameters: dict[str, Any] = {
        "gamma": 0.0,
        "learning_rate": 1.0,
        "visit_power": 1.0,
        "epsilon": 1.0,
        "seed": seed,
    }
    agent = QLearning(Tabular(mdp), **parameters).learn(4000)
    other = QLearning(Tabular(renamed), **parameters).learn(4000)
    mean = (mdp.probability * mdp.reward).sum(axis=-1)
    spread = np.sqrt((mdp.probability * (mdp.reward - mean[:, :, None]) ** 2).sum(axis=-1))
    for q, visits in (
        (agent.q, agent.tables.visits),
        (other.q[:, back], other.tables.visits[:, back]),
    ):
        seen = visits > 0
        error = np.abs(q - mean)[seen]
        # six standard errors; rewards are bounded, and a state may have been seen only a few times
        bound = 6 * spread[seen] / np.sqrt(visits[seen]) + 12 / visits[seen] * (spread[seen] > 0)
        assert (error <= bound + 1e-9).all()


@pytest.fixture
def compiled_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing comes from the disk, where Numba keeps machine code that cannot be inspected."""
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    compiler.compiled.cache_clear()
    yield
    compiler.compiled.cache_clear()


def llvm(kind: type[TableAgent]) -> str:
    code: Any = compiler.compiled(kind.act, kind.update, kind.due)
    (text,) = code.inspect_llvm().values()
    return str(text)


@pytest.mark.usefixtures("compiled_anew")
def test_the_machine_code_counts_no_references() -> None:
    Sarsa("NChain-v0", seed=0, compiled=True).learn(10)
    code = llvm(Sarsa)
    assert "fmul" in code  # it is the code of the loop
    assert "NRT_incref" not in code
    assert "NRT_decref" not in code


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_anew")
def test_a_numba_without_the_private_option_gives_the_same_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("numba.core.options.DefaultOptions")
    agent = Sarsa("NChain-v0", seed=0, compiled=True).learn(1500)
    assert "NRT_incref" in llvm(Sarsa)
    assert_equal_bits(agent, Sarsa("NChain-v0", seed=0, compiled=False).learn(1500))
