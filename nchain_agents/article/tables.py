"""The tutorial's three table learners and their tournament, and the same corrected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import gymnasium as gym
import numpy as np

from nchain_agents.article import published
from nchain_agents.article.learners import TutorialQLearning
from nchain_agents.article.wrappers import TruncationAsTermination
from nchain_agents.batch import learn_many
from nchain_agents.tabular.q_learning import QLearning
from nchain_agents.tabular.reward_sum import RewardSum
from nchain_agents.tabular.table_agent import TableAgent
from nchain_agents.tabular.temporal_difference import TemporalDifferenceAgent
from nchain_env import chain_mdp
from nchain_env.mdp import FloatArray, IntArray
from nchain_env.planning import evaluate_policy, policy_return, value_iteration

Maker = Callable[..., TableAgent]
Advance = Callable[[int], None]


def _three(learner: type[TemporalDifferenceAgent], **settings: float) -> dict[str, Maker]:
    make = partial(learner, "NChain-v0", gamma=published.GAMMA, **settings)  # type: ignore[arg-type]
    makers: tuple[Maker, ...] = (
        partial(RewardSum, "NChain-v0"),
        partial(make, epsilon=0.0),
        partial(make, epsilon=published.EPSILON),
    )
    return dict(zip(published.TABLES, makers, strict=True))


# The learners by name, as the tutorial has them and corrected. The printed rule scales the reward
# by the learning rate, which the tutorial's code does not.
VERSIONS: dict[str, dict[str, Maker]] = {
    "as written": _three(TutorialQLearning, learning_rate=published.LEARNING_RATE),
    "scaled reward": _three(QLearning, learning_rate=published.LEARNING_RATE),
    "visit-count rates": _three(QLearning, learning_rate=1.0, visit_power=0.6),
}


@dataclass(frozen=True)
class Tournament:
    """R rounds in which L learners were trained anew and played one greedy game each."""

    names: tuple[str, ...]  # (L,)
    q: FloatArray  # (R, L, S, A)
    rewards: FloatArray  # (R, L) the total reward of each game
    returns: FloatArray  # (R, L) the exact expected return of each greedy policy

    @property
    def wins(self) -> tuple[int, ...]:
        """How many rounds each learner won; among equals the first wins, as in the tutorial."""
        winners = self.rewards.argmax(axis=1)
        return tuple(np.bincount(winners, minlength=len(self.names)).tolist())

    @property
    def forward(self) -> tuple[int, ...]:
        """In how many rounds each learner's policy was the optimal one, forward everywhere."""
        return tuple((self.q.argmax(axis=-1) == 0).all(axis=-1).sum(axis=0).tolist())


def tournament(
    makers: dict[str, Maker],
    rounds: int,
    episodes: int = published.EPISODES,
    seed: int = 0,
    jobs: int | None = None,
    advance: Advance = lambda rounds: None,
) -> Tournament:
    """Train the learners anew in each round, `jobs` at a time, and let each play one greedy game.

    `advance` is called with the number of rounds done since the last call.
    """
    seeds = np.random.SeedSequence(seed).generate_state(rounds * len(makers) + 1).tolist()
    game_seed = seeds.pop()
    agents = [
        make(seed=seeds[round_ * len(makers) + i])
        for round_ in range(rounds)
        for i, make in enumerate(makers.values())
    ]
    batch = 5 * len(makers)
    for start in range(0, len(agents), batch):
        part = agents[start : start + batch]
        learn_many(part, episodes * published.STEPS, jobs)
        advance(len(part) // len(makers))
    q = np.array([agent.q for agent in agents])
    policies = q.argmax(axis=-1)
    shape = (rounds, len(makers))
    return Tournament(
        tuple(makers),
        q.reshape(*shape, *q.shape[1:]),
        play(policies, game_seed).reshape(shape),
        exact_returns(policies).reshape(shape),
    )


def play(policies: IntArray, seed: int) -> FloatArray:
    """Return the total reward, (N,), of one game of each policy, (N, S)."""
    games = np.arange(len(policies))
    envs = gym.make_vec("NChain-v0", num_envs=len(policies))
    states, _ = envs.reset(seed=seed)
    total = np.zeros(len(policies))
    for _ in range(published.STEPS):
        states, rewards, _, _, _ = envs.step(policies[games, states])
        total += rewards
    envs.close()
    return total


def exact_returns(policies: IntArray) -> FloatArray:
    """Return the expected return, (N,), of one episode of each policy, (N, S), exactly."""
    mdp = chain_mdp()
    few, which = np.unique(policies, axis=0, return_inverse=True)
    returns = np.array([policy_return(mdp, policy, published.STEPS) for policy in few])
    return returns[which.reshape(-1)]


def exact_table(name: str) -> FloatArray:
    """Return what one of the printed tables would be without chance, (S, A).

    The learner without lookahead sums the expected rewards of the policy that was printed; the
    greedy one has the values of that policy; the one that explores has the optimal values. The
    latter two are 1 / learning_rate times as large by the tutorial's update.
    """
    mdp, printed = chain_mdp(), np.array(published.TABLES[name])
    policy, states = printed.argmax(axis=-1), np.arange(len(printed))
    table = np.zeros_like(printed)
    rewards = (mdp.probability * mdp.reward).sum(axis=-1)
    if name == "reward-sum":
        moves = np.zeros((mdp.num_states, mdp.num_states))
        for k in range(mdp.next_state.shape[2]):
            np.add.at(
                moves,
                (states, mdp.next_state[states, policy, k]),
                mdp.probability[states, policy, k],
            )
        visits, distribution = np.zeros(mdp.num_states), mdp.initial
        for _ in range(published.STEPS):
            visits, distribution = visits + distribution, distribution @ moves
        table[states, policy] = published.EPISODES * visits * rewards[states, policy]
    elif name == "greedy-q":
        table[states, policy] = (
            evaluate_policy(mdp, policy, published.GAMMA) / published.LEARNING_RATE
        )
    else:
        table = value_iteration(mdp, published.GAMMA) / published.LEARNING_RATE
    return table


@dataclass(frozen=True)
class TruncationTables:
    """R pairs of tables learned with and without bootstrapping at the time limit."""

    bootstrapped: FloatArray  # (R, S, A)
    terminated: FloatArray  # (R, S, A) learned as if truncated steps were terminal
    exact_bootstrapped: FloatArray  # (S, A) the optimal values
    exact_terminated: FloatArray  # (S, A) the same if a step in a thousand were the last


def truncation(
    rounds: int,
    episodes: int = published.EPISODES,
    seed: int = 0,
    advance: Advance = lambda rounds: None,
) -> TruncationTables:
    """Learn with visit-count rates, with and without bootstrapping at the time limit."""
    seeds: Sequence[int] = np.random.SeedSequence([seed, 1]).generate_state(rounds).tolist()
    make = partial(
        QLearning,
        gamma=published.GAMMA,
        learning_rate=1.0,
        visit_power=0.6,
        epsilon=published.EPSILON,
    )
    bootstrapped: list[FloatArray] = []
    terminated: list[FloatArray] = []
    for agent_seed in seeds:
        # the same random numbers for both
        agent = make("NChain-v0", seed=agent_seed)
        bootstrapped.append(agent.learn(episodes * published.STEPS).q)
        agent = make(TruncationAsTermination(gym.make("NChain-v0")), seed=agent_seed)
        terminated.append(agent.learn(episodes * published.STEPS).q)
        advance(1)
    mdp, survival = chain_mdp(), 1 - 1 / published.STEPS
    return TruncationTables(
        np.array(bootstrapped),
        np.array(terminated),
        value_iteration(mdp, published.GAMMA),
        value_iteration(mdp, published.GAMMA * survival),
    )
