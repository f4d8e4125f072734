"""The chain's rewards in the pull request that added it to gym, and those of our agents by phase.

Source: openai/gym, pull request 61, https://github.com/openai/gym/pull/61: 10,000 episodes of 200
    steps of each action. The phases of 1,000 steps are those of Dearden, Friedman & Russell 1998,
    Bayesian Q-learning (AAAI), and of Strens 2000, A Bayesian Framework for Reinforcement Learning
    (ICML), section 6.1, whose figures have not been seen at their source.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from nchain_agents.agent import Agent
from nchain_agents.deep import fast_cpu
from nchain_agents.papers.page import Page
from nchain_agents.presets import Preset, problem
from nchain_agents.quiet import import_quietly
from nchain_agents.report.markdown import markdown_page
from nchain_agents.study.pool import Pool
from nchain_env import TabularMDP, chain_mdp
from nchain_env.mdp import FloatArray
from nchain_env.planning import optimal_return, policy_return

EPISODES, STEPS = 10_000, 200  # the pull request's
PHASE, PHASES = 1_000, 8
SHOWN = (1, 2, 8)  # these phases are in the table


class Summary(NamedTuple):
    """The returns of many episodes."""

    mean: float
    deviation: float
    smallest: float
    largest: float


# by action, forward and backward
PUBLISHED = (
    Summary(721.435, 124.025121548, 338, 1238),
    Summary(320.7504, 11.2351635431, 278, 360),
)


def exact_moments(mdp: TabularMDP, policy: FloatArray, horizon: int) -> tuple[float, float]:
    """Return the mean and the standard deviation of the return of an episode that only time ends.

    With r and s' a step's reward and next state, the return G_h of h steps has the second moment
    E[G_h^2] = E[r^2 + 2 r E[G_h-1 | s'] + E[G_h-1^2 | s']].

    Args:
        mdp: The outcome table, (S, A, K). Terminal outcomes count as others.
        policy: (S,) integers, the action in each state.
        horizon: The number of steps.
    """
    at = np.arange(mdp.num_states), policy
    p, r, following = mdp.probability[at], mdp.reward[at], mdp.next_state[at]  # (S, K)
    first = second = np.zeros(mdp.num_states)
    for _ in range(horizon):
        first, second = (
            (p * (r + first[following])).sum(axis=1),
            (p * (r * r + 2 * r * first[following] + second[following])).sum(axis=1),
        )
    mean = float(mdp.initial @ first)
    return mean, float(np.sqrt(mdp.initial @ second - mean**2))


def play(action: int, episodes: int, seed: int) -> Summary:
    """Return the returns of one action, in episodes of STEPS steps from the first state."""
    envs = gym.make_vec("NChain-v0", num_envs=episodes)
    envs.reset(seed=seed)
    total = np.zeros(episodes)
    for _ in range(STEPS):
        total += envs.step(np.full(episodes, action))[1]
    envs.close()
    return Summary(
        float(total.mean()), float(total.std(ddof=1)), float(total.min()), float(total.max())
    )


def phases(agent: Preset, seed: int) -> tuple[float, ...]:
    """Return the rewards of an agent in each phase of its training, (PHASES,).

    A phase is an episode of the chain: it begins in the first state.
    """
    import_quietly(agent.requires)
    if "keras" in agent.requires:
        fast_cpu()
    kind = agent.load()
    env: gym.Env[Any, Any] = gym.make("NChain-v0")
    if issubclass(kind, Agent):
        ours = agent.make(env, seed).learn(PHASES * PHASE)
        return tuple(ours.episode_returns)
    recorder = gym.wrappers.RecordEpisodeStatistics(env, buffer_length=PHASES)
    agent.make(recorder, seed).learn(total_timesteps=PHASES * PHASE)
    return tuple(float(total) for total in recorder.return_queue)


def reproduce(
    seeds: range,
    command: str,
    *,
    quick: bool,
    pool: Pool,
    track: Callable[[str, int], Callable[[int], None]],
) -> Page:
    """Make all runs and return the page; see `Paper`.

    A quick run has only the agents that need no extra.
    """
    mdp, episodes = chain_mdp(), EPISODES // 10 if quick else EPISODES
    always = [np.full(mdp.num_states, action) for action in (0, 1)]
    exact = [exact_moments(mdp, policy, STEPS) for policy in always]
    played = [play(action, episodes, seeds[0]) for action in (0, 1)]
    agents = [
        agent
        for agent in problem("nchain").presets.values()
        if agent.installed and not (quick and agent.requires)
    ]
    calls = [partial(phases, agent, seed) for agent in agents for seed in seeds]
    found = pool.results(calls, track("phases", len(calls)))
    rewards = np.array(found).reshape(len(agents), len(seeds), PHASES)
    best = optimal_return(mdp, PHASE)
    backward = policy_return(mdp, always[1], PHASE)
    data = {
        "paper": "gym61",
        "command": command,
        "fixed_actions": [
            {
                "action": name,
                "published": one._asdict(),
                "exact_mean": mean,
                "exact_deviation": deviation,
                "played": ours._asdict(),
            }
            for name, one, (mean, deviation), ours in zip(
                ("forward", "backward"), PUBLISHED, exact, played, strict=True
            )
        ],
        "episodes": episodes,
        "seeds": list(seeds),
        "optimal": best,
        "phases": {agent.name: rewards[i].tolist() for i, agent in enumerate(agents)},
    }
    markdown = markdown_page(
        __package__,
        "gym61.md.j2",
        command=command,
        quick=quick,
        runs=len(seeds),
        episodes=episodes,
        STEPS=STEPS,
        EPISODES=EPISODES,
        SHOWN=SHOWN,
        fixed=_fixed_rows(exact, played),
        phases=[
            (agent.name, *(_with_errors(rewards[i, :, phase - 1]) for phase in SHOWN))
            for i, agent in enumerate(agents)
        ],
        levels=[
            ("exact: optimal", *[f"{best:,.0f}"] * len(SHOWN)),
            ("exact: always backward", *[f"{backward:,.0f}"] * len(SHOWN)),
        ],
    )
    return Page(data, markdown, {})


def _fixed_rows(exact: list[tuple[float, float]], played: list[Summary]) -> list[tuple[str, ...]]:
    rows = []
    for name, one, (mean, deviation), ours in zip(
        ("forward", "backward"), PUBLISHED, exact, played, strict=True
    ):
        # the published mean in standard errors of it, which are exact
        apart = (one.mean - mean) / (deviation / np.sqrt(EPISODES))
        rows += [
            (f"always {name}, published", *_numbers(one), f"{apart:+.1f}"),
            (f"always {name}, exact", f"{mean:,.3f}", f"{deviation:,.3f}", "", "", ""),
            (f"always {name}, played", *_numbers(ours), ""),
        ]
    return rows


def _numbers(one: Summary) -> tuple[str, ...]:
    return (
        f"{one.mean:,.3f}",
        f"{one.deviation:,.3f}",
        f"{one.smallest:,.0f}",
        f"{one.largest:,.0f}",
    )


def _with_errors(totals: FloatArray) -> str:
    """Return a mean with two standard errors."""
    return f"{totals.mean():,.0f} ± {2 * totals.std(ddof=1) / np.sqrt(len(totals)):,.0f}"
