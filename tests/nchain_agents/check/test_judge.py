"""Judgements on the fixed points themselves, without learning, and on values that fit nothing."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from nchain_agents.check.experience import Experience
from nchain_agents.check.explanations import EXPLANATIONS, Explanation, Update, q_learning
from nchain_agents.check.judge import Judgement, judge
from nchain_agents.check.lesson import Lesson, Values
from nchain_agents.check.problems import CONTINUING, ENDING, Problem
from nchain_agents.check.recorder import Recorder
from nchain_agents.check.values import Backup, Explainer

GAMMA = 0.9
PROBLEMS = (ENDING, CONTINUING)
NAMED: dict[str, Explanation] = {one.name: one for one in EXPLANATIONS}
# what is planted, where there is a parameter to choose
PLANTED: dict[str, Any] = {
    "epsilon-greedy target": 0.6,
    "reward scaled": 1.25,
    "reward shifted": 0.5,
    "another gamma": 0.6,
    "n-step returns, uncorrected": 3,
    "states confused": (0, 1),
}


@cache
def seen(problem: Problem) -> Experience:
    """2,000 steps of which two in three are greedy, for a policy that is drawn first."""
    rng = np.random.default_rng(7)
    env = Recorder(problem.make())
    policy = rng.integers(2, size=problem.mdp.num_states)
    state, _ = env.reset(seed=7)
    for _ in range(2000):
        action = int(rng.integers(2)) if rng.random() < 1 / 3 else int(policy[state])
        state, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            state, _ = env.reset()
    return env.experience


def lesson(problem: Problem, q: Any, earlier: Any = None) -> Lesson:
    initial = np.zeros((problem.mdp.num_states, 2))
    values = Values(initial, q if earlier is None else earlier, q)
    return Lesson(problem, seen(problem), None, values, GAMMA, False)


def learned(
    changes: Sequence[tuple[str, Any]], problems: Sequence[Problem] = PROBLEMS
) -> list[Lesson]:
    """Return what a learner with mistakes comes to, or has after 1,000 sweeps."""
    lessons = []
    for problem in problems:
        x = seen(problem)
        update: Update = q_learning(x, GAMMA)
        for name, parameter in changes:
            update = NAMED[name].changed(x, update, parameter)
        backup, initial = Backup.of(x, update), np.zeros((problem.mdp.num_states, 2))
        lessons.append(
            lesson(problem, backup.fixed_point(initial, 1000), backup.fixed_point(initial, 500))
        )
    return lessons


def names(found: Judgement) -> list[str]:
    return [fit.name for fit in found.named]


def test_the_correct_values_are_called_correct() -> None:
    found = judge(learned([]), GAMMA)
    assert (found.kind, found.named) == ("correct", ())


@pytest.mark.parametrize(
    "name", [one.name for one in EXPLANATIONS if one.name != "learns from ghost steps"]
)
def test_each_fixed_point_is_named_and_no_other(name: str) -> None:
    found = judge(learned([(name, PLANTED.get(name))]), GAMMA)
    assert found.kind == "explained"
    assert names(found) == [name]
    (fitted,) = found.named[0].parameters
    if isinstance(PLANTED.get(name), float):
        assert fitted == pytest.approx(PLANTED[name], abs=1e-3)
    else:
        assert fitted == PLANTED.get(name)


def test_two_mistakes_are_named_together() -> None:
    found = judge(learned([("termination ignored", None), ("reward scaled", 1.25)]), GAMMA)
    assert names(found) == ["termination ignored and reward scaled"]
    assert found.named[0].parameters[1] == pytest.approx(1.25, abs=1e-3)


def test_an_agent_that_should_learn_its_policys_values_is_not_accused_of_it() -> None:
    lessons = learned([("on-policy target", None)])
    assert judge(lessons, GAMMA, on_policy=True).kind == "correct"
    assert judge(lessons, GAMMA).kind == "explained"
    assert judge(learned([]), GAMMA, on_policy=True).kind != "correct"


def test_what_the_problems_cannot_show_is_not_offered() -> None:
    def offered(problems: Sequence[Problem]) -> set[str]:
        return {fit.name for fit in Explainer(learned([], problems), GAMMA).singles()}

    nowhere = {"learns from ghost steps"}
    assert offered(PROBLEMS) == set(NAMED) - nowhere
    # nothing terminates, no transition is always an episode's last, and no reward is beyond 1
    assert offered([CONTINUING]) == set(NAMED) - nowhere - {
        "termination ignored",
        "last transition never learned",
        "reward clipped",
    }


def test_explanations_that_are_the_same_here_are_named_together() -> None:
    one_step = replace(CONTINUING, max_episode_steps=1)
    found = judge(learned([("truncation as termination", None)], [one_step]), GAMMA)
    assert set(names(found)) == {"truncation as termination", "no bootstrap"}


def test_a_mistake_without_a_parameter_is_named_before_one_that_was_fitted() -> None:
    found = judge(learned([("gamma squared", None)]), GAMMA)
    assert names(found) == ["gamma squared"]
    (same,) = (fit for fit in found.others if fit.name == "another gamma")
    assert same.parameters[0] == pytest.approx(GAMMA**2, abs=1e-3)


def test_values_of_nothing_known_are_unexplained() -> None:
    rng = np.random.default_rng(1)
    found = judge([lesson(problem, rng.normal(size=(4, 2))) for problem in PROBLEMS], GAMMA)
    assert (found.kind, found.named) == ("unexplained", ())
    assert found.others == tuple(sorted(found.others, key=lambda fit: fit.distance))


def test_values_that_still_move_and_fit_nothing_are_called_moving() -> None:
    rng = np.random.default_rng(1)
    pairs = [(problem, rng.normal(size=(4, 2))) for problem in PROBLEMS]
    found = judge([lesson(problem, q, q - 0.05) for problem, q in pairs], GAMMA)
    assert found.kind == "moving"
    assert 0.03 < found.drift < 0.2


def on_its_way(problem: Problem, first: float, step_size: float, sweeps: int) -> Lesson:
    """What a slow correct learner has in the last two quarters of so many sweeps."""
    backup = Backup.of(seen(problem), q_learning(seen(problem), GAMMA))
    q, seen_values = np.full((problem.mdp.num_states, 2), first), []
    for _ in range(sweeps):
        q = q + step_size * (backup.targets(q, q) - q)
        seen_values.append(q)
    earlier, late = np.split(np.array(seen_values[sweeps // 2 :]), 2)
    return lesson(problem, late.mean(axis=0), earlier.mean(axis=0))


@pytest.mark.parametrize(
    ("first", "step_size", "sweeps"),
    [
        (0.0, 0.005, 1600),
        (-1.0, 0.005, 300),
        (-1.0, 0.005, 900),
        (5.0, 0.02, 300),
        (5.0, 0.005, 600),
        (5.0, 0.005, 1600),
    ],
)
def test_values_on_their_way_to_the_correct_ones_accuse_nobody(
    first: float, step_size: float, sweeps: int
) -> None:
    lessons = [on_its_way(problem, first, step_size, sweeps) for problem in PROBLEMS]
    found = judge(lessons, GAMMA)
    assert (found.kind, found.named) == ("moving", ())
    assert 0.03 < found.correct.distance < found.earlier


def test_correct_values_in_one_problem_are_not_enough() -> None:
    (correct,) = learned([], [ENDING])
    assert judge([correct, on_its_way(CONTINUING, 0.0, 0.02, 600)], GAMMA).kind == "moving"


def test_noise_that_the_seeds_show_accuses_nobody() -> None:
    exact = [one.values.late for one in learned([]) if one.values is not None]
    rng = np.random.default_rng(3)
    lessons = [
        lesson(problem, q + rng.normal(scale=0.1, size=q.shape))
        for problem, q in zip(PROBLEMS, exact, strict=True)
        for _ in range(5)
    ]
    found = judge(lessons, GAMMA)
    assert found.kind == "correct"
    assert found.correct.noise > 0.01
