"""A trial: its reports, and when it is stopped."""

import math
from typing import Any

import pytest
from scripted import Scripted

from nchain_agents.presets import Preset
from nchain_agents.search.trial import attempt, least_reports
from nchain_agents.study.environments import EnvChoice
from nchain_agents.study.plan import Task

# The scores of always going forward and always going backward on the default chain.
FORWARD, BACKWARD = 99.91, 12.40
NONE = [math.nan] * 6


def tasks(**parameters: Any) -> list[Task]:
    agent = Preset("scripted", Scripted, parameters)
    return [Task(agent, EnvChoice("NChain-v0"), seed, 30, (10, 20, 30), 2) for seed in (7, 8)]


def test_the_reports_are_means_over_the_runs_so_far() -> None:
    # seed 7 goes forward from step 20 on, seed 8 always
    outcome = attempt(tasks(forward_from={7: 20, 8: 0}), "score", NONE)
    half = (FORWARD + BACKWARD) / 2
    expected = [BACKWARD, FORWARD, FORWARD, half, FORWARD, FORWARD]
    assert outcome.reports == pytest.approx(expected, abs=0.01)
    assert not outcome.stopped
    assert outcome.failure is None


def test_a_trial_stops_at_the_first_report_that_is_worse() -> None:
    least = [math.nan, math.nan, 50.0, math.nan, 56.2, 56.2]
    backward_in_8 = tasks(forward_from={7: 0, 8: 100})
    outcome = attempt(backward_in_8, "score", least)
    # (99.91 + 12.40) / 2 = 56.155 at the second look of the second run
    assert outcome.stopped
    assert outcome.reports == pytest.approx([FORWARD] * 3 + [56.155] * 2, abs=0.01)
    assert not attempt(backward_in_8, "score", [*least[:4], 56.1, 56.2]).stopped  # it had ended


def test_of_regret_the_larger_one_is_worse() -> None:
    # The realised regret needs a finished episode, which 30 steps do not have: it is 0.
    assert attempt(tasks(forward_from={}), "regret", [-1.0] * 6).stopped
    assert not attempt(tasks(forward_from={}), "regret", [1.0] * 6).stopped


def test_a_run_that_fails_ends_the_trial() -> None:
    outcome = attempt(tasks(forward_from={7: 0}, fails={8}), "score", NONE)
    assert outcome.failure == "NChain-v0, seed 8: RuntimeError: seed 8 fails (scripted.py:27)"
    assert len(outcome.reports) == 3


def test_a_learner_that_ends_too_early_reports_its_end() -> None:
    outcome = attempt(tasks(forward_from={}, takes=15), "score", NONE)
    assert outcome.reports == pytest.approx([BACKWARD] * 6, abs=0.01)


def test_trials_go_on_that_are_no_worse_than_the_median() -> None:
    finished = [[float(10 * i + k) for k in range(6)] for i in range(5)]
    # two runs of three looks: the second half of each run begins at its second look
    assert least_reports(finished, 2, 3) == pytest.approx(
        [math.nan, 21, 22, math.nan, 24, 25], nan_ok=True
    )
    assert all(map(math.isnan, least_reports(finished[:4], 2, 3)))
