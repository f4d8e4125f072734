from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nchain_agents.check.experience import Step, experience

# In states 0, 1, 2: an episode that terminates, one that is truncated, and the ghost step after it,
# which begins the third.
STEPS: list[Step] = [
    (0, 1, 0.5, 1, False, False, False),
    (1, 0, 2.0, 2, True, False, False),
    (0, 0, 1.0, 0, False, False, False),
    (0, 1, 3.0, 1, False, True, False),
    (1, 1, 0.0, 2, False, False, True),
    (2, 0, 4.0, 2, False, False, False),
]


def test_the_columns_are_those_computed_by_hand() -> None:
    x = experience(3, 2, [STEPS])
    assert (x.num_states, x.num_actions) == (3, 2)
    assert x.state.tolist() == [0, 1, 0, 0, 1, 2]
    assert x.action.tolist() == [1, 0, 0, 1, 1, 0]
    assert x.reward.tolist() == [0.5, 2, 1, 3, 0, 4]
    assert x.next_state.tolist() == [1, 2, 0, 1, 2, 2]
    assert x.terminated.tolist() == [False, True, False, False, False, False]
    assert x.truncated.tolist() == [False, False, False, True, False, False]
    assert x.ended.tolist() == [False, True, False, True, False, False]
    # after the termination the first observation of the next episode, 0, in place of the final 2;
    # before a ghost step the final observation, 1
    assert x.seen_next.tolist() == [1, 0, 0, 1, 2, 2]
    assert x.previous_reward.tolist() == [0, 0.5, 2, 1, 3, 0]
    assert x.last.tolist() == [False, True, False, True, False, True]
    assert x.ghost.tolist() == [False, False, False, False, True, False]
    # without the ghost step
    assert x.visits.tolist() == [[1, 2], [1, 0], [1, 0]]
    assert x.policy == pytest.approx(np.array([[1 / 3, 2 / 3], [1, 0], [1, 0]]))


def test_sequences_do_not_follow_each_other() -> None:
    x = experience(3, 2, [STEPS[:1], STEPS[2:4], [], STEPS[5:]])
    assert x.state.tolist() == [0, 0, 0, 2]
    assert x.seen_next.tolist() == [1, 0, 1, 2]
    assert x.previous_reward.tolist() == [0, 0, 1, 0]
    assert x.last.tolist() == [True, False, True, True]


def test_a_step_that_terminates_at_the_time_limit_is_not_truncated() -> None:
    x = experience(1, 1, [[(0, 0, 1.0, 0, True, True, False)]])
    assert (x.terminated.tolist(), x.truncated.tolist()) == ([True], [False])


def test_no_steps_have_empty_columns_and_a_uniform_policy() -> None:
    x = experience(3, 2, [[]])
    assert x.state.shape == x.seen_next.shape == x.last.shape == (0,)
    assert x.visits.tolist() == [[0, 0]] * 3
    assert x.policy.tolist() == [[0.5, 0.5]] * 3


@pytest.mark.parametrize(("start", "left"), [(0.0, 6), (0.5, 3), (0.4, 3), (1.0, 0)])
def test_the_part_after_a_fraction_keeps_what_was_before(start: float, left: int) -> None:
    whole, part = experience(3, 2, [STEPS]), experience(3, 2, [STEPS]).since(start)
    for name in ("state", "reward", "seen_next", "previous_reward", "last", "ghost"):
        assert getattr(part, name).tolist() == getattr(whole, name)[6 - left :].tolist()


@st.composite
def runs(draw: st.DrawFn) -> list[Step]:
    """The steps of an environment in which every observation has another number."""
    ends = draw(st.lists(st.sampled_from("..tT"), max_size=30))
    steps: list[Step] = []
    state = 0
    for k, end in enumerate(ends):
        steps.append((state, 0, float(k + 1), 2 * k + 1, end == "t", end == "T", False))
        state = 2 * k + 2 if end in "tT" else 2 * k + 1
    return steps


@given(runs())
def test_what_is_seen_next_is_what_is_acted_on_next(steps: list[Step]) -> None:
    x = experience(100, 1, [steps])
    assert x.seen_next[:-1].tolist() == x.state[1:].tolist()
    assert (x.seen_next == x.next_state)[~x.ended].all()
    assert (x.seen_next != x.next_state)[:-1][x.ended[:-1]].all()
    assert x.previous_reward.tolist() == list(range(len(steps)))
    assert (x.last[:-1] == x.ended[:-1]).all()


@given(st.lists(runs(), min_size=1, max_size=4))
def test_sequences_are_put_one_after_the_other(sequences: list[list[Step]]) -> None:
    x = experience(100, 1, sequences)
    parts = [experience(100, 1, [sequence]) for sequence in sequences]
    for name in ("state", "next_state", "seen_next", "previous_reward", "last"):
        together = np.concatenate([getattr(part, name) for part in parts])
        assert np.array_equal(getattr(x, name), together)
