"""The regret on RiverSwim as Osband, Russo & Van Roy (2013) publish it, and the score on the chain.

The runs are those of `nchain reproduce --paper osband2013`.
"""

import pytest

from nchain_agents import UCRL2, PosteriorSampling, learn_many, score
from nchain_agents.papers import osband2013
from nchain_agents.papers.osband2013 import EPISODE, RIVER, Experiment, Result
from nchain_agents.presets import Preset, problem
from nchain_agents.study.pool import Pool

pytestmark = pytest.mark.slow

PRESETS = problem("riverswim-osband2013").presets


def measured(agent: Preset, runs: int) -> list[Result]:
    """Return the results with episodes and without resets."""
    both = [Experiment(RIVER, episode, agent) for episode in (EPISODE, None)]
    return osband2013.results(both, range(runs), Pool())


def test_the_papers_prior_has_the_papers_regret() -> None:
    for result, published in zip(measured(osband2013.PSRL, 100), (68.8, 106.0), strict=True):
        assert result.experiment.published == published
        # in standard errors of the difference to the paper's mean of 20 runs
        difference = result.difference
        assert difference is not None
        assert abs(difference) < 2
        assert result.standard_error < 10


def test_the_default_prior_finds_the_reward_in_every_run() -> None:
    results = measured(PRESETS["posterior-sampling"], 50)
    for result, largest in zip(results, (200.0, 300.0), strict=True):
        assert result.mean < largest
        assert result.totals.max() < 1500


def test_ucrl2_has_the_papers_regret() -> None:
    for result, published in zip(measured(osband2013.UCRL2, 20), (1260.0, 3640.0), strict=True):
        assert result.experiment.published == published
        difference = result.difference
        assert difference is not None
        assert abs(difference) < 2
        assert result.standard_error < 70


def test_ucrl2_with_the_distances_of_its_paper_loses_almost_everything() -> None:
    """What never gets a reward loses 1,699 with episodes, and 4,286 without resets."""
    theory = Preset("ucrl2", UCRL2, {"variant": "jaksch2010"})
    for result, everything in zip(measured(theory, 3), (1699, 4286), strict=True):
        assert result.mean > 0.95 * everything


@pytest.mark.parametrize(
    ("name", "largest"), [("mbie-eb", 50.0), ("rmax", 200.0), ("optimistic-q", 350.0)]
)
def test_optimists_that_know_the_largest_reward_lose_little(name: str, largest: float) -> None:
    assert max(result.mean for result in measured(PRESETS[name], 20)) < largest


@pytest.mark.parametrize("slip", [0.0, 0.1, 0.2])
def test_posterior_sampling_scores_99_on_the_chain_after_5000_steps(slip: float) -> None:
    agents = [PosteriorSampling(f"NChain-v0 slip={slip}", seed=seed) for seed in range(50)]
    learn_many(agents, 5000)
    assert sum(score(agent, agent.env) >= 99 for agent in agents) >= 48


def test_the_default_prior_misses_a_reward_2000_times_as_large_in_some_runs() -> None:
    """RiverSwim-v0 has the rewards 5 and 10,000; the preset, which knows, finds it in all runs."""
    agents = [PosteriorSampling("RiverSwim-v0", seed=seed) for seed in range(10)]
    learn_many(agents, 20_000)
    assert sum(score(agent, agent.env) < 1 for agent in agents) >= 2
