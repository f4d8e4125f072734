"""Many table learners at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack

from nchain_agents.interrupts import answer, held, stopped_by
from nchain_agents.progress import training_progress
from nchain_agents.tabular.table_agent import TableAgent
from nchain_env.checks import instance, integer, whole_steps

# The main thread looks for an interrupt as often, in seconds.
_LOOK = 0.05


def learn_many(
    agents: Sequence[TableAgent],
    total_timesteps: float,
    jobs: int | None = None,
    progress_bar: bool = False,
) -> None:
    """Let each agent learn for a number of steps, on all cores.

    The compiled loop runs without Python's lock, so threads are enough. Each agent learns exactly
    what it would learn alone. Agents that step their environment work too, one at a time.

    Ctrl-C, or an error in the training of one, stops all. Each keeps what it learned, and goes on
    by `learn`.

    Args:
        agents: Different agents, each with an environment of its own.
        total_timesteps: The number of steps for each, at least 1.
        jobs: How many learn at a time; None: as many as there are cores.
        progress_bar: Show how many steps are done, and the last return.

    Raises:
        ValueError: A parameter is outside its range, or agents share an environment.
        KeyboardInterrupt: It was interrupted.
    """
    steps = whole_steps("total_timesteps", total_timesteps)
    for agent in instance("agents", agents, Sequence, "a list of table learners"):
        instance("agents", agent, TableAgent, "table learners")
    workers = (os.cpu_count() or 1) if jobs is None else integer("jobs", jobs, 1)
    if len({id(agent.env.unwrapped) for agent in agents}) < len(agents):
        raise ValueError("agents must be different and have an environment each")
    stop = threading.Event()

    def learn(agent: TableAgent) -> None:
        with stopped_by(stop):
            if not stop.is_set():
                agent.learn(steps)

    with (
        held(),  # raised while a thread is started, it would leave one that nobody waits for
        training_progress(steps * len(agents), progress_bar) as show,
        ThreadPoolExecutor(workers) as pool,
        ExitStack() as end,
    ):
        end.callback(stop.set)  # before the pool waits for those that still learn
        futures = [pool.submit(learn, agent) for agent in agents]
        for done, (agent, future) in enumerate(zip(agents, futures, strict=True), start=1):
            while wait([future], timeout=_LOOK).not_done:
                answer()
            future.result()
            last = agent.episode_returns[-1] if agent.episode_returns else float("nan")
            show(done * steps, last)
