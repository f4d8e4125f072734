import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import PlantedTable
from vector_learner import VectorLearner

from nchain_agents import check_agent
from nchain_agents.check.problems import CHOICES, CONTINUING, ENDING

Make = Callable[[Any, int], Any]
# Fewer steps and seeds than by default are enough for a table.
FEW: dict[str, Any] = {"steps": 8_000, "seeds": 2}


def planted(mistake: str) -> Make:
    return partial(PlantedTable, mistake=mistake)


def names(make: Any, **options: Any) -> list[str]:
    return [finding.name for finding in check_agent(make, **options).findings]


def test_a_correct_learner_is_told_that_nothing_is_wrong() -> None:
    report = check_agent(planted(""))
    report.assert_ok()
    assert report.ok
    assert report.findings == ()
    assert report.headline == "PlantedTable: no mistake found"
    # a quarter of the steps is enough where nothing is wrong
    assert (report.steps, report.seeds, report.gamma) == (5_000, 3, 0.9)
    assert report.judgement is not None
    assert report.judgement.correct.distance < 0.01


def test_a_mistake_is_named_with_what_to_look_for() -> None:
    report = check_agent(planted("truncation as termination"))
    assert [finding.name for finding in report.findings] == ["truncation as termination"]
    with pytest.raises(AssertionError, match="look for `done = terminated or"):
        report.assert_ok()
    assert report.steps == 20_000


@pytest.mark.slow
def test_equal_checks_give_equal_reports() -> None:
    one, two = (check_agent(planted("reward clipped"), jobs=jobs, **FEW) for jobs in (1, 2))
    assert one.as_data() == two.as_data()


def test_presets_and_classes_are_checked() -> None:
    assert names("greedy-q", **FEW) == ["no exploration"]
    assert names(PlantedTable, **FEW) == []


@pytest.mark.slow
def test_the_tutorials_rule_is_named_for_what_it_is() -> None:
    from nchain_agents.article.learners import TutorialQLearning

    def tutorial(env: Any, seed: int) -> Any:
        return TutorialQLearning(env, seed=seed, gamma=0.95, learning_rate=0.8, epsilon=0.5)

    report = check_agent(tutorial)
    (finding,) = report.findings
    assert set(finding.name.split(" and ")) == {"termination ignored", "reward scaled"}
    assert "multiplied by 1.25" in finding.says


class Guarded:
    """A planted learner of whose attributes only the named ones are seen."""

    def __init__(self, env: Any, seed: int, shown: tuple[str, ...], mistake: str = "") -> None:
        self.inner = PlantedTable(env, seed, mistake)
        for name in ("learn", "predict", *shown):
            setattr(self, name, getattr(self.inner, name))


def test_a_discount_factor_that_is_not_said_is_found() -> None:
    report = check_agent(partial(Guarded, shown=("q_values",)))
    assert report.ok
    assert report.gamma == pytest.approx(0.9, abs=0.005)


def test_another_discount_factor_than_the_given_one_is_a_mistake() -> None:
    report = check_agent(planted(""), gamma=0.7)
    (finding,) = report.findings
    assert finding.name == "another gamma"
    assert "0.9" in finding.says


@pytest.mark.slow
def test_values_may_be_read_by_a_function() -> None:
    make = partial(Guarded, shown=("gamma",), mistake="mean of the next values")

    def read(model: Any, observations: Any) -> Any:
        return model.predict.__self__.q_values(observations)

    assert names(make, q_values=read, **FEW) == ["mean of the next values"]


@pytest.mark.slow
def test_an_agent_without_values_is_judged_by_its_choices() -> None:
    def make(mistake: str) -> Make:
        return partial(Guarded, shown=("gamma",), mistake=mistake)

    right = check_agent(make(""))
    right.assert_ok()
    assert right.judgement is None
    assert right.agreements[0].contradicted == 0
    assert right.agreements[0].compared == 4 * len((ENDING, CONTINUING, *CHOICES))
    wrong = check_agent(make("truncation as termination"))
    assert "truncation as termination" in [finding.name for finding in wrong.findings]
    assert "correct" not in [finding.name for finding in wrong.findings]


@pytest.mark.parametrize(
    ("mode", "mistake"),
    [
        ("NextStep", ""),
        ("NextStep", "learns from ghost steps"),
        ("SameStep", ""),
        ("SameStep", "bootstraps from the reset"),
        ("Disabled", ""),
    ],
)
def test_vector_environments_are_checked_in_each_autoreset_mode(mode: str, mistake: str) -> None:
    make = partial(VectorLearner, mode=mode, mistake=mistake)
    found = names(make, num_envs=4, autoreset_mode=mode, **FEW)
    assert found == ([mistake] if mistake else [])


class Raises:
    def __init__(self, env: Any, seed: int) -> None:
        self.env = env

    def learn(self, total_timesteps: int) -> None:
        self.env.reset()
        raise RuntimeError("the network has no weights")

    def predict(self, observation: Any, deterministic: bool = False) -> Any:
        return np.zeros(np.shape(observation), dtype=np.int64), None


class Hangs(Raises):
    def learn(self, total_timesteps: int) -> None:
        time.sleep(600)


class TakesNoSteps(Raises):
    def learn(self, total_timesteps: int) -> None:
        pass


class HasNoPredict:
    def __init__(self, env: Any, seed: int) -> None:
        pass

    def learn(self, total_timesteps: int) -> None:
        pass


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Raises, "RuntimeError: the network has no weights"),
        (Hangs, "it took longer than 2 s, the time limit"),
        (TakesNoSteps, "took 0 steps"),
        (HasNoPredict, "has no method `predict`"),
    ],
)
def test_what_cannot_be_checked_is_reported_in_one_line(make: Any, said: str) -> None:
    # a function, because a class without `predict` is refused before anything runs
    limit = 2.0 if make is Hangs else None
    report = check_agent(lambda env, seed: make(env, seed), time_limit=limit)
    assert not report.ok
    lines = [finding.says for finding in report.findings]
    assert any(said in line for line in lines)
    assert all("\n" not in line for line in lines)
    assert report.judgement is None
    if make is Raises:
        traces = [finding.traceback for finding in report.findings]
        assert all(trace is not None and "RuntimeError" in trace for trace in traces)


def test_the_folder_gets_the_data_and_the_page(tmp_path: Path) -> None:
    report = check_agent(planted("gamma squared"), out=tmp_path / "new", **FEW)
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == [
        "check.html",
        "check.json",
    ]
    data = json.loads((tmp_path / "new" / "check.json").read_text())
    assert data == json.loads(json.dumps(report.as_data()))
    assert data["findings"][0]["name"] == "gamma squared"
    nearest = min(data["explanations"], key=lambda one: one["distance"])
    assert nearest["name"] in ("gamma squared", "another gamma")
    page = (tmp_path / "new" / "check.html").read_text()
    assert "<script" not in page
    assert page.count("<svg") == 2
    assert "gamma squared" in page


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"make": 3}, "make must be a function"),
        ({"make": "q-lerning"}, "did you mean q-learning"),
        ({"gamma": 1.5}, "gamma must be"),
        ({"steps": 100}, "steps must be"),
        ({"seeds": 0}, "seeds must be"),
        ({"q_values": 3}, "q_values must be a function"),
        ({"num_envs": 0}, "num_envs must be"),
        ({"num_envs": 2, "autoreset_mode": "never"}, "autoreset_mode must be"),
        ({"time_limit": -1}, "time_limit must be"),
    ],
)
def test_bad_input_is_refused_by_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_agent(**{"make": planted(""), **options})
