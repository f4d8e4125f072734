"""The search: what it tries, what it keeps, and that interruptions and jobs change nothing."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from scripted import Threshold

from nchain_agents.presets import Preset, problem
from nchain_agents.presets.custom import agents_of
from nchain_agents.search.optimise import BATCH, search
from nchain_agents.search.problem import Problem
from nchain_agents.search.result import Tuning
from nchain_agents.search.space import shipped, space_of
from nchain_agents.study import study_file
from nchain_agents.study.environments import EnvChoice
from nchain_agents.study.failure import Failure
from nchain_agents.study.plan import FIRST_TUNING_SEED, Study
from nchain_agents.study.pool import Pool
from nchain_agents.tuning import tune, tuned_study

pytest.importorskip("optuna", reason="needs the tune extra")

SPACE = {"x": {"low": 0.0, "high": 1.0}, "kind": {"choices": ["a", "b"]}}
# The scores of always going forward and always going backward on the default chain.
FORWARD, BACKWARD = 99.9091, 12.3987


@dataclass(frozen=True)
class Here(Pool):
    """Makes calls in this process, the last ones first if `turned`; `lasts` before Ctrl-C."""

    turned: bool = False
    lasts: int = 1_000

    def map_unordered(
        self, calls: Sequence[Callable[[], Any]]
    ) -> Generator[tuple[int, Any | Failure], None, None]:
        made = list(enumerate(calls))
        for done, (i, call) in enumerate(reversed(made) if self.turned else made):
            if done == self.lasts:
                raise KeyboardInterrupt
            yield i, call()


def threshold(steps: int = 40, space: Any = None, **parameters: Any) -> Problem:
    agent = Preset("threshold", Threshold, parameters)
    study = Study((agent,), (EnvChoice("NChain-v0"),), 1, steps, looks=4)
    return Problem(study, space_of(space or SPACE, "threshold"), "score", 4)


def tried(tuning: Tuning) -> list[Any]:
    return list(tuning.summary["trials"])


def test_the_first_trial_is_the_agent_as_it_is() -> None:
    found = search(threshold(x=0.3), 1, Here())
    assert [trial.parameters for trial in found.trials] == [{"x": 0.3, "kind": "a"}]
    # of the seeds 0 to 3 above 1,000,000, x > k / 4 holds for 0 and 1
    assert found.trials[0].value == pytest.approx((FORWARD + BACKWARD) / 2, abs=1e-3)
    assert found.best == found.before
    # a value that the space does not contain is not tried
    outside = search(threshold(x=1.5), 1, Here())
    assert outside.before is None
    assert outside.trials[0].parameters["x"] <= 1


def test_each_value_is_that_of_its_hyperparameters_and_the_best_is_found() -> None:
    found = search(threshold(), 25, Here())
    assert len(found.trials) == 25
    for trial in found.trials:
        forward = min(ceil(4 * trial.parameters["x"]), 4)
        expected = (forward * FORWARD + (4 - forward) * BACKWARD) / 4
        if trial.stopped:
            assert trial.value is None
            assert trial.number >= BATCH  # none of the first batch is
        else:
            assert trial.value == pytest.approx(expected, abs=1e-3)
    values = [trial.value for trial in found.trials if trial.value is not None]
    assert found.best is not None
    assert found.best.value == max(values)
    assert found.best.number == min(t.number for t in found.trials if t.value == max(values))
    # it looks where it was good: of the last ten more are good than of the first ten
    good = [trial.parameters["x"] > 0.75 for trial in found.trials]
    assert sum(good[15:]) > sum(good[:10])
    assert any(trial.stopped for trial in found.trials)


def test_the_order_in_which_trials_finish_changes_nothing() -> None:
    assert tried(search(threshold(), 23, Here(turned=True))) == tried(
        search(threshold(), 23, Here())
    )


def test_a_search_that_was_interrupted_goes_on_as_it_would_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nchain_agents.search.optimise.BATCH", 3)
    storage = tmp_path / "trials.sqlite"
    search(threshold(), 3, Here(), storage)
    made: list[int] = []

    def show(tuning: Tuning) -> None:
        made.append(len(tuning.trials))

    with pytest.raises(KeyboardInterrupt):
        search(threshold(), 8, Here(turned=True, lasts=2), storage, show)
    assert made == [3, 4, 5]
    found = search(threshold(), 8, Here(), storage)
    assert tried(found) == tried(search(threshold(), 8, Here()))
    # and all of it is read from the file
    assert tried(search(threshold(), 8, Here(lasts=0), storage)) == tried(found)


def test_a_file_has_the_trials_of_one_problem_an_agent(tmp_path: Path) -> None:
    storage = tmp_path / "trials.sqlite"
    search(threshold(), 1, Here(), storage)
    other = replace(threshold().study, envs=(EnvChoice("NChain-v0", {"n": 3}),))
    for problem_, differing in (
        (threshold(steps=50), "steps"),
        (threshold(space={"x": {"low": 0.0, "high": 0.5}}), "space"),
        (replace(threshold(), study=other), "envs"),
    ):
        with pytest.raises(ValueError, match=f"trials of threshold with other {differing};"):
            search(problem_, 1, Here(), storage)
    second = Preset("second", Threshold, {})
    beside = replace(threshold(), study=replace(threshold().study, agents=(second,)))
    assert len(search(beside, 1, Here(), storage).trials) == 1


def test_a_file_that_is_none_of_trials_is_refused(tmp_path: Path) -> None:
    storage = tmp_path / "trials.sqlite"
    storage.write_bytes(b"no database at all")
    with pytest.raises(ValueError, match="is no file of trials: file is not a database"):
        search(threshold(), 1, Here(), storage)


def test_a_trial_that_fails_is_kept_with_its_reason() -> None:
    found = search(threshold(fails_above=0.6), 12, Here())
    failed = [trial for trial in found.trials if trial.failure is not None]
    assert failed
    assert all(trial.parameters["x"] > 0.6 and trial.value is None for trial in failed)
    assert failed[0].failure == (
        "NChain-v0, seed 1000000: RuntimeError: seed 1000000 fails (scripted.py:27)"
    )
    assert found.best is not None
    assert found.best.parameters["x"] <= 0.6
    nothing = search(threshold(fails_above=-1.0), 2, Here())
    assert nothing.best is None
    with pytest.raises(ValueError, match="no trial of threshold was finished: NChain-v0, seed 1"):
        _ = nothing.agent


def test_tuning_has_seeds_that_no_study_has() -> None:
    assert [task.seed for task in threshold().tasks({})] == [1_000_000 + k for k in range(4)]
    study = threshold().study
    assert [task.seed for task in replace(study, seeds=3).tasks] == [0, 1, 2]
    most = replace(study, seeds=FIRST_TUNING_SEED)
    with pytest.raises(ValueError, match="seeds must be below 1000000, because agents are tuned"):
        replace(most, seeds=1_000_001)
    with pytest.raises(ValueError, match=r"got 1000000$"):
        replace(study, seeds=(3, 1_000_000))


def test_the_file_of_the_winner_is_a_file_of_agents(tmp_path: Path) -> None:
    preset = problem("nchain").preset("q-learning")
    study = Study((preset,), (EnvChoice("NChain-v0"),), 1, 200)
    tuning = search(Problem(study, shipped()["q-learning"], "score", 2), 3, Here())
    tuning.write(tmp_path / "winner.toml")
    (agent,) = agents_of(str(tmp_path / "winner.toml"), {})
    assert tuning.best is not None
    assert agent.name == "q-learning-tuned"
    assert agent.path == "nchain_agents:QLearning"
    assert agent.parameters == preset.parameters | tuning.best.parameters
    local = search(threshold(), 1, Here())
    with pytest.raises(ValueError, match=r"scripted:Threshold is defined in this program only"):
        local.write(tmp_path / "local.toml")


def test_a_study_is_tuned_agent_by_agent_for_all_its_environments(tmp_path: Path) -> None:
    presets = problem("nchain").presets
    envs = (EnvChoice("NChain-v0"), EnvChoice("NChain-v0", {"n": 3}))
    study = Study((presets["reward-sum"], presets["q-learning"]), envs, 2, 300)
    storage = tmp_path / "trials.sqlite"
    found = tuned_study(study, {"trials": 4, "seeds": 2}, Here(), storage, False)
    alone = replace(study, agents=study.agents[1:])
    best = search(Problem(alone, shipped()["q-learning"], "score", 2), 4, Here()).best
    assert best is not None
    assert found.agents[0] == presets["reward-sum"]
    assert found.agents[1].name == "q-learning"
    assert found.agents[1].parameters == presets["q-learning"].parameters | best.parameters
    assert found.tuned is not None
    assert (found.tuned.trials, found.tuned.seeds) == (4, 2)
    assert found.tuned.parameters == {"q-learning": tuple(shipped()["q-learning"])}
    assert "not tuned: reward-sum, which has no search space" in found.remarks
    # the study's file says it, and does not tune again
    file = tmp_path / "study.toml"
    file.write_text(study_file.text_of(found))
    assert study_file.read(file) == found
    # made again, it reads the trials
    assert tuned_study(study, {"trials": 4, "seeds": 2}, Here(lasts=0), storage, False) == found


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"trial": 2}, "must be one of 'trials', 'seeds', 'space', got 'trial'"),
        ({"trials": 0}, "tuned trials must be"),
        ({"seeds": "many"}, "tuned seeds must be"),
        ({"space": "missing.toml"}, "missing.toml"),
        (50, "tuned must be a mapping"),
    ],
)
def test_a_budget_that_is_none_is_refused(budget: Any, said: str) -> None:
    with pytest.raises((ValueError, OSError), match=said):
        tuned_study(threshold().study, budget, Here(), None, False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"agent": "reward-sum"}, "agent reward-sum has no search space; give a TOML file"),
        ({"space": {"x": {"low": 0, "high": 1}}}, "does not take its parameters"),
        ({"space": {}}, "space of q-learning must have at least one hyperparameter"),
        ({"objective": "return"}, "objective must be one of 'score', 'regret'"),
        ({"trials": 0}, "trials must be"),
        ({"seeds": 0}, "seeds must be"),
        ({"storage": 3}, "storage must be a path or None"),
    ],
)
def test_arguments_that_are_not_allowed_are_refused_by_name(
    arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        tune(**{"agent": "q-learning", **arguments})
