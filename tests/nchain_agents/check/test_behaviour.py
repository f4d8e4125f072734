from __future__ import annotations

import random
from functools import partial
from typing import Any
from unittest.mock import MagicMock

import misbehaving as agents
import numpy as np
import pytest
from table_learners import AGENTS

from nchain_agents import QLearning, RewardSum
from nchain_agents.check.behaviour import behaviour
from nchain_agents.check.finding import Finding

STEPS = 800


def found(make: Any, seed: int = 0, steps: int = STEPS) -> dict[str, Finding]:
    findings = behaviour(make, seed, steps)
    names = [finding.name for finding in findings]
    assert len(set(names)) == len(names)
    return {finding.name: finding for finding in findings}


@pytest.mark.parametrize(
    ("agent", "name", "figures"),
    [
        (agents.TakesFewerSteps, "takes fewer steps", "learn(total_timesteps=800) took 799 steps."),
        (agents.TakesMoreSteps, "takes more steps", "learn(total_timesteps=800) took 830 steps."),
        # in the environment with a limit of 23 steps: 35 episodes of 23 are 805
        (agents.EndsItsEpisode, "takes more steps", "took 805 steps, the last episode to its end."),
        (agents.TakesNoSteps, "takes no steps", "learn(total_timesteps=800) took 0 steps."),
        # Gymnasium's TimeLimit truncates every step after the limit.
        (
            agents.IgnoresTruncation,
            "steps past the end",
            "the agent took 777 of 800 steps after an episode's end",
        ),
        (
            agents.IgnoresTermination,
            "steps past the end",
            "the agent took 199 of 200 steps after an episode's end",
        ),
        (
            agents.ResetsEarly,
            "resets early",
            "the agent reset the environment 80 times before the end",
        ),
        # the first reset, and those after 34 of 23 steps
        (agents.SeedsEveryEpisode, "equal seeds", "35 of 35 resets had the seed 0:"),
        (
            agents.IllegalAction,
            "illegal action",
            "the agent took the action 2, which is not in Discrete(",
        ),
        (
            agents.ArrayAction,
            "illegal action",
            "the agent took the action array([1]), which is not in",
        ),
        (agents.NotSeeded, "not repeatable", "Two agents with the seed 0 took other actions"),
        (agents.DrawsGlobally, "not repeatable", "Two agents with the seed 0 took other actions"),
        (agents.SamplesTheSpace, "not repeatable", "Two agents with the seed 0 took other actions"),
        (agents.DrawsGlobally, "global random numbers", "generators of random, on which"),
        (agents.SeedsGlobally, "global random numbers", "of random and numpy.random, on which"),
        (
            agents.ConstantSeed,
            "another seed, the same actions",
            "With each of the seeds 1 to 20 the agent took the same 200 actions; though it draws "
            "random numbers.",
        ),
        (
            agents.Optimistic,
            "another seed, the same actions",
            "With each of the seeds 1 to 20 the agent took the same 200 actions; it draws none, or "
            "ignores its seed.",
        ),
        # From state 0 it goes up, and stays: 35 episodes, of which each visits states 0 and 1 once.
        (
            agents.Greedy,
            "no exploration",
            "action 1 in state 0 (visited 35 times), action 1 in state 1 (visited 35 times), "
            "action 1 in state 2 (visited 730 times); with epsilon = 0.05 the probability of that "
            "is 2e-09.",
        ),
        (agents.PredictExplores, "predict explores", "200 calls of predict(0, deterministic=True)"),
        # 200 calls subtract 0.001 from each row.
        (agents.PredictLearns, "predict learns", "changed the values by up to 0.2."),
        (agents.PredictSteps, "predict uses the environment", "took 600 steps and 600 resets."),
        (agents.PredictsIllegally, "illegal prediction", "returned the action 2, which is not in"),
        (agents.BatchOfTheFirst, "a batch is predicted otherwise", "the actions [1, 1, 1] for the"),
        (agents.CannotPredict, "cannot predict", "deterministic=True): TypeError: "),
        (agents.PredictsNoState, "cannot predict", "deterministic=True): TypeError: "),
        (
            agents.Raises,
            "raises an exception",
            "In a chain with a time limit of 23 steps, RuntimeError: out of luck (misbehaving.py:",
        ),
        (
            agents.Exits,
            "raises an exception",
            "In a chain with a time limit of 23 steps, SystemExit: enough",
        ),
        (
            agents.RaisesWithoutEpisodes,
            "raises an exception where episodes never end",
            "Where episodes never end, ZeroDivisionError: division by zero (misbehaving.py:",
        ),
        (
            agents.RaisesInShortEpisodes,
            "raises an exception where every step terminates the episode",
            "Where every step terminates the episode, IndexError: list index out of range",
        ),
        (agents.NoPredict, "cannot be used", "NoPredict has no method `predict`."),
        (agents.NoLearn, "cannot be used", "NoLearn has no method `learn`."),
        (
            agents.LearnsEpisodes,
            "cannot be used",
            "`learn(episodes)`, which cannot be called as `learn(total_timesteps=...)`.",
        ),
        # twice the steps, an episode of 23 steps and a rollout of one
        (agents.StepsForever, "does not stop", "(total_timesteps=800) took 1624 steps and was"),
        (agents.EndsItsEpisode, "does not stop", "(total_timesteps=200) took 424 steps and was"),
        (agents.CountsEpisodes, "does not stop", "(total_timesteps=200) took 424 steps and was"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_what_is_done_wrong_is_found_with_its_figures(agent: Any, name: str, figures: str) -> None:
    finding = found(agent)[name]
    assert figures in finding.says
    assert "\n" not in finding.says


REMARKS = {
    agents.ResetsEarly: {"resets early"},
    agents.SeedsGlobally: {"global random numbers"},
    agents.Optimistic: {"another seed, the same actions"},
}
ALSO = {
    agents.CountsEpisodes: {"takes more steps", "takes fewer steps", "does not stop"},
    agents.EndsItsEpisode: {"takes more steps", "does not stop"},
    agents.DrawsGlobally: {"not repeatable", "global random numbers"},
    agents.Greedy: {"no exploration", "another seed, the same actions"},
    agents.TakesNoSteps: {"takes no steps"},
}


@pytest.mark.parametrize("agent", REMARKS)
def test_a_remark_is_no_mistake(agent: Any) -> None:
    findings = found(agent)
    assert findings.keys() == REMARKS[agent]
    assert not any(finding.mistake for finding in findings.values())


@pytest.mark.parametrize(
    "agent",
    [
        kind
        for kind in vars(agents).values()
        if isinstance(kind, type)
        and issubclass(kind, agents.Plain)
        and kind not in {agents.Plain, agents.SingleOnly, agents.BatchesOfOneOnly, *REMARKS}
    ],
)
def test_nothing_else_is_found(agent: Any) -> None:
    findings = found(agent)
    assert len(findings) == 1 or findings.keys() == ALSO.get(agent)
    assert any(finding.mistake for finding in findings.values())


@pytest.mark.parametrize("agent", [agents.Plain, agents.SingleOnly, agents.BatchesOfOneOnly])
@pytest.mark.parametrize("steps", [1, 2, 24, STEPS])
def test_a_correct_agent_is_not_accused(agent: Any, steps: int) -> None:
    for seed in range(3):
        assert not found(agent, seed, steps)


def of_the_package(agent: Any, env: Any, seed: int) -> Any:
    """Make an agent that knows the largest reward of the chain, if it has to."""
    known = {"max_reward": 4.0} if "max_reward" in agent.parameters else {}
    return agent(env, seed=seed, **known)


EXPLORING = [agent for agent in AGENTS if agent is not RewardSum]


@pytest.mark.parametrize("agent", EXPLORING)
def test_the_agents_of_the_package_are_not_accused(agent: Any) -> None:
    for seed in range(2):
        assert not found(partial(of_the_package, agent), seed)


@pytest.mark.slow
@pytest.mark.parametrize("agent", EXPLORING)
def test_the_agents_of_the_package_are_not_accused_with_many_seeds(agent: Any) -> None:
    for seed in range(20):
        assert not found(partial(of_the_package, agent), seed)


@pytest.mark.parametrize("agent", [RewardSum, partial(QLearning, epsilon=0.0)])
def test_the_greedy_agents_of_the_package_do_not_explore(agent: Any) -> None:
    for seed in range(5):  # chance decides which actions they try
        assert found(lambda env, seed: agent(env, seed=seed), seed).keys() == {"no exploration"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters"),
    [("DQN", {}), ("PPO", {"n_steps": 64}), ("A2C", {}), ("QRDQN", {"train_freq": 16})],
)
def test_the_agents_of_stable_baselines3_get_a_remark_for_seeding_all(
    name: str, parameters: dict[str, int]
) -> None:
    module = pytest.importorskip("sb3_contrib" if name == "QRDQN" else "stable_baselines3")
    make = partial(getattr(module, name), "MlpPolicy", **parameters)
    # a number of steps that none of their rollouts divides
    findings = found(lambda env, seed: make(env, seed=seed), 0, 601)
    assert findings.keys() == {"global random numbers"}
    assert not findings["global random numbers"].mistake


@pytest.mark.slow
def test_keras_dqn_is_not_accused() -> None:
    pytest.importorskip("keras", reason="needs the keras or the jax extra")
    from nchain_agents import KerasDQN

    assert not found(lambda env, seed: KerasDQN(env, seed=seed), steps=601)


def test_an_agent_that_explores_little_is_not_taken_for_one_that_does_not() -> None:
    class Little(agents.Plain):
        epsilon = 0.05

    for seed in range(20):
        assert not found(Little, seed)


def test_few_steps_are_no_evidence_against_exploration() -> None:
    findings = found(agents.Greedy, steps=400)  # 0.975 ** 400 = 4e-5
    assert findings.keys() == {"another seed, the same actions"}


def test_a_remark_gives_way_to_a_mistake_of_the_same_name() -> None:
    class More(agents.EndsItsEpisode):
        """It ends its episode, or stops after two steps more."""

        def learn(self, total_timesteps: int) -> None:
            self.left = total_timesteps + 2
            super().learn(total_timesteps)

        def after(self, s: int, terminated: bool, truncated: bool) -> int:
            s = super().after(s, terminated, truncated)
            self.left -= 1
            self.over |= self.left == 0
            return s

    # Of 803 steps, two more complete 35 episodes of 23, which alone is a remark.
    finding = found(More, steps=803)["takes more steps"]
    assert finding.mistake
    assert "Where episodes never end, learn(total_timesteps=200) took 202 steps." in finding.says


def test_the_states_of_the_global_generators_are_as_before() -> None:
    def draws() -> tuple[float, float]:
        return random.random(), np.random.random()  # noqa: NPY002

    state, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    expected = draws()
    random.setstate(state)
    np.random.set_state(legacy)  # noqa: NPY002
    found(agents.SeedsGlobally)
    assert draws() == expected


def test_a_failure_keeps_its_traceback() -> None:
    finding = found(agents.Raises)["raises an exception"]
    assert finding.mistake
    assert finding.traceback is not None
    assert "at the second line" in finding.traceback
    illegal = found(agents.IllegalAction)["illegal action"]
    assert illegal.traceback is not None
    assert illegal.traceback.count("ValueError") > 0


def test_attributes_that_raise_accuse_no_one() -> None:
    class Odd(agents.Plain):
        @property
        def n_steps(self) -> int:
            raise RuntimeError("not now")

    assert not found(Odd)


@pytest.mark.parametrize(
    "returned",
    [None, 0, (), (0,), (np.nan, None), ("left", None), (1.5, None), ([0, 1], None), (1j, None)],
    ids=repr,
)
def test_predictions_that_are_no_action_are_found(returned: Any) -> None:
    class Odd(agents.Plain):
        def predict(self, observation: Any, deterministic: bool = False) -> Any:
            return returned

    assert found(Odd).keys() == {"cannot predict"}


@pytest.mark.parametrize("error", [SystemExit, RecursionError, MemoryError, AssertionError])
def test_predictions_that_raise_are_found(error: type[BaseException]) -> None:
    class Odd(agents.Plain):
        def predict(self, observation: Any, deterministic: bool = False) -> Any:
            raise error

    finding = found(Odd)["cannot predict"]
    assert finding.mistake
    assert finding.traceback is not None
    assert error.__name__ in finding.says


@pytest.mark.parametrize("values", [np.nan, np.zeros(5), "none", None])
def test_values_that_are_none_accuse_no_one(values: Any) -> None:
    class Odd(agents.Plain):
        def q_values(self, observation: Any) -> Any:
            return values if np.ndim(values) or values != values else [values, values]

    assert not found(Odd)


@pytest.mark.parametrize("made", [None, 3, "agent", object, MagicMock(), {}])
def test_what_is_no_agent_is_found(made: Any) -> None:
    (finding,) = behaviour(lambda env, seed: made, 0, 50)
    assert finding.mistake
    assert finding.name == ("takes no steps" if isinstance(made, MagicMock) else "cannot be used")


def test_an_agent_that_cannot_be_made_is_found() -> None:
    def make(env: Any, seed: int) -> Any:
        raise LookupError("no such agent")

    (finding,) = behaviour(make, 0, 50)
    assert finding.name == "raises an exception"
    assert "LookupError: no such agent (test_behaviour.py:" in finding.says


@pytest.mark.parametrize("rollout", [{"n_steps": 64}, {"train_freq": 64}])
def test_steps_that_complete_a_rollout_are_right(rollout: dict[str, int]) -> None:
    class Rollouts(agents.Plain):
        def learn(self, total_timesteps: int) -> None:
            super().learn(-(-total_timesteps // 64) * 64)

    for name, value in rollout.items():
        setattr(Rollouts, name, value)
    assert not found(Rollouts)
    for name in rollout:
        setattr(Rollouts, name, 10)
    assert found(Rollouts).keys() == {"takes more steps"}


def test_calls_are_made_in_other_processes(in_processes: Any) -> None:
    (result,) = in_processes(lambda make: behaviour(make, 0, 50), [agents.Raises])
    assert [finding.name for finding in result] == ["raises an exception"]
