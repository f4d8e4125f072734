"""Many table learners at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from nchain_agents.progress import training_progress
from nchain_agents.tabular.table_agent import TableAgent
from nchain_env.checks import count, instance, integer


def learn_many(
    agents: Sequence[TableAgent],
    total_timesteps: int,
    jobs: int | None = None,
    progress_bar: bool = False,
) -> None:
    """Let each agent learn for a number of steps, on all cores.

    The compiled loop runs without Python's lock, so threads are enough. Each agent learns exactly
    what it would learn alone. Agents that step their environment work too, one at a time.

    Args:
        agents: Different agents, each with an environment of its own.
        total_timesteps: The number of steps for each, at least 1.
        jobs: How many learn at a time; None: as many as there are cores.
        progress_bar: Show how many steps are done, and the last return.

    Raises:
        ValueError: A parameter is outside its range, or agents share an environment.
    """
    count("total_timesteps", total_timesteps)
    for agent in instance("agents", agents, Sequence, "a list of table learners"):
        instance("agents", agent, TableAgent, "table learners")
    workers = (os.cpu_count() or 1) if jobs is None else integer("jobs", jobs, 1)
    if len({id(agent.env.unwrapped) for agent in agents}) < len(agents):
        raise ValueError("agents must be different and have an environment each")
    with (
        ThreadPoolExecutor(workers) as pool,
        training_progress(total_timesteps * len(agents), progress_bar) as show,
    ):
        for done, agent in enumerate(
            pool.map(lambda agent: agent.learn(total_timesteps), agents), start=1
        ):
            last = agent.episode_returns[-1] if agent.episode_returns else float("nan")
            show(done * total_timesteps, last)
