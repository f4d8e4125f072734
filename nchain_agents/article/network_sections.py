"""What is said of the networks."""

from __future__ import annotations

from statistics import median

import numpy as np

from nchain_agents.article import figures, networks
from nchain_agents.article.chance import next_value_interval
from nchain_agents.article.run import Reproduction
from nchain_agents.article.sections import Grid, Section, over
from nchain_env import chain_mdp
from nchain_env.mdp import FloatArray
from nchain_env.planning import value_iteration

FIRST, LAST = 10, 50  # so many episodes are averaged at the beginning and the end of a curve


def network(result: Reproduction) -> Section:
    """The tutorial's network."""
    runs = result.chain["as written"]
    q = np.array([run.q for run in runs])
    printed = np.array(figures.NETWORK_Q)
    exact = value_iteration(chain_mdp(), figures.GAMMA)
    low, high = next_value_interval(q)
    inside = int(((low <= printed) & (printed <= high)).sum())
    within = int(((q.min(axis=0) <= printed) & (printed <= q.max(axis=0))).sum())
    rows = [
        (
            str(s),
            *(f"{value:.2f}" for value in printed[s]),
            *(
                f"{q[:, s, a].mean():.1f} ({q[:, s, a].min():.1f} to {q[:, s, a].max():.1f})"
                for a in range(2)
            ),
            *(f"{value:.2f}" for value in exact[s]),
        )
        for s in range(len(exact))
    ]
    curves = np.array([run.episode_returns for run in runs]) / figures.STEPS
    start, end = curves[:, :FIRST].mean(axis=1), curves[:, -LAST:].mean(axis=1)
    return Section(
        "The Keras network",
        "One-hot states, ten sigmoid units, two linear outputs, mean squared error and Keras's"
        f" Adam; one fit on each step's transition, for {figures.NETWORK_EPISODES:,} episodes of"
        f" {figures.STEPS:,} steps. Keras's own initial weights, and no clipping of gradients: with"
        " gradients clipped to a norm of 10 the rare large rewards count no more than the frequent"
        f" small ones, and the network learns to go backward. Ours: {len(runs)} seeds of"
        f" {result.scale.network_episodes:,} episodes.",
        (
            Grid(
                "Q of each state: mean (least to largest) of the seeds",
                ("state", "article fwd", "bwd", "ours fwd", "bwd", "exact fwd", "bwd"),
                rows,
            ),
            Grid(
                "The same put right: median over the seeds",
                ("version", "steps", "optimal policies", "expected return"),
                [
                    (
                        version,
                        f"{trained[0].steps:,}",
                        f"{_optimal(runs_q)} of {len(trained)}",
                        f"{median(run.result for run in trained):,.1f}",
                    )
                    for version, trained in result.chain.items()
                    for runs_q in [np.array([run.q for run in trained])]
                ],
            ),
        ),
        f"Of the {printed.size} values that the article prints, {within} lie between our seeds'"
        f" least and largest, and {inside} where one more run would lie with 95 % probability. The"
        f" reward a step is {start.mean():.2f} ({start.min():.2f} to {start.max():.2f}) in the"
        " first"
        f" {FIRST} episodes and {end.mean():.2f} ({end.min():.2f} to {end.max():.2f}) in the last"
        f" {LAST}; the article's curve goes from about {figures.FIRST_REWARD} to about"
        f" {figures.LAST_REWARD}. The network finds the best policy; a replay buffer and a target"
        " network find it in a fiftieth of the steps.",
        ("network_reward.png", "network_q.png"),
    )


def cartpole(result: Reproduction) -> Section:
    """The network on CartPole."""
    rows = [
        (
            version,
            f"{runs[0].steps:,}",
            over(runs, lambda run: run.episode_returns[-20:].mean(), 0),
            over(runs, lambda run: run.result, 0),
            over(runs, lambda run: run.q.max(), 1),
        )
        for version, runs in result.cartpole.items()
    ]
    return Section(
        "The network in TensorFlow, on CartPole",
        "A state of four numbers, two actions, two layers of 32 units, Adam, mean squared error;"
        " one step along the gradient for each transition, towards the reward and gamma times the"
        " best following value, always. It never explores. The article names neither figures nor"
        " the discount (here 0.99); an episode of CartPole-v1 pays at most 500, and no true value"
        " exceeds 100. Each line puts one more thing right, the last one wrong again.",
        (
            Grid(
                f"Median (least to largest) of {len(next(iter(result.cartpole.values())))} seeds",
                (
                    "version",
                    "steps",
                    "last 20 episodes",
                    f"{networks.GAMES} greedy games",
                    "Q at rest",
                ),
                rows,
            ),
        ),
        "As written, a fallen pole is worth as much as what the network imagines after it, so the"
        " values grow without bound and nothing is learned. Without exploration the learner never"
        " sees what it did not try. With exploration alone, how far it comes differs from seed to"
        " seed. The time limit of 500 steps is a cut, as on the chain; what it is taken for can"
        " matter only once episodes last that long.",
        ("cartpole.png",),
    )


def grid_world(result: Reproduction) -> Section:
    """The grid world."""
    rows = [
        (
            version,
            over(runs, lambda run: run.steps, 0),
            f"{sum(run.result == networks.SHORTEST for run in runs)} of {len(runs)}",
            over(runs, lambda run: run.q[0].max(), 3),
        )
        for version, runs in result.grid_world.items()
    ]
    best = figures.GAMMA ** (networks.SHORTEST - 1)
    return Section(
        "The grid world",
        "A start, a goal, obstacles and four moves: FrozenLake-v1 without slipping, where a"
        f" shortest path takes {networks.SHORTEST} steps and the start is worth"
        f" {figures.GAMMA}^{networks.SHORTEST - 1} = {best:.3f}. The article gives an outline and"
        " no figures: a table that begins with random values, then a network in its place, trained"
        " by the same rule.",
        (
            Grid(
                f"Median (least to largest) of {len(next(iter(result.grid_world.values())))} seeds",
                ("version", "steps", "shortest path found", "value of the start"),
                rows,
            ),
        ),
        "The table stops when it no longer changes. The network that learns from one transition at"
        " a time finds the path with values that are still off; replay and a target network make"
        " them exact.",
    )


def _optimal(q: FloatArray) -> int:
    return int((q.argmax(axis=-1) == 0).all(axis=-1).sum())
