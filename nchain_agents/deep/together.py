"""KerasDQN agents that learn at the same time, vectorised over them by JAX."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from nchain_agents.deep.compiled import draw
from nchain_agents.interrupts import Pace, answer, held, requested
from nchain_env.checks import whole_steps

if TYPE_CHECKING:
    from nchain_agents.deep.keras_dqn import KerasDQN


def learn_together(agents: Sequence[KerasDQN], total_timesteps: float) -> None:
    """Let agents that differ in nothing but their seeds learn at the same time, on JAX.

    Each learns what it would learn by itself with `learn`, up to rounding; the work is vectorised
    over the agents (`jax.vmap`). Ctrl-C stops all after the same number of steps.

    Args:
        agents: KerasDQN agents with the same hyperparameters, that have taken the same number of
            steps, on environments with outcome tables of the same shape.
        total_timesteps: The number of environment steps of each, at least 1.

    Raises:
        ValueError: An agent cannot be compiled, or the agents differ.
    """
    steps = whole_steps("total_timesteps", total_timesteps)
    if not agents or len({id(agent.env.unwrapped) for agent in agents}) < len(agents):
        raise ValueError("agents must be at least one, and have an environment each")
    if len({_kind(agent) for agent in agents}) > 1:
        raise ValueError("agents must have the same hyperparameters, networks and numbers of steps")
    if keras.backend.backend() != "jax":
        raise ValueError("KERAS_BACKEND must be 'jax' for agents to learn together")
    with held():
        _learn(agents, steps)


def _learn(agents: Sequence[KerasDQN], steps: int) -> None:
    for agent in agents:
        agent._begin()
    programs = [agent._compiled_program(True) for agent in agents]
    if len({program.table.next_state.shape for program in programs}) > 1:
        raise ValueError("agents must have environments with tables of the same shape")
    chunk = programs[0].chunk
    tables = _stack([program.table for program in programs])
    carries = _stack([program.begin(chunk) for program in programs])
    end = agents[0].num_timesteps + steps
    for agent in agents:
        agent._end = end
    pace = Pace(100)
    while agents[0].num_timesteps < end:
        start = time.perf_counter()
        count = min(chunk, pace.steps, end - agents[0].num_timesteps)
        plan, numbers = draw(programs, count, chunk)
        carries = programs[0].run_together(carries, tables, _stack(numbers), plan)
        noted = jax.tree.map(np.asarray, carries._replace(state=None, rows=None))
        for i, program in enumerate(programs):
            program.take_note(_part(noted, i), plan)
        pace.took(count, time.perf_counter() - start)
        if requested() or agents[0].num_timesteps >= end:
            for i, program in enumerate(programs):
                program.finish(_part(carries, i))
            answer()


def _kind(agent: KerasDQN) -> str:
    """What agents that learn together must have in common."""
    parameters = {name: getattr(agent, name) for name in agent.parameters}
    shapes = [variable.shape for variable in agent._network.variables]
    added = agent._replay.added.tolist()
    return json.dumps([parameters, agent.num_timesteps, agent._calls, added, shapes])


def _stack(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _part(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[i], tree)
