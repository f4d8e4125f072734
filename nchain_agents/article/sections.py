"""What is said of each experiment: tables and sentences, the same in the terminal and the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from nchain_agents.article import figures, networks
from nchain_agents.article.chance import binomial_interval, next_value_interval, same_source
from nchain_agents.article.run import Reproduction
from nchain_agents.article.tables import exact_table
from nchain_env import chain_mdp
from nchain_env.mdp import FloatArray
from nchain_env.planning import optimal_return, value_iteration

FIRST, LAST = 10, 50  # so many episodes are averaged at the beginning and the end of a curve


@dataclass(frozen=True)
class Grid:
    """A table."""

    caption: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Section:
    """One experiment: what the article did, what came of it, and what to make of it."""

    title: str
    before: str
    grids: tuple[Grid, ...]
    after: str
    pictures: tuple[str, ...] = ()


def sections(result: Reproduction) -> list[Section]:
    """Return what is said of each experiment."""
    said = [_tables(result), _tournament(result), _put_right(result), _time_limit(result)]
    if result.backend is not None:
        said += [_network(result), _cartpole(result), _grid_world(result)]
    return said


def _tables(result: Reproduction) -> Section:
    played = result.tournaments["as written"]
    grids, inside, outside = [], 0, 0
    for i, (name, printed) in enumerate(figures.TABLES.items()):
        q, exact = played.q[:, i], exact_table(name)
        digits = 0 if name == "reward-sum" else 2
        rows = []
        for s, row in enumerate(printed):
            ours = [_spread_where_learned(q[:, s, a], digits) for a in range(2)]
            for a in range(2):
                learned = q[:, s, a][q[:, s, a] != 0]
                if row[a] and len(learned):
                    within = learned.min() <= row[a] <= learned.max()
                    inside, outside = inside + bool(within), outside + (not within)
            rows.append(
                (
                    str(s),
                    *(f"{value:,.{digits}f}" for value in row),
                    *ours,
                    *(f"{value:,.{digits}f}" for value in exact[s]),
                )
            )
        header = ("state", "article fwd", "bwd", "ours fwd", "bwd", "exact fwd", "bwd")
        grids.append(Grid(name, header, rows))
    return Section(
        "Three tables",
        f"Each learner has {figures.EPISODES} episodes of {figures.STEPS:,} steps and fills a table"
        " of five states and two actions. reward-sum adds up the rewards. The other two learn by"
        f" Q-learning with gamma {figures.GAMMA} and the constant rate {figures.LEARNING_RATE}, one"
        f" greedily, one with epsilon {figures.EPSILON['initial']}, multiplied by"
        f" {figures.EPSILON['decay']} for each episode. Where a row sums to 0, all act at random."
        " The code adds the whole reward, where the printed rule takes the rate's share of it: its"
        f" values are {1 / figures.LEARNING_RATE:g} times those of the rule. Ours: the median (and"
        " the middle 90 %) of the tables of the tournament in which the value is not 0, and, where"
        " those are not all, their number. Exact: the table without chance, of the policy that the"
        " article's table shows for the first two, of the optimal one for the third, on the"
        " code's scale.",
        tuple(grids),
        f"Of the {inside + outside} printed values that are not 0, {inside} lie between the least"
        f" and the largest of our {len(played.q)} tables. In the first two tables one action of"
        " each state has 0 for ever: the one that pays first keeps being chosen, so what the"
        " policy becomes is decided in the first steps. A rate of 0.8 that never falls makes a"
        " value little more than its last sample. An action whose last sample was poor is left"
        " alone, with that sample for its value, so the tables lie far below the exact one.",
        ("tables.png",),
    )


def _tournament(result: Reproduction) -> Section:
    played = result.tournaments["as written"]
    rounds, wins = len(played.q), played.wins
    p = same_source(wins, figures.WINS)
    rows = []
    for i, name in enumerate(played.names):
        low, high = binomial_interval(wins[i], rounds)
        rows.append(
            (
                name,
                str(figures.WINS[i]),
                f"{wins[i]}",
                f"{100 * low:.0f} to {100 * high:.0f} %",
                f"{played.returns[:, i].mean():,.0f}",
                f"{played.forward[i]}",
            )
        )
    agree = "agree: both may be samples" if p >= 0.05 else "do not agree as samples"
    return Section(
        "The tournament",
        f"{figures.ROUNDS} times the three are trained afresh and play one greedy game each; the"
        f" largest total reward wins. Ours has {rounds} rounds.",
        (
            Grid(
                f"Wins of {rounds} rounds; expected return of the policies, exactly; how many are"
                " optimal",
                ("learner", "article wins", "ours", "95 % interval", "return", "optimal"),
                rows,
            ),
        ),
        f"The article's wins {list(figures.WINS)} and ours {list(wins)} {agree} of the same odds"
        f" (exact test, p = {p:.2g}). Even the winner's policy earns little beside the best"
        f" possible {optimal_return(chain_mdp(), figures.STEPS):,.0f}.",
        ("tournament.png",),
    )


def _put_right(result: Reproduction) -> Section:
    rows = []
    for version, played in result.tournaments.items():
        rounds = len(played.q)
        rows.append(
            (
                version,
                ", ".join(map(str, played.wins)),
                f"{played.forward[2]} of {rounds}",
                f"{played.returns[:, 2].mean():,.0f}",
            )
        )
    exact = value_iteration(chain_mdp(), figures.GAMMA)
    q = {version: played.q[:, 2] for version, played in result.tournaments.items()}
    values = [
        (
            str(s),
            *(_spread(q[version][:, s, a]) for version in list(q)[1:] for a in range(2)),
            *(f"{value:.2f}" for value in exact[s]),
        )
        for s in range(len(exact))
    ]
    return Section(
        "The tables put right",
        "First the reward is scaled as the rule says. Then the rate is 1 / N^0.6 at the N-th visit"
        " of a state and action, so that it falls, and the sum of all rates is still infinite.",
        (
            Grid(
                "Wins of the three learners; optimal policies and mean exact return of the one"
                " that explores",
                ("version", "wins", "optimal", "return"),
                rows,
            ),
            Grid(
                "Q of the one that explores: median and middle 90 %",
                ("state", "scaled fwd", "bwd", "visits fwd", "bwd", "exact fwd", "bwd"),
                values,
            ),
        ),
        "Scaling the reward scales the values and changes no policy: learners that see rewards"
        " 1.25 times as large want the same. Falling rates average over the samples, and the"
        " values become exact. The greedy learner stays where it was: no rate replaces"
        " exploration.",
    )


def _time_limit(result: Reproduction) -> Section:
    limit = result.time_limit
    lost = (limit.end - limit.cut).mean(axis=0)
    exact = limit.exact_end - limit.exact_cut
    rows = [
        (
            str(s),
            *(f"{value:.2f}" for value in limit.exact_cut[s]),
            *(f"{value:.2f}" for value in lost[s]),
            *(f"{value:.2f}" for value in exact[s]),
        )
        for s in range(len(lost))
    ]
    return Section(
        "The time limit",
        "The chain never ends; after 1,000 steps an episode is only cut off. The article's code"
        " goes on counting what would have followed, which is right here. A learner that takes"
        " the cut for an end loses some of each value. Both learn with falling rates, from the"
        " same random numbers.",
        (
            Grid(
                "What taking the cut for an end costs, and what it would cost without chance if"
                " each step in a thousand were the last",
                ("state", "Q* fwd", "bwd", "cost fwd", "bwd", "exact fwd", "bwd"),
                rows,
            ),
        ),
        "The same line of code is wrong where episodes do end, as on CartPole below.",
    )


def _network(result: Reproduction) -> Section:
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
                f"{q[:, s, a].mean():.2f} ({q[:, s, a].min():.2f} to {q[:, s, a].max():.2f})"
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


def _cartpole(result: Reproduction) -> Section:
    rows = [
        (
            version,
            f"{runs[0].steps:,}",
            _over(runs, lambda run: run.episode_returns[-20:].mean(), 0),
            _over(runs, lambda run: run.result, 0),
            _over(runs, lambda run: run.q.max(), 1),
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
        " sees what it did not try. The time limit of 500 steps is a cut, as on the chain; it can"
        " matter only once episodes last that long.",
        ("cartpole.png",),
    )


def _grid_world(result: Reproduction) -> Section:
    rows = [
        (
            version,
            _over(runs, lambda run: run.steps, 0),
            f"{sum(run.result == networks.SHORTEST for run in runs)} of {len(runs)}",
            _over(runs, lambda run: run.q[0].max(), 3),
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


def _spread_where_learned(values: FloatArray, digits: int) -> str:
    learned = values[values != 0]
    if not len(learned):
        return "0"
    number = "" if len(learned) == len(values) else f", {len(learned)}"
    return _spread(learned, digits) + number


def _spread(values: FloatArray, digits: int = 2) -> str:
    low, middle, high = (f"{x:,.{digits}f}" for x in np.percentile(values, (5, 50, 95)))
    return f"{middle} ({low} to {high})"


def _over(
    runs: Sequence[networks.Run], measure: Callable[[networks.Run], float], digits: int
) -> str:
    values = sorted(float(measure(run)) for run in runs)
    texts = [_number(value, digits) for value in (median(values), values[0], values[-1])]
    return texts[0] if texts[1] == texts[2] else f"{texts[0]} ({texts[1]} to {texts[2]})"


def _number(value: float, digits: int) -> str:
    return f"{value:.2g}" if abs(value) >= 1e6 else f"{value:,.{digits}f}"
