"""Draw the pictures of the documentation: `python docs/make_pictures.py`.

With equal versions of all packages, the bytes are equal. The training takes a few minutes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gymnasium as gym
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from nchain_agents import compare
from nchain_agents.check.judge import judge
from nchain_agents.check.lesson import learn
from nchain_agents.check.problems import CONTINUING
from nchain_agents.check.values import Explainer
from nchain_agents.presets import Preset, problem
from nchain_agents.report import check_page
from nchain_agents.study.comparison import Comparison, Results

PICTURES = Path(__file__).parent / "pictures"
STEPS, SEEDS = 20_000, 5
# Colours that are visible on white and on the background of the dark theme.
INK, CURVE = "#808080", "#2f8fd0"
# An environment, a seed and the actions that are taken before it is drawn
ENVIRONMENTS = {
    "nchain": ("NChain-v0", 6, [0] * 5),  # the first seed without a slip in these steps
    "river-swim": ("RiverSwim-v0", 1, [1] * 6),
    "deep-sea": ("DeepSea-v0", 0, [1, 1, 0, 1, 1]),
}
AGENTS = ("#2f8fd0", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#808080")


def draw_curves(comparison: Comparison, results: Results, optimal: float, random: float) -> Figure:
    """Draw the greedy policy's return over the steps: thin lines for the seeds, and the median."""
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    axes = figure.subplots()
    for level, text, style in ((optimal, "optimal", "--"), (random, "random", ":")):
        axes.axhline(level, color=INK, linestyle=style, linewidth=1)
        axes.annotate(
            text,
            (1, level),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=INK,
        )
    steps = [point.step for point in results.runs[0].checkpoints]
    returns = np.array(
        [[point.expected_return for point in run.checkpoints] for run in results.runs]
    )
    axes.plot(steps, returns.T, color=CURVE, linewidth=1, alpha=0.45)
    axes.plot(steps, np.median(returns, axis=0), color=CURVE, linewidth=2.4)
    axes.set(
        xlabel="training steps",
        ylabel="return of an episode",
        xlim=(0, comparison.study.steps),
        ylim=(0, 1.08 * optimal),
    )
    finish(figure)
    return figure


def finish(figure: Figure) -> None:
    """Give the axes of a figure the colours that both themes show."""
    for axes in figure.axes:
        axes.tick_params(which="both", colors=INK, labelsize=8)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set(color=INK, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(INK)
        axes.grid(color=INK, alpha=0.2)


def draw_regret() -> Figure:
    """Draw the regret of all presets on RiverSwim: median, smallest and largest of the seeds."""
    comparison = compare(env="RiverSwim-v0", steps=STEPS, seeds=SEEDS, progress_bar=True)
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.subplots()
    (env,) = comparison.study.envs
    a_step = comparison.evaluators[env.label].optimal / 1000  # an episode has 1,000 steps
    for colour, results in zip(AGENTS, comparison.of_env(env), strict=True):
        steps = np.array([point.step for point in results.runs[0].checkpoints])
        rewards = np.array(
            [[point.reward_per_step for point in run.checkpoints] for run in results.runs]
        )
        regret = steps * (a_step - rewards) / 1e6
        low, high = regret.min(axis=0), regret.max(axis=0)
        axes.plot(
            steps, np.median(regret, axis=0), color=colour, linewidth=1.8, label=results.agent
        )
        axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.set(xlabel="training steps", ylabel="regret, in millions", xlim=(0, STEPS))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    finish(figure)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, labelcolor=INK, fontsize=8)
    return figure


def steps_to_treasure(preset: Preset, seed: int) -> int:
    """Return after how many steps an agent's greedy policy first crosses DeepSea, at most STEPS."""
    agent = preset.make(gym.make("DeepSea-v0"), seed)
    path = np.arange(10) * 11  # the diagonal of the ten rows

    def found(agent: Any) -> bool:
        return bool(agent.predict(path, deterministic=True)[0].all())

    agent.learn(STEPS, lambda agent: not found(agent))
    return int(agent.num_timesteps)


def draw_treasure() -> Figure:
    """Draw a dot for each seed of all presets for DeepSea, at the steps that it needs."""
    figure = Figure(figsize=(6.4, 2.8), layout="constrained")
    axes = figure.subplots()
    presets = problem("deepsea").presets.values()
    tables = [preset for preset in presets if preset.extra is None]
    rng = np.random.default_rng(0)
    for y, (colour, preset) in enumerate(zip(AGENTS, tables, strict=True)):
        needed = np.array([steps_to_treasure(preset, seed) for seed in range(10)])
        height = y + rng.uniform(-0.2, 0.2, len(needed))
        solved = needed < STEPS
        axes.plot(needed[solved], height[solved], "o", color=colour, markersize=4, alpha=0.7)
        axes.plot(needed[~solved], height[~solved], ">", color=colour, markersize=4, clip_on=False)
    axes.set_yticks(range(len(tables)), [preset.name for preset in tables])
    axes.set(xscale="log", xlim=(80, STEPS))
    axes.set_xlabel("training steps until the greedy policy finds the treasure")
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter("{x:,.0f}")
    finish(figure)
    return figure


def draw_environment(env_id: str, seed: int, actions: list[int]) -> Figure:
    """Draw an environment as `render` shows it after some actions."""
    env = gym.make(env_id, render_mode="rgb_array")
    env.reset(seed=seed)
    for action in actions:
        env.step(action)
    frame = np.asarray(env.render())
    env.close()
    height, width = frame.shape[:2]
    figure = Figure(figsize=(width / 100, height / 100))
    figure.figimage(frame)
    return figure


def draw_check() -> Figure:
    """Draw the values of the wrong agent in check-your-agent.md beside three explanations."""
    page = (Path(__file__).parent / "check-your-agent.md").read_text()
    code = re.search(r"# my_agent.py\n(.+?)```", page, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)  # the page's own example

    def make(env: Any, seed: int) -> Any:
        return names["Learner"](env, seed)

    lessons = [learn(make, CONTINUING, seed, STEPS) for seed in range(3)]
    gamma = lessons[0].gamma
    assert gamma is not None
    found = judge(lessons, gamma)
    shown = [found.correct, *found.named, *found.others][:3]
    return check_page.draw(CONTINUING, lessons, Explainer(lessons, gamma), shown).figure


def save(figure: Figure, name: str) -> None:
    """Write a picture of curves."""
    figure.savefig(PICTURES / f"{name}.svg", transparent=True, metadata={"Date": None})


def main() -> None:
    """Draw all pictures."""
    mpl.rcParams.update({"svg.hashsalt": "nchain", "svg.fonttype": "none"})
    PICTURES.mkdir(exist_ok=True)
    for name, shown in ENVIRONMENTS.items():
        picture = PICTURES / f"{name}.png"
        draw_environment(*shown).savefig(picture, dpi=100, metadata={"Software": None})
    draw_check().savefig(PICTURES / "check.png", dpi=130, metadata={"Software": None})
    save(draw_regret(), "river-swim-regret")
    save(draw_treasure(), "deep-sea-treasure")
    comparison = compare(steps=STEPS, seeds=SEEDS, progress_bar=True)
    (env,) = comparison.study.envs
    measure = comparison.evaluators[env.label]
    for results in comparison.of_env(env):
        save(draw_curves(comparison, results, measure.optimal, measure.random), results.agent)


if __name__ == "__main__":
    main()
