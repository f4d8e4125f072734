"""The total regret that Osband, Russo & Van Roy (2013) publish, beside that of our agents.

Source: Osband, Russo & Van Roy 2013, (More) Efficient Reinforcement Learning via Posterior
    Sampling, section 6 and table 1 (NeurIPS); hyperparameters from the authors' program,
    https://github.com/iosband/psrl_2013
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

from nchain_agents.callbacks import EveryNTimesteps
from nchain_agents.papers.page import Page
from nchain_agents.presets import Preset, problem
from nchain_agents.report.markdown import markdown_page
from nchain_agents.report.pictures import COLOURS, STYLE
from nchain_agents.study.pool import Pool
from nchain_agents.study.uncertainty import RESAMPLES, interval
from nchain_env import TabularEnv, TabularMDP, river_swim_mdp
from nchain_env.mdp import FloatArray
from nchain_env.planning import optimal_gain, optimal_return

STEPS, RUNS, EPISODE = 10_000, 20, 20  # the paper's
LOOKS = 50  # a run's regret is known after so many parts of it

RIVER, RANDOM = "RiverSwim", "random MDP"
# The paper's agents, with its prior and its confidence distances
PSRL = Preset(
    "PSRL",
    "nchain_agents:PosteriorSampling",
    {"reward_mean": 1.0, "reward_scale": 1.0, "reward_strength": 1.0},
)
UCRL2 = Preset("UCRL2", "nchain_agents:UCRL2", {"variant": "osband2013"})
# Table 1: the total regret in STEPS steps, the mean of RUNS runs, by problem, episode and agent
PUBLISHED: dict[tuple[str, int | None, str], float] = {
    (RIVER, EPISODE, "PSRL"): 68.8,
    (RIVER, EPISODE, "UCRL2"): 1260.0,
    (RIVER, None, "PSRL"): 106.0,
    (RIVER, None, "UCRL2"): 3640.0,
    (RANDOM, EPISODE, "PSRL"): 1.04e4,
    (RANDOM, EPISODE, "UCRL2"): 5.92e4,
    (RANDOM, None, "PSRL"): 7.30e3,
    (RANDOM, None, "UCRL2"): 1.13e5,
}


@dataclass(frozen=True)
class Experiment:
    """An agent on a problem, with episodes of so many steps, or without resets."""

    problem: str
    episode: int | None
    agent: Preset

    @property
    def published(self) -> float | None:
        """The paper's figure, None where it has none."""
        return PUBLISHED.get((self.problem, self.episode, self.agent.name))


class Regret(NamedTuple):
    """The regret of one run after each of its parts, and the optimum at its end."""

    curve: tuple[float, ...]  # (LOOKS,)
    optimum: float  # the expected rewards of the optimal policy in all steps


@dataclass(frozen=True)
class Result:
    """The runs of an experiment, at least two."""

    experiment: Experiment
    runs: Sequence[Regret]

    @property
    def totals(self) -> FloatArray:
        """The total regret of each run, (N,)."""
        return np.array([run.curve[-1] for run in self.runs])

    @property
    def mean(self) -> float:
        """The mean of the total regret."""
        return float(self.totals.mean())

    @property
    def standard_error(self) -> float:
        """The standard error of the mean."""
        return float(self.totals.std(ddof=1) / np.sqrt(len(self.runs)))

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % percentile bootstrap interval of the mean."""
        found = interval([self.totals], np.mean, np.random.default_rng(0))
        assert found is not None
        return found

    @property
    def difference(self) -> float | None:
        """The mean less the paper's, in standard errors; None where the paper has none.

        The paper gives no error; its mean of RUNS runs is taken to vary as that of RUNS of ours.
        """
        published = self.experiment.published
        if published is None:
            return None
        spread = float(self.totals.std(ddof=1))
        return float((self.mean - published) / (spread * np.sqrt(1 / len(self.runs) + 1 / RUNS)))


def experiments() -> list[Experiment]:
    """Return all experiments: the paper's, and on RiverSwim also all presets for it."""
    presets = problem("riverswim-osband2013").presets
    theory = Preset("ucrl2, jaksch2010", "nchain_agents:UCRL2", {"variant": "jaksch2010"})
    others = [presets[name] for name in presets if name != "ucrl2"]
    return [
        Experiment(name, episode, agent)
        for name, agents in ((RIVER, [PSRL, UCRL2, theory, *others]), (RANDOM, [PSRL, UCRL2]))
        for episode in (EPISODE, None)
        for agent in agents
    ]


def random_mdp(seed: int) -> TabularMDP:
    """Return ten states and five actions, drawn from the paper's prior.

    The next states have a Dirichlet distribution whose parameters are all 1/10. The reward of a
    state and action is constant: normal with mean 1 and precision tau, which is Gamma(1/2, rate
    1/2). So it has the Cauchy distribution around 1, which has no mean.
    """
    rng = np.random.default_rng(seed)
    states, actions = 10, 5
    shape = (states, actions, states)
    probability = rng.dirichlet(np.full(states, 1 / states), size=shape[:2])
    precision = rng.gamma(0.5, 2.0, size=shape[:2])
    reward = rng.normal(1.0, 1 / np.sqrt(precision))
    return TabularMDP(
        next_state=np.broadcast_to(np.arange(states), shape),
        probability=probability,
        reward=np.broadcast_to(reward[:, :, None], shape),
        terminated=np.zeros(shape, dtype=np.bool_),
        initial=np.eye(states)[0],
    )


def optimum(mdp: TabularMDP, episode: int | None) -> float:
    """Return the optimal policy's expected reward of a step."""
    if episode is None:
        return float(optimal_gain(mdp))
    return optimal_return(mdp, episode) / episode


def regret(experiment: Experiment, steps: int, seed: int) -> Regret:
    """Make one run: the regret is the optimum times the number of steps, less the rewards."""
    mdp = river_swim_mdp(variant="osband2013") if experiment.problem == RIVER else random_mdp(seed)
    best = optimum(mdp, experiment.episode)
    env: gym.Env[Any, Any] = TabularEnv(mdp)
    if experiment.episode is not None:
        env = gym.wrappers.TimeLimit(env, experiment.episode)
    curve: list[float] = []

    def look(agent: Any) -> None:
        if len(curve) < LOOKS:  # it is called once more at the end
            curve.append(best * agent.num_timesteps - agent.total_reward)

    experiment.agent.make(env, seed).learn(steps, EveryNTimesteps(steps // LOOKS, look))
    return Regret(tuple(curve), best * steps)


def results(
    found: Sequence[Experiment],
    seeds: range,
    pool: Pool,
    steps: int = STEPS,
    advance: Callable[[int], None] = lambda runs: None,
) -> list[Result]:
    """Make all runs of experiments, with the same seeds for each.

    Raises:
        RuntimeError: A run failed.
    """
    calls = [partial(regret, one, steps, seed) for one in found for seed in seeds]
    runs = pool.results(calls, advance)
    return [Result(one, runs[i * len(seeds) : (i + 1) * len(seeds)]) for i, one in enumerate(found)]


def reproduce(
    seeds: range,
    command: str,
    *,
    quick: bool,
    pool: Pool,
    track: Callable[[str, int], Callable[[int], None]],
) -> Page:
    """Make all runs and return the page; see `Paper`."""
    steps = STEPS // 10 if quick else STEPS
    found = experiments()
    advance = track("regret", len(found) * len(seeds))
    measured = results(found, seeds, pool, steps, advance)
    data = {
        "paper": "osband2013",
        "command": command,
        "steps": steps,
        "seeds": list(seeds),
        "experiments": [
            {
                "problem": result.experiment.problem,
                "episode": result.experiment.episode,
                "agent": result.experiment.agent.name,
                "published": result.experiment.published,
                "mean": result.mean,
                "standard_error": result.standard_error,
                "interval": result.interval,
                "median": float(np.median(result.totals)),
                "regret": result.totals.tolist(),
                "optimum": [run.optimum for run in result.runs],
            }
            for result in measured
        ],
    }
    markdown = markdown_page(
        __package__,
        "osband2013.md.j2",
        command=command,
        steps=steps,
        whole=steps == STEPS,
        runs=len(seeds),
        RUNS=RUNS,
        tables=[_table(measured, name, at) for name in (RIVER, RANDOM) for at in (EPISODE, None)],
        shares=[_largest_share(one) for one in measured if one.experiment.problem == RANDOM],
        RESAMPLES=f"{RESAMPLES:,}",
        below=[_means_below(one) for one in measured if one.experiment.problem == RANDOM],
    )
    return Page(data, markdown, {"osband2013.png": _picture(measured, steps)})


def _table(measured: Sequence[Result], name: str, episode: int | None) -> dict[str, Any]:
    """Return the caption and the rows of a table."""
    shown = [
        one
        for one in measured
        if (one.experiment.problem, one.experiment.episode) == (name, episode)
    ]
    rows = []
    for one in shown:
        published, difference = one.experiment.published, one.difference
        rows.append(
            (
                one.experiment.agent.name,
                "" if published is None else f"{published:,.1f}".removesuffix(".0"),
                f"{one.mean:,.0f} ± {one.standard_error:,.0f}",
                "{:,.0f} to {:,.0f}".format(*one.interval),
                f"{np.median(one.totals):,.0f}",
                "" if difference is None else f"{difference:+.1f}",
            )
        )
    best = np.array([run.optimum for run in shown[0].runs])
    exact = f"exact optimum {best[0]:,.0f}"
    if np.ptp(best) > 0:
        exact = f"exact optimum {np.median(best):,.0f} in the median"
    setting = "no resets" if episode is None else f"episodes of {episode} steps"
    return {"caption": f"{name}, {setting}; {exact}", "rows": rows}


def _largest_share(result: Result) -> str:
    """Return how much of the sum of all runs is that of the largest one."""
    totals = result.totals
    return f"{100 * totals.max() / totals.sum():.0f} %"


def _means_below(result: Result) -> str:
    """Return how many means of RUNS runs are below the published one, drawn from ours."""
    rng, published = np.random.default_rng(0), result.experiment.published
    assert published is not None
    means = rng.choice(result.totals, (RESAMPLES, RUNS)).mean(axis=1)
    return f"{100 * (means < published).mean():.0f} %"


def _picture(measured: Sequence[Result], steps: int) -> Figure:
    """Draw the mean regret on RiverSwim over the steps, and the published totals."""
    at = np.linspace(0, steps, LOOKS + 1)
    with style.context(STYLE):
        figure = Figure(figsize=(9, 4.6), layout="constrained")
        panels = figure.subplots(1, 2)
        for axes, episode in zip(panels, (EPISODE, None), strict=True):
            river = [
                one
                for one in measured
                if (one.experiment.problem, one.experiment.episode) == (RIVER, episode)
            ]
            for colour, one in zip(COLOURS, river, strict=False):
                curves = np.array([(0.0, *run.curve) for run in one.runs])
                mean = curves.mean(axis=0)
                error = 2 * curves.std(axis=0, ddof=1) / np.sqrt(len(curves))
                axes.plot(at, mean, color=colour, label=one.experiment.agent.name)
                axes.fill_between(
                    at, mean - error, mean + error, color=colour, alpha=0.15, linewidth=0
                )
                published = one.experiment.published
                if published is not None:
                    axes.plot(steps, published, "D", color=colour, clip_on=False, zorder=5)
            axes.set_title("no resets" if episode is None else f"episodes of {episode} steps")
            axes.set(xlabel="steps", xlim=(0, steps))
            axes.set_yscale("symlog", linthresh=100)
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.yaxis.set_major_formatter("{x:,.0f}")
        panels[0].set_ylabel("regret")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure
