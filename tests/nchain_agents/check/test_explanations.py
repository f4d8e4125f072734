"""The targets of explanations against sums by hand, and fixed points against the exact planner."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nchain_agents.check.experience import Experience, Step, experience
from nchain_agents.check.explanations import EXPLANATIONS, Explanation, Update, q_learning
from nchain_agents.check.lesson import Lesson, Values
from nchain_agents.check.problems import Problem
from nchain_agents.check.values import Backup, Explainer
from nchain_env import TabularMDP
from nchain_env.planning import evaluate_policy, value_iteration

# (state, action, reward, next_state, terminated, truncated, ghost)
TRUNCATED: list[Step] = [(0, 0, 2.0, 1, False, False, False), (1, 1, -3.0, 2, False, True, False)]
TERMINATED: list[Step] = [(0, 1, 0.5, 2, False, False, False), (2, 0, 4.0, 1, True, False, False)]
GOING_ON: list[Step] = [(2, 1, 1.0, 0, False, False, False)]
Q = np.array([[1.0, 2.0], [3.0, -1.0], [0.0, 5.0]])  # maxima 2, 3, 5
GAMMA = 0.5

# The five targets with Q and gamma 0.5; the agent takes either action as often in states 0 and 2,
# and action 1 in state 1.
TARGETS: dict[str, tuple[Any, list[float]]] = {
    "on-policy target": (None, [1.5, -1.75, 0.5, 4.0, 1.75]),
    "epsilon-greedy target": (0.5, [3.0, -1.125, 2.375, 4.0, 1.875]),
    "truncation as termination": (None, [3.5, -3.0, 3.0, 4.0, 2.0]),
    "termination ignored": (None, [3.5, -0.5, 3.0, 5.5, 2.0]),
    "bootstraps from the reset": (None, [3.5, -2.0, 3.0, 4.0, 2.0]),
    "learns from ghost steps": (None, [3.5, -0.5, 3.0, 4.0, 2.0]),
    "previous reward": (None, [1.5, 4.5, -0.5, 0.5, 5.0]),
    "reward clipped": (None, [2.5, 1.5, 3.0, 1.0, 2.0]),
    "reward scaled": (2.0, [5.5, -3.5, 3.5, 8.0, 3.0]),
    "reward shifted": (1.0, [4.5, 0.5, 4.0, 5.0, 3.0]),
    "gamma squared": (None, [2.75, -1.75, 1.75, 4.0, 1.5]),
    "gamma left out": (None, [5.0, 2.0, 5.5, 4.0, 3.0]),
    "no bootstrap": (None, [2.0, -3.0, 0.5, 4.0, 1.0]),
    "another gamma": (0.1, [2.3, -2.5, 1.0, 4.0, 1.2]),
    "mean of the next values": (None, [2.5, -1.75, 1.75, 4.0, 1.75]),
    "minimum of the next values": (None, [1.5, -3.0, 0.5, 4.0, 1.5]),
    "bootstraps from this state": (None, [3.0, -1.5, 1.5, 4.0, 3.5]),
    "n-step returns, uncorrected": (2, [1.75, -0.5, 2.5, 4.0, 2.0]),
    "last transition never learned": (None, [3.5, -0.5, 3.0, 4.0, 2.0]),
    "states confused": ((0, 1), [3.5, -0.5, 3.0, 4.0, 2.0]),
}
NAMED: dict[str, Explanation] = {one.name: one for one in EXPLANATIONS}


def five_steps() -> Experience:
    return experience(3, 2, [[*TRUNCATED, *TERMINATED, *GOING_ON]])


def changed(x: Experience, name: str, parameter: Any = None, gamma: float = GAMMA) -> Update:
    return NAMED[name].changed(x, q_learning(x, gamma), parameter)


def targets(update: Update, q: Any) -> Any:
    following = np.where(
        update.next_action < 0,
        update.value(q)[update.next_state],
        q[update.next_state, update.next_action],
    )
    return update.reward + update.discount * following


def test_every_explanation_has_targets_by_hand() -> None:
    assert set(TARGETS) == set(NAMED)


def test_the_correct_targets() -> None:
    update = q_learning(five_steps(), GAMMA)
    np.testing.assert_allclose(targets(update, Q), [3.5, -0.5, 3.0, 4.0, 2.0])
    assert update.learned.all()


@pytest.mark.parametrize("name", TARGETS)
def test_the_targets_of_an_explanation(name: str) -> None:
    parameter, expected = TARGETS[name]
    np.testing.assert_allclose(targets(changed(five_steps(), name, parameter), Q), expected)


def test_what_is_learned_from() -> None:
    never = changed(five_steps(), "last transition never learned")
    assert never.learned.tolist() == [True, False, True, False, True]
    assert changed(five_steps(), "states confused", (0, 1)).row.tolist() == [0, 0, 2]


def test_ghost_steps_are_learned_from_by_that_mistake_alone() -> None:
    ghost: Step = (2, 1, 0.0, 0, False, False, True)
    x = experience(3, 2, [[*TRUNCATED, ghost, *TERMINATED]])
    assert q_learning(x, GAMMA).learned.tolist() == [True, True, False, True, True]
    assert changed(x, "learns from ghost steps").learned.all()


def test_three_steps_within_an_episode_and_to_its_end() -> None:
    steps: list[Step] = [
        (0, 0, 1.0, 1, False, False, False),
        (1, 0, 2.0, 2, False, False, False),
        (2, 0, 4.0, 0, False, False, False),
        (0, 1, 8.0, 1, True, False, False),
    ]
    update = changed(experience(3, 2, [steps]), "n-step returns, uncorrected", 3)
    # 1 + 2/2 + 4/4 + V(0)/8; 2 + 4/2 + 8/4; 4 + 8/2; 8
    np.testing.assert_allclose(targets(update, Q), [3.25, 6.0, 8.0, 8.0])


def test_n_steps_of_sarsa_end_with_the_action_that_was_taken_next() -> None:
    steps: list[Step] = [
        (0, 0, 1.0, 1, False, False, False),
        (1, 0, 2.0, 2, False, False, False),
        (2, 1, 4.0, 0, False, True, False),
        (0, 0, 1.0, 1, True, False, False),
    ]
    x = experience(3, 2, [steps])
    sarsa = NAMED["on-policy target"].changed(x, q_learning(x, GAMMA), None)
    update = NAMED["n-step returns, uncorrected"].changed(x, sarsa, 2)
    # in state 0 it takes action 0: 1 + 2/2 + Q(2, 1)/4; 2 + 4/2 + Q(0, 0)/4; 4 + Q(0, 0)/2; 1
    np.testing.assert_allclose(targets(update, Q), [3.25, 4.25, 4.5, 1.0])


def test_n_steps_do_not_pass_from_one_environment_to_the_next() -> None:
    x = experience(3, 2, [GOING_ON, TRUNCATED])
    update = changed(x, "n-step returns, uncorrected", 2)
    np.testing.assert_allclose(targets(update, Q)[0], 2.0)


def test_mean_targets_are_those_of_a_state_and_an_action() -> None:
    x = experience(
        2,
        1,
        [[(0, 0, 1.0, 1, False, False, False), (1, 0, 6.0, 0, True, False, False)]] * 3
        + [[(0, 0, 4.0, 0, True, False, False)]],
    )
    backup = Backup.of(x, q_learning(x, GAMMA))
    assert backup.visits.tolist() == [[4], [3]]
    # three times 1 + 8/2, once 4
    np.testing.assert_allclose(
        backup.targets(np.array([[2.0], [8.0]]), np.zeros((2, 1))), [[4.75], [6.0]]
    )
    # v = (3 (1 + 6/2) + 4) / 4
    np.testing.assert_allclose(backup.fixed_point(np.zeros((2, 1))), [[4.0], [6.0]])


def test_states_confused_share_their_transitions() -> None:
    x = experience(
        2, 1, [[(0, 0, 1.0, 1, True, False, False)], [(1, 0, 3.0, 0, True, False, False)]]
    )
    backup = Backup.of(x, changed(x, "states confused", (0, 1)))
    np.testing.assert_allclose(backup.targets(np.zeros((2, 1)), np.zeros((2, 1))), [[2.0], [2.0]])


def test_what_is_not_learned_keeps_its_initial_value() -> None:
    x = experience(3, 2, [TERMINATED])
    initial = np.full((3, 2), 7.0)
    found = Backup.of(x, changed(x, "last transition never learned")).fixed_point(initial)
    np.testing.assert_allclose(found, [[7.0, 0.5 + 7.0 / 2], [7.0, 7.0], [7.0, 7.0]])


def test_mean_targets_of_actions_that_were_taken_next() -> None:
    x = five_steps()
    backup = Backup.of(x, changed(x, "on-policy target"))
    expected = [[1.5, 0.5], [9.0, -1.75], [4.0, 1.75]]  # action 0 was never taken in state 1
    np.testing.assert_allclose(backup.targets(Q, np.full((3, 2), 9.0)), expected)


def test_values_that_grow_without_end_are_those_after_the_sweeps() -> None:
    x = experience(1, 1, [[(0, 0, 1.0, 0, False, False, False)]])
    update = changed(x, "gamma left out")
    assert Backup.of(x, update).fixed_point(np.zeros((1, 1)), sweeps=70) == 70.0


def random_table(seed: int, states: int, outcomes: int) -> TabularMDP:
    """A table of two actions whose outcomes are equally probable and, for some, terminal."""
    rng = np.random.default_rng(seed)
    shape = (states, 2, outcomes)
    return TabularMDP(
        rng.integers(states, size=shape),
        np.full(shape, 1 / outcomes),
        rng.normal(size=shape),
        rng.random(shape) < 0.2,
        np.full(states, 1 / states),
    )


def all_outcomes(mdp: TabularMDP) -> Experience:
    """Every outcome of a table once, each in an episode of its own."""
    return experience(
        mdp.num_states,
        2,
        [
            [
                (
                    s,
                    a,
                    float(mdp.reward[s, a, k]),
                    int(mdp.next_state[s, a, k]),
                    over,
                    not over,
                    False,
                )
            ]
            for s, a, k in np.ndindex(mdp.next_state.shape)
            for over in [bool(mdp.terminated[s, a, k])]
        ],
    )


@given(seed=st.integers(0, 2**32 - 1), states=st.integers(2, 6), gamma=st.floats(0.0, 0.95))
@settings(max_examples=30, deadline=None)
def test_fixed_points_on_all_outcomes_are_those_of_the_planner(
    seed: int, states: int, gamma: float
) -> None:
    mdp = random_table(seed, states, outcomes=4)
    x, initial = all_outcomes(mdp), np.zeros((states, 2))
    correct = Backup.of(x, q_learning(x, gamma)).fixed_point(initial)
    np.testing.assert_allclose(correct, value_iteration(mdp, gamma), atol=1e-6)
    for name in ("mean of the next values", "on-policy target"):  # both actions as often
        mean = Backup.of(x, changed(x, name, gamma=gamma)).fixed_point(initial)
        uniform = evaluate_policy(mdp, np.full((states, 2), 0.5), gamma)
        np.testing.assert_allclose(mean.mean(axis=1), uniform, atol=1e-6)


def walk(mdp: TabularMDP, seed: int, steps: int, limit: int) -> Experience:
    """Random actions in a deterministic table."""
    rng = np.random.default_rng(seed)
    taken: list[Step] = []
    state, time = 0, 0
    for _ in range(steps):
        action, time = int(rng.integers(2)), time + 1
        next_state = int(mdp.next_state[state, action, 0])
        terminated = bool(mdp.terminated[state, action, 0])
        truncated = not terminated and time == limit
        reward = float(mdp.reward[state, action, 0])
        taken.append((state, action, reward, next_state, terminated, truncated, False))
        state = next_state
        if terminated or truncated:
            state, time = int(rng.integers(mdp.num_states)), 0
    return experience(mdp.num_states, 2, [taken])


@given(
    seed=st.integers(0, 2**32 - 1), states=st.integers(2, 4), which=st.sampled_from(EXPLANATIONS)
)
@settings(max_examples=60, deadline=None)
def test_the_fixed_point_of_an_explanation_is_at_no_distance_from_it(
    seed: int, states: int, which: Explanation
) -> None:
    x = walk(random_table(seed, states, outcomes=1), seed, steps=400, limit=4)
    initial = np.random.default_rng(seed).normal(size=(states, 2))
    problem = Problem("walk", (), (), (), 4)
    for parameter in which.choices(states):
        update = which.changed(x, q_learning(x, 0.8), parameter)
        q = Backup.of(x, update).fixed_point(initial)
        if update.gamma >= 1 and np.abs(q).max() > 100:  # it grows
            continue
        lesson = Lesson(problem, x, None, Values(initial, q, q), 0.8, False)
        assert Explainer([lesson], 0.8).fit(which).distance == pytest.approx(0, abs=1e-6)
