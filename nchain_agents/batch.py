"""`learn_many`: many agents learn at the same time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack

from nchain_agents.agent import Agent
from nchain_agents.interrupts import answer, held, stopped_by
from nchain_agents.progress import training_progress
from nchain_agents.tabular.table_agent import TableAgent
from nchain_env.checks import instance, integer, whole_steps

# The main thread checks for an interrupt every so many seconds.
_INTERVAL = 0.05


def learn_many(
    agents: Sequence[Agent],
    total_timesteps: float,
    jobs: int | None = None,
    progress_bar: bool = False,
) -> None:
    """Let each agent learn for a number of steps, all at the same time.

    Table learners learn on all cores: the compiled loop runs without Python's lock, so threads are
    enough. Each learns exactly what it would learn alone. Those that step their environment work
    too, one at a time.

    `KerasDQN` agents learn on JAX (`KERAS_BACKEND=jax`), vectorised over the agents with
    `jax.vmap`. They may differ only in their seeds and in the contents of their environments'
    tables, which must be known (see `TableAgent`), or have equal functional environments. Each
    learns what it would learn alone, up to rounding.

    Ctrl-C, or an error in the training of one, stops all. Each keeps what it learned, and goes on
    by `learn`.

    Args:
        agents: Different agents, each with an environment of its own.
        total_timesteps: The number of steps for each, at least 1.
        jobs: How many table learners learn at a time; None: as many as there are cores.
        progress_bar: Show how many steps are done, and the last return.

    Raises:
        ValueError: A parameter is outside its range, agents share an environment, or networks
            cannot learn together.
        KeyboardInterrupt: It was interrupted.
    """
    steps = whole_steps("total_timesteps", total_timesteps)
    instance("agents", agents, Sequence, "a list of agents")
    tables = all(isinstance(agent, TableAgent) for agent in agents)
    if not tables:
        from nchain_agents.deep.keras_dqn import KerasDQN, learn_together

        for agent in agents:
            instance("agents", agent, (TableAgent, KerasDQN), "table learners or KerasDQN agents")
        networks = [agent for agent in agents if isinstance(agent, KerasDQN)]
        if len(networks) < len(agents):
            raise ValueError("agents must be all table learners, or all KerasDQN agents")
    workers = (os.cpu_count() or 1) if jobs is None else integer("jobs", jobs, 1)
    if len({id(agent.env.unwrapped) for agent in agents}) < len(agents):
        raise ValueError("agents must be different and have an environment each")
    # an interrupt that is raised while a thread is started would leave that thread running
    with held(), training_progress(steps * len(agents), progress_bar) as show:
        if tables:
            _learn_in_threads(agents, steps, workers, show)
        else:
            learn_together(networks, steps, show)


def _learn_in_threads(
    agents: Sequence[Agent], steps: int, workers: int, show: Callable[[int, float], None]
) -> None:
    stop = threading.Event()

    def learn(agent: Agent) -> None:
        with stopped_by(stop):
            if not stop.is_set():
                agent.learn(steps)

    with ThreadPoolExecutor(workers) as pool, ExitStack() as end:
        end.callback(stop.set)  # before the pool waits for its threads
        futures = [pool.submit(learn, agent) for agent in agents]
        for done, (agent, future) in enumerate(zip(agents, futures, strict=True), start=1):
            while wait([future], timeout=_INTERVAL).not_done:
                answer()
            future.result()
            last = agent.episode_returns[-1] if agent.episode_returns else float("nan")
            show(done * steps, last)
