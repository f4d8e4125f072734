"""Ctrl-C while agents learn: they keep what they learned, and go on as if never interrupted."""

import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nchain_agents.tabular.table_agent as home
from nchain_agents import (
    Agent,
    DoubleQLearning,
    EveryNTimesteps,
    PosteriorSampling,
    QLearning,
    RewardSum,
    Sarsa,
    interrupts,
    learn_many,
    load,
)
from nchain_agents.tabular.table_agent import TableAgent

pytest.importorskip("numba", reason="needs the agents extra")


# Real processes, interrupted by real signals. Each prints a line when it learns, and one when it
# was interrupted; in the end it compares its agents with undisturbed ones.

PROGRAM = """
import sys
import numpy as np
import nchain_agents as na

def say(*what):
    print(*what, flush=True)

def make(kind, seed=0):
    return getattr(na, kind)("NChain-v0", seed=seed, compiled=COMPILED, **PARAMETERS)

def state(agent):
    env = agent.env.unwrapped
    if KINDS == ["KerasDQN"]:
        arrays = [*agent.network.get_weights(), *agent.target_network.get_weights(),
                  agent.training_state.replay.rows,
                  np.asarray(agent.training_state.observation)]
    else:
        arrays = agent.tables
    return [*(array.tobytes() for array in arrays), agent.episode_returns.tobytes(),
            agent.total_reward, agent.num_timesteps, int(env.s),
            agent.np_random.bit_generator.state, env.np_random.bit_generator.state]

agents = [make(kind, seed) for seed, kind in enumerate(KINDS)]
for agent in agents:
    agent.learn(WARM)  # compiles
for _ in range(TIMES):
    try:
        say("learning")
        if len(agents) > 1:
            na.learn_many(agents, 10**12, jobs=3)
        else:
            agents[0].learn(10**12 - agents[0].num_timesteps)
    except KeyboardInterrupt:
        say("interrupted")

def stop(agent):
    return False

for seed, (kind, agent) in enumerate(zip(KINDS, agents)):
    steps = agent.num_timesteps
    twin = make(kind, seed).learn(WARM)
    if steps > WARM:
        twin.learn(10**12 - WARM, na.EveryNTimesteps(steps, stop))
    assert state(agent) == state(twin), kind
    agent.learn(777), twin.learn(777)
    assert state(agent) == state(twin), kind
    say(steps)
"""


def interrupted(
    *kinds: str,
    times: int,
    warm: int = 2000,
    compiled: Any = True,
    parameters: dict[str, Any] | None = None,
) -> list[float]:
    """Interrupt agents that learn so many times; return how long each time took, in seconds."""
    setting = {
        "KINDS": list(kinds),
        "TIMES": times,
        "WARM": warm,
        "COMPILED": compiled,
        "PARAMETERS": parameters or {},
    }
    head = "".join(f"{name} = {value!r}\n" for name, value in setting.items())
    child = subprocess.Popen(
        [sys.executable, "-c", head + PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    rng, waits = random.Random(0), []
    with child:
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            for _ in range(times):
                if child.stdout.readline() != "learning\n":
                    break
                time.sleep(rng.uniform(0.0, 0.1))
                begin = time.perf_counter()
                child.send_signal(signal.SIGINT)
                if child.stdout.readline() == "interrupted\n":
                    waits.append(time.perf_counter() - begin)
            rest = child.stdout.read().split()
            assert child.wait(300) == 0, child.stderr.read()
        finally:
            child.kill()
    assert len(waits) == times
    assert len(rest) == len(kinds)
    assert int(rest[0]) > warm
    return waits


def test_an_interrupted_learner_goes_on_as_if_never_interrupted() -> None:
    interrupted("QLearning", times=4, parameters={"epsilon": {"initial": 0.9, "decay": 0.999}})


DECAYS: dict[str, Any] = {"epsilon": {"initial": 1.0, "final": 0.1, "fraction": 1e-5}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kinds", "options"),
    [
        (["QLearning"], {"parameters": DECAYS}),
        (["Sarsa"], {"parameters": DECAYS}),
        (["ExpectedSarsa"], {"parameters": {"temperature": 1.0, "visit_power": 0.7}}),
        (["DoubleQLearning"], {"parameters": DECAYS}),
        (["RewardSum"], {}),
        (["PosteriorSampling"], {}),
        (["QLearning"], {"parameters": DECAYS, "compiled": False}),
        (["QLearning", "Sarsa", "DoubleQLearning", "RewardSum"], {}),
    ],
    ids=lambda value: (
        "+".join(value) if isinstance(value, list) else str(value.get("compiled", ""))
    ),
)
def test_twenty_interrupts_lose_nothing(kinds: list[str], options: dict[str, Any]) -> None:
    waits = interrupted(*kinds, times=20, **options)
    # half a second, with a margin for a machine that does something else
    assert statistics.median(waits) < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [True, False])
def test_twenty_interrupts_of_a_network_lose_nothing(compiled: bool) -> None:
    pytest.importorskip("keras", reason="needs the keras or the jax extra")
    parameters = {"net_arch": [16], "buffer_size": 5000, "target_update_interval": 500}
    waits = interrupted("KerasDQN", times=20, warm=300, compiled=compiled, parameters=parameters)
    assert statistics.median(waits) < 1.0


@pytest.mark.slow
def test_nchain_train_says_what_it_kept_and_saves_it(tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text(
        "import pathlib, nchain_agents\n"
        "class QLearning(nchain_agents.QLearning):\n"
        "    def learn(self, *args, **options):\n"
        "        pathlib.Path('learning').touch()\n"
        "        return super().learn(*args, **options)\n"
    )
    arguments = "train told:QLearning --steps 1000000000000 --out kept.agent"
    child = subprocess.Popen(
        [sys.executable, "-m", "nchain_agents", *arguments.split()],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not (tmp_path / "learning").exists() and child.poll() is None:
            time.sleep(0.05)
        time.sleep(1.0)
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate(timeout=120)
    finally:
        child.kill()
    assert (child.returncode, errors) == (0, "")
    agent = load(tmp_path / "kept.agent")
    assert 0 < agent.num_timesteps < 1_000_000_000_000
    said = f"stopped after {agent.num_timesteps:,} of 1,000,000,000,000 steps; the agent is kept"
    assert said in output
    assert "saved to kept.agent" in output


# In this process, by signals that it sends itself at chosen moments.


class Interrupting(gym.Wrapper[int, int, int, int]):
    """Sends SIGINT in the middle of some of its steps."""

    def __init__(self, steps: set[int]) -> None:
        super().__init__(gym.make("NChain-v0", max_episode_steps=7))
        self.steps, self.count = steps, 0

    def step(self, action: int) -> Any:
        self.count += 1
        if self.count in self.steps:
            signal.raise_signal(signal.SIGINT)
        result = super().step(action)
        if -self.count in self.steps:
            signal.raise_signal(signal.SIGINT)
        return result


def bits(agent: TableAgent) -> list[Any]:
    env: Any = agent.env.unwrapped
    return [
        *(array.tobytes() for array in agent.tables),
        agent.episode_returns.tobytes(),
        agent.total_reward,
        agent.num_timesteps,
        int(env.s),
        agent.np_random.bit_generator.state,
        env.np_random.bit_generator.state,
    ]


@pytest.mark.parametrize("kind", [QLearning, Sarsa, DoubleQLearning, RewardSum, PosteriorSampling])
def test_a_step_in_which_it_is_interrupted_is_finished_first(kind: type[TableAgent]) -> None:
    # before and after the step itself; 7, 14, ... end an episode
    moments = [3, -7, -8, 14, 15, 20, 21, -22, 40, 41, 60]
    agent = kind(Interrupting(set(moments)), seed=1, compiled=False)
    heard: list[int] = []

    def listen(agent: Agent) -> None:
        heard.append(agent.num_timesteps)

    for moment in moments:
        with pytest.raises(KeyboardInterrupt):
            agent.learn(100 - agent.num_timesteps, listen)
        assert agent.num_timesteps == abs(moment)
    agent.learn(100 - agent.num_timesteps, listen)
    assert bits(agent) == bits(kind(Interrupting(set()), seed=1, compiled=False).learn(100))
    assert heard == list(range(7, 100, 7))


def test_a_callback_in_which_it_is_interrupted_is_called_as_often() -> None:
    agent = QLearning("NChain-v0", seed=0)
    seen: list[int] = []

    def look(agent: Agent) -> None:
        seen.append(agent.num_timesteps)
        if len(seen) in (2, 5):
            signal.raise_signal(signal.SIGINT)

    for steps in (600, 1500):
        with pytest.raises(KeyboardInterrupt):
            agent.learn(3000 - agent.num_timesteps, EveryNTimesteps(300, look))
        assert agent.num_timesteps == steps
    agent.learn(3000 - agent.num_timesteps, EveryNTimesteps(300, look))
    assert seen == list(range(300, 3001, 300))
    assert bits(agent) == bits(QLearning("NChain-v0", seed=0).learn(3000))


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_results_do_not_depend_on_how_many_steps_are_taken_at_a_time(rng: random.Random) -> None:
    class Ragged(interrupts.Pace):
        def took(self, steps: int, seconds: float) -> None:
            self.steps = rng.randint(1, 400)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(home, "Pace", Ragged)
        ragged = DoubleQLearning("FrozenLake-v1", seed=5, compiled=True).learn(2000)
    assert bits(ragged) == bits(DoubleQLearning("FrozenLake-v1", seed=5, compiled=True).learn(2000))


def test_the_pace_is_a_fraction_of_a_second_and_changes_gradually() -> None:
    pace = interrupts.Pace(1000)
    pace.took(1000, 8.0)  # compiled at first
    assert pace.steps == 250
    for _ in range(10):
        pace.took(pace.steps, pace.steps / 1e6)
    assert 0.05e6 < pace.steps < 0.25e6
    pace = interrupts.Pace(100)
    for _ in range(10):  # steps that take a second each
        pace.took(pace.steps, float(pace.steps))
    assert pace.steps == 1


@contextmanager
def handler(function: Any) -> Iterator[None]:
    before = signal.signal(signal.SIGINT, function)
    try:
        yield
        assert signal.getsignal(signal.SIGINT) is function
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_of_the_users_own_is_called_between_steps_and_stays() -> None:
    agent = QLearning(Interrupting({3, -30}), seed=1, compiled=False)
    called: list[int] = []
    with handler(lambda number, frame: called.append(agent.num_timesteps)):
        agent.learn(100)
    assert called == [3, 30]
    assert bits(agent) == bits(QLearning(Interrupting(set()), seed=1, compiled=False).learn(100))

    def refuse(number: int, frame: Any) -> None:
        raise TimeoutError(f"{number}, {frame is not None}")

    with handler(refuse), pytest.raises(TimeoutError, match=f"^{signal.SIGINT.value}, True$"):
        agent = QLearning(Interrupting({9}), compiled=False).learn(100)


def test_what_ignores_interrupts_goes_on_ignoring_them() -> None:
    with handler(signal.SIG_IGN):
        assert QLearning(Interrupting({9}), compiled=False).learn(100).num_timesteps == 100


def test_an_interrupt_beside_an_error_is_not_lost() -> None:
    class Failing(Interrupting):
        def step(self, action: int) -> Any:
            super().step(action)
            raise ValueError("broken")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as caught:
        QLearning(Failing({1}), compiled=False).learn(10)
    assert isinstance(caught.value.__context__, ValueError)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_interrupt_ends_what_hangs() -> None:
    def hang(agent: Agent) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)  # twice at once is once
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        time.sleep(30)

    begin = time.perf_counter()
    agent = QLearning("NChain-v0", seed=0)
    with pytest.raises(KeyboardInterrupt):
        agent.learn(10_000, hang)
    assert time.perf_counter() - begin < 20
    assert agent.learn(1000).num_timesteps == 2000


def test_learning_inside_of_a_callback_is_interrupted_with_it() -> None:
    inner = QLearning(Interrupting({5}), seed=0, compiled=False)
    outer = QLearning("NChain-v0", seed=0)

    def learn(agent: Agent) -> None:
        inner.learn(100)

    with pytest.raises(KeyboardInterrupt):
        outer.learn(5000, learn)
    assert (inner.num_timesteps, outer.num_timesteps) == (5, 1000)
    outer.learn(4000)
    assert bits(outer) == bits(QLearning("NChain-v0", seed=0).learn(5000))


def in_thread(function: Callable[[], Any]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_in_another_thread_nothing_is_held() -> None:
    before = signal.getsignal(signal.SIGINT)
    agent = QLearning("NChain-v0", seed=0)
    seen: list[Any] = []
    in_thread(lambda: agent.learn(2000, lambda _: seen.append(signal.getsignal(signal.SIGINT))))
    assert seen == [before, before]
    assert agent.num_timesteps == 2000


def test_an_error_of_one_agent_stops_the_others_where_they_stand() -> None:
    class Broken(gym.Wrapper[int, int, int, int]):
        def step(self, action: int) -> Any:
            raise ValueError("broken")

    agents = [QLearning(Broken(gym.make("NChain-v0")), compiled=False), QLearning("NChain-v0")]
    with pytest.raises(ValueError, match=r"^broken$"):
        learn_many(agents, 10**12, jobs=2)
    steps = agents[1].num_timesteps
    agents[1].learn(100)
    assert agents[1].num_timesteps == steps + 100
