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


def _finish(figure: Figure, ncols: int, **settings: Any) -> Figure:
    """Set all axes of a figure, and write the first one's legend below."""
    for axes in figure.axes:
        axes.set(**settings)
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=ncols, frameon=False)
    return figure


def _figure(title: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(subplot_kw={"title": title})


def _panels(title: str, ylabel: str) -> tuple[Figure, list[Axes]]:
    """Return a figure with a panel for each action."""
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    panels = list(figure.subplots(1, 2, sharey=True))
    for axes, action in zip(panels, ("forward", "backward"), strict=True):
        axes.set_title(action)
    panels[0].set_ylabel(ylabel)
    figure.suptitle(title)
    return figure, panels


def _dots(axes: Axes, x: Any, y: Any, colour: str, label: str) -> None:
    """Draw a dot for each of many values."""
    style: dict[str, Any] = {"markersize": 3, "alpha": 0.5, "markeredgewidth": 0}
    axes.plot(np.ravel(x), np.ravel(y), "o", color=colour, label=label, **style)


def _published(axes: Axes, x: Any, y: Any, label: str) -> None:
    """Draw what the article prints."""
    style: dict[str, Any] = {"color": _ARTICLE, "markersize": 7, "markeredgecolor": "white"}
    axes.plot(x, y, "D", label=label, clip_on=False, zorder=5, **style)


def _tables(result: Reproduction) -> Figure:
    name, scale = "epsilon-greedy-q", 1 / published.LEARNING_RATE
    figure, panels = _panels(f"Tables of {name}", "Q, on the scale of the article's code")
    versions = (("as written", 1.0, _OURS, -0.22), ("visit-count rates", scale, _RIGHT, 0.22))
    printed, exact = np.array(published.TABLES[name]), exact_table(name)
    states = np.arange(len(printed))
    for a, axes in enumerate(panels):
        for version, factor, colour, shift in versions:
            q = result.tournaments[version].q[:, 2, :, a] * factor
            jitter = np.random.default_rng(0).uniform(-0.1, 0.1, q.shape)
            _dots(axes, states + shift + jitter, q, colour, f"{version}, {len(q)} tables")
        axes.hlines(exact[:, a], states - 0.4, states + 0.4, _GREY, label="exact")
        _published(axes, states - 0.22, printed[:, a], "the article's table")
    return _finish(figure, 4, xlabel="state", xticks=states, ylim=(0, None))


def _tournament(result: Reproduction) -> Figure:
    figure, axes = _figure("Wins in the tournament, with 95 % intervals", (7.5, 4.4))
    played: list[tuple[str, tuple[int, ...], int]] = [
        ("the article", published.WINS, published.ROUNDS)
    ]
    played += [(f"ours, {v}", t.wins, len(t.q)) for v, t in result.tournaments.items()]
    width = 0.2
    for i, (label, wins, rounds) in enumerate(played):
        at = np.arange(3) + (i - 1.5) * width
        shares = 100 * np.array(wins) / rounds
        limits = 100 * np.array([binomial_interval(count, rounds) for count in wins]).T
        axes.bar(at, shares, width * 0.92, color=(_ARTICLE, _OURS, _SKY, _RIGHT)[i], label=label)
        reach = np.abs(limits - shares)
        axes.errorbar(at, shares, reach, fmt="none", ecolor=_GREY, elinewidth=1, capsize=2.5)
    axes.set_xticks(range(3), list(published.TABLES))
    return _finish(figure, 2, ylabel="rounds won, %", ylim=(0, 104))


def _network_reward(result: Reproduction) -> Figure:
    figure, axes = _figure("The Keras network learns the chain", (8, 4.6))
    curves = np.array([run.episode_returns for run in result.chain["as written"]]) / published.STEPS
    episodes = np.arange(1, curves.shape[1] + 1)
    smallest, largest = curves.min(axis=0), curves.max(axis=0)
    label = f"{len(curves)} seeds, smallest to largest"
    axes.fill_between(
        episodes, smallest, largest, color=_OURS, alpha=0.13, linewidth=0, label=label
    )
    axes.plot(episodes, curves[0], color=_OURS, linewidth=0.5, alpha=0.75, label="one seed")
    axes.plot(episodes, curves.mean(axis=0), color=_GREY, linewidth=1.0, label="mean of the seeds")
    best, label = _best_while_exploring(episodes[-1]), "exact: best policy, exploring"
    axes.plot(*best, "--", color=_RIGHT, linewidth=1.6, label=label)
    ends = [published.FIRST_REWARD, published.LAST_REWARD]
    _published(axes, [1, episodes[-1]], ends, "the article's curve, about")
    limits = (1, max(episodes[-1], 2))
    return _finish(figure, 3, xlabel="episode", ylabel="reward per step", xlim=limits)


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
    title = "How far the Keras network's values are from the exact ones"
    figure, panels = _panels(title, "Q - Q*")
    q = np.array([run.q for run in result.chain["as written"]])
    exact = value_iteration(chain_mdp(), published.GAMMA)
    states = np.arange(len(exact))
    spread = np.linspace(-0.15, 0.15, len(q))[:, None]
    low, high = next_value_interval(q)
    style: dict[str, Any] = {"color": _OURS, "alpha": 0.12, "label": "one more run, 95 %"}
    for a, axes in enumerate(panels):
        axes.axhline(0, color=_GREY, linewidth=1, label="exact")
        axes.bar(states, (high - low)[:, a], 0.5, (low - exact)[:, a], **style)
        _dots(axes, states + spread, (q - exact)[:, :, a], _OURS, f"ours, {len(q)} seeds")
        _published(axes, states, (published.NETWORK_Q - exact)[:, a], "the article")
    return _finish(figure, 4, xlabel="state", xticks=states)


def _cartpole(result: Reproduction) -> Figure:
    title = "CartPole: length of the training's episodes, mean of 20"
    figure, axes = _figure(title, (8, 4.6))
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
            steps, label = np.cumsum(lengths)[window - 1 :], None if i else version
            axes.plot(steps, smooth, alpha=0.85, label=label, **style)
    axes.axhline(500, color=_GREY, linestyle="--", linewidth=1)
    labels = {"xlabel": "training steps", "ylabel": "steps"}
    return _finish(figure, 2, **labels, xlim=(0, None), ylim=(0, 520))
