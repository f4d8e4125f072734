"""The pictures of the experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nchain_agents.article import published
from nchain_agents.article.chance import binomial_interval, next_value_interval
from nchain_agents.article.run import Reproduction
from nchain_agents.article.tables import exact_table
from nchain_agents.files import whole_file
from nchain_env import chain_mdp
from nchain_env.planning import policy_return, value_iteration

# Okabe and Ito's colours, which people with any colour vision tell apart
_OURS, _ARTICLE, _RIGHT, _GREY, _SKY = "#0072B2", "#D55E00", "#009E73", "#444444", "#56B4E9"
_ACTIONS = ("forward", "backward")


def draw(out: Path, result: Reproduction) -> tuple[str, ...]:
    """Draw all pictures into a folder; return their names."""
    pictures = {"tables.png": _tables, "tournament.png": _tournament}
    if result.backend is not None:
        pictures |= {
            "network_reward.png": _network_reward,
            "network_q.png": _network_q,
            "cartpole.png": _cartpole,
        }
    for name, picture in pictures.items():
        figure = picture(result)
        with whole_file(out / name) as partial:
            figure.savefig(partial, dpi=150, metadata={"Software": None})
    return tuple(pictures)


def _plain(axes: Axes, **settings: Any) -> None:
    axes.set(**settings)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _tables(result: Reproduction) -> Figure:
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    name, scale = "epsilon-greedy-q", 1 / published.LEARNING_RATE
    versions = (
        ("as written", 1.0, _OURS, -0.22),
        ("visit-count rates", scale, _RIGHT, 0.22),
    )
    printed, exact = np.array(published.TABLES[name]), exact_table(name)
    states = np.arange(len(printed))
    for a, axes in enumerate(panels):
        for version, factor, colour, shift in versions:
            q = result.tournaments[version].q[:, 2, :, a] * factor
            rng = np.random.default_rng(0)
            for s in states:
                axes.plot(
                    s + shift + rng.uniform(-0.1, 0.1, len(q)),
                    q[:, s],
                    "o",
                    color=colour,
                    markersize=2.5,
                    alpha=0.45,
                    markeredgewidth=0,
                    label=f"{version}, {len(q)} tables" if s == a == 0 else None,
                )
        for s in states:
            axes.hlines(
                exact[s, a], s - 0.4, s + 0.4, _GREY, label="exact" if s == a == 0 else None
            )
        axes.plot(
            states - 0.22,
            printed[:, a],
            "D",
            color=_ARTICLE,
            markersize=6,
            markeredgecolor="white",
            label="the article's table" if a == 0 else None,
        )
        _plain(axes, title=_ACTIONS[a], xlabel="state", xticks=states, ylim=(0, None))
    panels[0].set_ylabel("Q, on the scale of the article's code")
    figure.suptitle("Tables of epsilon-greedy-q")
    figure.legend(loc="outside lower center", ncols=4, frameon=False, markerscale=1.5)
    return figure


def _tournament(result: Reproduction) -> Figure:
    figure = Figure(figsize=(7.5, 4.4), layout="constrained")
    axes = figure.subplots()
    names = list(published.TABLES)
    rounds = result.scale.rounds
    bars: list[tuple[str, tuple[int, ...], int, str]] = [
        ("the article", published.WINS, published.ROUNDS, _ARTICLE)
    ]
    bars += [
        (version if i else f"ours, {version}", played.wins, rounds, colour)
        for i, ((version, played), colour) in enumerate(
            zip(result.tournaments.items(), (_OURS, _SKY, _RIGHT), strict=True)
        )
    ]
    width = 0.2
    for i, (label, wins, total, colour) in enumerate(bars):
        at = np.arange(3) + (i - 1.5) * width
        shares = 100 * np.array(wins) / total
        limits = 100 * np.array([binomial_interval(count, total) for count in wins]).T
        reach = np.abs(limits - shares)
        axes.bar(at, shares, width * 0.92, color=colour, label=label)
        axes.errorbar(at, shares, reach, fmt="none", ecolor=_GREY, elinewidth=1, capsize=2.5)
    _plain(
        axes,
        title="Wins in the tournament, with 95 % intervals",
        ylabel="rounds won, %",
        xticks=range(3),
        xticklabels=names,
        ylim=(0, 104),
    )
    axes.grid(axis="x", visible=False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def _network_reward(result: Reproduction) -> Figure:
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    curves = np.array([run.episode_returns for run in result.chain["as written"]]) / published.STEPS
    episodes = np.arange(1, curves.shape[1] + 1)
    axes.fill_between(
        episodes,
        curves.min(axis=0),
        curves.max(axis=0),
        color=_OURS,
        alpha=0.13,
        linewidth=0,
        label=f"{len(curves)} seeds, smallest to largest",
    )
    axes.plot(episodes, curves[0], color=_OURS, linewidth=0.5, alpha=0.75, label="one seed")
    axes.plot(episodes, curves.mean(axis=0), color=_GREY, linewidth=1.0, label="mean of the seeds")
    axes.plot(
        *_best_while_exploring(episodes[-1]),
        "--",
        color=_RIGHT,
        linewidth=1.6,
        label="exact: best policy, exploring",
    )
    axes.plot(
        [1, episodes[-1]],
        [published.FIRST_REWARD, published.LAST_REWARD],
        "D",
        color=_ARTICLE,
        markersize=7,
        clip_on=False,
        zorder=5,
        label="the article's curve, about",
    )
    _plain(
        axes,
        title="The Keras network learns the chain",
        xlabel="episode",
        ylabel="reward per step",
        xlim=(1, max(episodes[-1], 2)),
    )
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def _best_while_exploring(episodes: int) -> tuple[list[int], list[float]]:
    """Return episodes, and the exact reward a step of the best policy with their epsilon."""
    mdp = chain_mdp()
    forward = np.tile([1.0, 0.0], (mdp.num_states, 1))
    at = sorted({int(episode) for episode in np.linspace(1, episodes, min(episodes, 41))})
    rewards = []
    for episode in at:
        epsilon = published.EPSILON["initial"] * published.EPSILON["decay"] ** episode
        policy = (1 - epsilon) * forward + epsilon / 2
        rewards.append(policy_return(mdp, policy, published.STEPS) / published.STEPS)
    return at, rewards


def _network_q(result: Reproduction) -> Figure:
    figure = Figure(figsize=(8.5, 4.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    q = np.array([run.q for run in result.chain["as written"]])
    exact = value_iteration(chain_mdp(), published.GAMMA)
    states = np.arange(len(exact))
    spread = np.linspace(-0.15, 0.15, len(q))
    low, high = next_value_interval(q)
    for a, axes in enumerate(panels):
        axes.axhline(0, color=_GREY, linewidth=1, label="exact" if a == 0 else None)
        axes.bar(
            states,
            (high - low)[:, a],
            0.5,
            (low - exact)[:, a],
            color=_OURS,
            alpha=0.12,
            label="one more run, 95 %" if a == 0 else None,
        )
        for s in states:
            axes.plot(
                s + spread,
                q[:, s, a] - exact[s, a],
                "o",
                color=_OURS,
                markersize=4,
                alpha=0.7,
                markeredgewidth=0,
                label=f"ours, {len(q)} seeds" if s == a == 0 else None,
            )
        axes.plot(
            states,
            np.array(published.NETWORK_Q)[:, a] - exact[:, a],
            "D",
            color=_ARTICLE,
            markersize=7,
            markeredgecolor="white",
            label="the article" if a == 0 else None,
        )
        _plain(axes, title=_ACTIONS[a], xlabel="state", xticks=states)
    panels[0].set_ylabel("Q - Q*")
    figure.suptitle("How far the Keras network's values are from the exact ones")
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def _cartpole(result: Reproduction) -> Figure:
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    # wide below narrow and dashed, where two versions go the same way
    styles: tuple[dict[str, Any], ...] = (
        {"color": _ARTICLE, "linewidth": 3.5},
        {"color": "#E69F00", "linewidth": 1.2},
        {"color": _OURS, "linewidth": 1.2},
        {"color": _RIGHT, "linewidth": 1.8},
        {"color": "#000000", "linewidth": 1.1, "linestyle": (0, (3, 2))},
    )
    for (version, runs), style in zip(result.cartpole.items(), styles, strict=True):
        for i, run in enumerate(runs):
            lengths = run.episode_returns  # a step pays 1
            window = min(20, len(lengths))
            smooth = np.convolve(lengths, np.ones(window) / window, mode="valid")
            axes.plot(
                np.cumsum(lengths)[window - 1 :],
                smooth,
                alpha=0.85,
                label=None if i else version,
                **style,
            )
    axes.axhline(500, color=_GREY, linestyle="--", linewidth=1)
    _plain(
        axes,
        title="CartPole: length of the training's episodes, mean of 20",
        xlabel="training steps",
        ylabel="steps",
        ylim=(0, 520),
        xlim=(0, None),
    )
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure
