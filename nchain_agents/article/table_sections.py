"""What is said of the tables."""

from __future__ import annotations

from nchain_agents.article import figures
from nchain_agents.article.chance import binomial_interval, same_source
from nchain_agents.article.run import Reproduction
from nchain_agents.article.sections import Grid, Section, spread, spread_where_learned
from nchain_agents.article.tables import exact_table
from nchain_env import chain_mdp
from nchain_env.planning import optimal_return, value_iteration


def tables(result: Reproduction) -> Section:
    """The three tables."""
    played = result.tournaments["as written"]
    grids, inside, outside = [], 0, 0
    for i, (name, printed) in enumerate(figures.TABLES.items()):
        q, exact = played.q[:, i], exact_table(name)
        digits = 0 if name == "reward-sum" else 2
        rows = []
        for s, row in enumerate(printed):
            ours = [spread_where_learned(q[:, s, a], min(digits, 1)) for a in range(2)]
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
        " each state has 0 for ever: the one that first has a value keeps being chosen, so the"
        " policy is decided in the first steps. A rate of 0.8 that never falls makes a value little"
        " more than its last samples. Just after a poor one it is low, which is when the state"
        " that was reached looks at it, and when the learner that explores turns to the other"
        " action and leaves it at that. So the tables lie below the exact ones.",
        ("tables.png",),
    )


def tournament(result: Reproduction) -> Section:
    """The tournament."""
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


def put_right(result: Reproduction) -> Section:
    """The tables put right."""
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
    grids = [
        Grid(
            f"Q of the one that explores, {version}: median and middle 90 %",
            ("state", "fwd", "bwd", "exact fwd", "bwd"),
            [
                (
                    str(s),
                    *(spread(values[:, s, a]) for a in range(2)),
                    *(f"{value:.2f}" for value in exact[s]),
                )
                for s in range(len(exact))
            ],
        )
        for version, values in list(q.items())[1:]
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
            *grids,
        ),
        "Scaling the reward scales the values and changes no policy: learners that see rewards"
        " 1.25 times as large want the same. Falling rates average over the samples, and the"
        " values become exact. The greedy learner stays where it was: no rate replaces"
        " exploration.",
    )


def time_limit(result: Reproduction) -> Section:
    """What the time limit does."""
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
