"""What the arguments of `compare` mean: agents, environments and seeds as Python has them."""

from functools import partial
from pathlib import Path
from textwrap import dedent
from threading import Lock
from typing import Any

import numpy as np
import pytest

from nchain_agents import QLearning, Sarsa, check_agent, compare
from nchain_agents.presets import Preset, problem
from nchain_agents.study.comparison import Comparison
from nchain_agents.study.plan import Study, plan
from nchain_agents.study.run import train
from nchain_agents.study.store import Store
from nchain_agents.study.study_file import only_in_program, read, text_of
from nchain_env import chain_mdp

TUNED = problem("nchain").preset("q-learning").parameters


class Own(QLearning):
    """One that this module defines."""


class Scheduled(QLearning):
    """Takes a function, as stable-baselines3's agents do."""

    def __init__(self, env: Any, seed: int | None = None, schedule: Any = None) -> None:
        super().__init__(env, seed=seed, epsilon=schedule(1.0))


def planned(agents: Any = "q-learning", env: Any = "NChain-v0", **given: Any) -> Study:
    chosen: dict[str, Any] = {"parameters": {}, "sweep": {}, "seeds": 2, "steps": 40}
    return plan(agents, env, **{**chosen, "episodes": 10, **given})


@pytest.mark.parametrize(
    ("agent", "name", "kind", "parameters"),
    [
        ((QLearning, {"epsilon": 0.1}), "QLearning epsilon=0.1", QLearning, {"epsilon": 0.1}),
        ((QLearning, {}), "QLearning", QLearning, {}),
        (partial(Sarsa, gamma=0.9), "Sarsa gamma=0.9", Sarsa, {"gamma": 0.9}),
        (partial(partial(Sarsa, gamma=0.9), gamma=0.5), "Sarsa gamma=0.5", Sarsa, {"gamma": 0.5}),
        (("q-learning", {"gamma": 0.5}), "q-learning gamma=0.5", QLearning, TUNED | {"gamma": 0.5}),
        (("nchain_agents:Sarsa", {"gamma": 0}), "Sarsa gamma=0", Sarsa, {"gamma": 0}),
        (Preset("mine", Sarsa, {"gamma": 0.9}), "mine", Sarsa, {"gamma": 0.9}),
        ((Preset("mine", Sarsa), {"gamma": 1}), "mine gamma=1", Sarsa, {"gamma": 1}),
        ((Own, {"epsilon": None}), "Own epsilon=null", Own, {"epsilon": None}),
        ((Scheduled, {"schedule": min}), "Scheduled schedule=min", Scheduled, {"schedule": min}),
    ],
)
def test_an_agent_may_have_its_parameters_beside_it(
    agent: Any, name: str, kind: type, parameters: dict[str, Any]
) -> None:
    (found,) = planned([agent]).agents
    assert (found.name, found.load(), found.parameters) == (name, kind, parameters)
    if "gamma" in parameters:
        assert found.make(planned().envs[0].make(), seed=0).gamma == parameters["gamma"]


def test_what_a_file_cannot_define_it_names(tmp_path: Path) -> None:
    class Local(QLearning):
        pass

    study = planned([(QLearning, {"epsilon": 0.1}), Preset("mine", Sarsa), (Local, {"gamma": 0.5})])
    assert only_in_program(study) == ["Local gamma=0.5"]
    assert "this study defines Local gamma=0.5: start it instead" in text_of(study)
    file = tmp_path / "study.toml"
    file.write_text(text_of(planned([(QLearning, {"epsilon": 0.1}), partial(Sarsa, gamma=0)])))
    again = read(file)
    assert [agent.name for agent in again.agents] == ["QLearning epsilon=0.1", "Sarsa gamma=0"]
    assert [agent.parameters for agent in again.agents] == [{"epsilon": 0.1}, {"gamma": 0}]


def test_a_function_as_a_parameter_reaches_the_runs_but_no_file(tmp_path: Path) -> None:
    def schedule(rest: float) -> float:
        return 0.25 * rest

    agents: list[Any] = [(Scheduled, {"schedule": schedule}), (Scheduled, {"schedule": Lock()})]
    # what cannot be sent to the process of a run fails there
    (failure,) = compare(agents, seeds=1, steps=40, jobs=1).failures
    assert failure["agent"].startswith('Scheduled schedule="<unlocked')
    assert "it cannot be pickled: TypeError: cannot pickle '_thread.lock'" in failure["failure"]
    with pytest.raises(ValueError, match=r"^schedule of Scheduled schedule=schedule must be"):
        compare(agents, seeds=1, steps=40, jobs=1, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("agents", "message"),
    [
        ([lambda env: QLearning(env)], r"agents must be names, classes, pairs .*got <function"),
        ([partial(QLearning, "NChain-v0")], "functools.partial must have its parameters by name"),
        ([partial(max, key=1)], "agents must be names, .*got <built-in function max>"),
        ((QLearning, {"epsilon": 0.1}), r"agents must be names, .*got \{'epsilon': 0.1\}"),
        ([(QLearning, 0.1)], r"a tuple must be a pair \(class, \{parameters\}\), got"),
        ([(QLearning, {"epsilonn": 0.1})], "does not take its parameters: .*'epsilonn'"),
        ([(QLearning, {"seed": 3})], "q_learning:QLearning must be given no seed: a run gives"),
        ([partial(QLearning, env="NChain-v0")], "must be given no env: a run gives it one"),
        ([Preset("a", QLearning), Preset("a", Sarsa)], "different names, got two with 'a'"),
        ([("q-lerning", {"gamma": 0})], "unknown agent 'q-lerning'; did you mean q-learning"),
    ],
)
def test_what_is_no_agent_is_refused(agents: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        planned(agents)


def test_an_agent_must_take_its_environment_by_the_usual_name() -> None:
    class Vector:
        def __init__(self, envs: Any, seed: Any = None) -> None: ...
        def learn(self, total_timesteps: int) -> None: ...
        def predict(self, observation: Any, deterministic: bool = True) -> None: ...

    with pytest.raises(ValueError, match=r"Vector must take its environment as env, got \(envs"):
        planned([Vector])


def test_an_agent_that_needs_more_parameters_is_refused_before_it_is_made() -> None:
    class Needy(QLearning):
        def __init__(self, env: Any, policy: str, seed: int | None = None) -> None: ...

    for refused in (lambda: planned([Needy]), lambda: check_agent(Needy)):
        with pytest.raises(ValueError, match=r"Needy: missing a required argument: 'policy'; give"):
            refused()
    assert planned([(Needy, {"policy": "x"})]).agents


def test_a_function_of_a_module_may_make_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
    from nchain_agents import QLearning

    def make(env, seed):
        return QLearning(env, seed=seed, epsilon=0.125)
    """
    (tmp_path / "factory.py").write_text(dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    (agent,) = planned(["factory:make"]).agents
    assert agent.make("NChain-v0", 3).epsilon == 0.125


def test_a_check_takes_a_pair_too() -> None:
    with pytest.raises(ValueError, match=r"does not take its parameters: .*'epsilonn'"):
        check_agent((QLearning, {"epsilonn": 0.1}))


def test_chosen_seeds_are_those_of_the_runs() -> None:
    all_four, last_two = (
        Comparison.of(study, {task.key: train(task) for task in study.tasks})
        for study in (planned(seeds=4), planned(seeds=range(2, 4)))
    )
    assert last_two.results == [row for row in all_four.results if row["seed"] >= 2]
    assert last_two.summary["seeds"] == [2, 3]


@pytest.mark.parametrize(
    ("seeds", "kept", "in_file"),
    [
        (3, 3, "seeds = 3\n"),
        (range(3), 3, "seeds = 3\n"),
        ([0, 1], 2, "seeds = 2\n"),
        (range(100, 103), (100, 101, 102), "seeds = [100, 101, 102]\n"),
        (np.array([7, 3]), (7, 3), "seeds = [7, 3]\n"),
    ],
)
def test_a_study_file_makes_the_same_seeds(
    seeds: Any, kept: Any, in_file: str, tmp_path: Path
) -> None:
    study = planned(seeds=seeds)
    assert study.seeds == kept
    assert in_file in text_of(study)
    (tmp_path / "study.toml").write_text(text_of(study))
    assert read(tmp_path / "study.toml").tasks == study.tasks


def test_seeds_can_be_added_whether_they_are_counted_or_named(tmp_path: Path) -> None:
    file = tmp_path / "runs.sqlite"
    Store(file, planned(seeds=[1, 2])).__exit__(None, None, None)
    with Store(file, planned(seeds=3), adds=True) as store:
        store.add(train(planned().tasks[0]))
    for fewer in (range(1, 3), 2, [0, 1, 7]):
        with pytest.raises(ValueError, match=r"other seeds"):
            Store(file, planned(seeds=fewer), adds=True)
    Store(file, planned(seeds=[2, 1, 0, 9]), adds=True).__exit__(None, None, None)


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ([], r"at least one, all different, got \[\]"),
        ([1, 1], r"all different, got \[1, 1\]"),
        ([-1], "seeds must be an integer of at least 0, got -1"),
        ([2**32], "seeds must be below 1000000, .*, got 4294967296"),
        ([0.5], "seeds must be an integer of at least 0, got 0.5"),
        ("3", r"seeds must be a number, or seeds as range\(100, 120\), got '3'"),
        (b"x", "seeds must be an integer of at least 1, got b.x."),
        (np.array(0.5), "seeds must be an integer of at least 1, got array"),
        (range(10**15), "seeds must be small enough for memory"),
    ],
)
def test_what_are_no_seeds_is_refused(seeds: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        planned(seeds=seeds)


def test_several_environments_are_one_study(tmp_path: Path) -> None:
    lake = "FrozenLake-v1 is_slippery=false"
    study = planned(["q-learning"], ["NChain-v0", lake])
    assert [env.label for env in study.envs] == ["NChain-v0", lake]
    assert [task.env.label for task in study.tasks] == ["NChain-v0"] * 2 + [lake] * 2
    # the settings are those for the first one, which is said
    assert study.agents[0].parameters == TUNED
    assert study.remarks[-1].startswith(f"not tuned for {lake}: q-learning")
    (tmp_path / "study.toml").write_text(text_of(study))
    assert read(tmp_path / "study.toml").tasks == study.tasks
    swept = planned(["q-learning"], ["NChain-v0 slip=0", "NChain-v0"], sweep={"n": [3, 4]})
    assert [env.label for env in swept.envs] == [
        *("NChain-v0 slip=0 n=3", "NChain-v0 slip=0 n=4"),
        *("NChain-v0 n=3", "NChain-v0 n=4"),
    ]


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ([], "env must be an environment or several, got none"),
        (["NChain-v0", "NChain-v0"], "different labels, got .'NChain-v0', 'NChain-v0'"),
        ([chain_mdp(3), chain_mdp(4)], "different labels, got .'TabularMDP"),
        (["NChain-v0", "NChain-v9"], "env must be an environment of Gymnasium's, .*NChain-v9"),
        (["NChain-v0", 3], "env must be an environment of Gymnasium's, .*got 3"),
    ],
)
def test_what_are_no_environments_is_refused(env: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        planned(env=env, parameters={"max_episode_steps": 10} if "Tab" in message else {})
