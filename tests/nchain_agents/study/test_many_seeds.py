"""Studies of a thousand seeds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nchain_agents import QLearning, compare, evaluation, score
from nchain_agents.report.page import write_page
from nchain_agents.study.comparison import Comparison
from nchain_agents.study.plan import plan
from nchain_agents.study.run import train
from nchain_env import planning

SETTINGS: dict[str, Any] = {"parameters": {"n": 3}, "sweep": None, "episodes": 2}


def test_equal_policies_of_a_study_are_evaluated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated: list[tuple[bytes, bytes]] = []

    def counting(mdp: Any, policy: Any, horizon: int) -> float:
        evaluated.append((mdp.reward.tobytes(), np.asarray(policy).tobytes()))
        return planning.policy_return(mdp, policy, horizon)

    monkeypatch.setattr(evaluation, "policy_return", counting)
    study = plan(["q-learning"], "NChain-v0 slip=0.15", **SETTINGS, seeds=30, steps=400)
    runs = [train(task) for task in study.tasks]
    assert sum(len(run.checkpoints) for run in runs) == 600
    # 2^3 greedy policies, 3^3 exploring ones (greedy, other, tie), and the uniformly random one
    assert 1 < len(evaluated) <= 8 + 27 + 1
    assert len(set(evaluated)) == len(evaluated)


def test_the_page_of_many_seeds_stays_small(tmp_path: Path) -> None:
    study = plan(["q-learning"], "NChain-v0", **SETTINGS, seeds=60, steps=40, looks=2)
    write_page(tmp_path / "60.html", Comparison(study, tuple(map(train, study.tasks))))
    few = plan(["q-learning"], "NChain-v0", **SETTINGS, seeds=40, steps=40, looks=2)
    write_page(tmp_path / "40.html", Comparison(few, tuple(map(train, few.tasks))))
    page, smaller = ((tmp_path / name).read_text() for name in ("60.html", "40.html"))
    assert len(page) < len(smaller)
    assert "Seeds: 0 to 59." in page
    assert "Seeds: 0, 1, 2," in smaller
    assert "the learned Q of the seeds: smallest, quartiles and largest" in page


@pytest.mark.slow
def test_a_study_of_a_thousand_seeds_has_the_runs_of_single_seeds(tmp_path: Path) -> None:
    comparison = compare(["q-learning"], seeds=1000, steps=1000, out=tmp_path / "out", looks=2)
    assert not comparison.failures
    for seed in (0, 17, 999):
        run = comparison.runs[seed]
        (preset,) = comparison.study.agents
        agent = QLearning("NChain-v0", seed=seed, **preset.parameters).learn(1000)
        np.testing.assert_array_equal(run.q, agent.q)
        assert run.final.score == score(agent, "NChain-v0")
        assert run.final.reward_per_step * 1000 == pytest.approx(agent.total_reward)
    assert (tmp_path / "out" / "report.html").stat().st_size < 400_000
