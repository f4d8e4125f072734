"""Networks that learn at the same time, vectorised over them by JAX."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nchain_agents.agent import Progress
from nchain_agents.deep.compiled import Program, refuse
from nchain_agents.deep.training_state import TrainingState
from nchain_agents.interrupts import Pace, answer, requested


def learn_together(
    programs: Sequence[Program],
    states: Sequence[TrainingState],
    until: int,
    progress: Progress,
) -> None:
    """Learn until the `num_timesteps` of each state is `until`.

    The programs differ only in the contents of their tables and their time limits, and the states
    have taken the same number of steps. `progress` is called after each call of the program.
    """
    if len({program.env.signature for program in programs}) > 1:
        raise ValueError(
            "agents must have environments with tables of the same shape, or the same functions"
        )
    first, chunk = programs[0], programs[0].chunk
    both = list(zip(programs, states, strict=True))
    constants = _stack([program.constants for program in programs])
    carries = _stack([program.begin(state, chunk) for program, state in both])
    pace = Pace(100)
    while states[0].num_timesteps < until:
        start = time.perf_counter()
        count = min(chunk, pace.steps, until - states[0].num_timesteps)
        plan = first.plan(states[0], count, chunk)
        numbers = _stack([program.numbers(state, plan) for program, state in both])
        run = partial(first.run_together, carries, constants, numbers)
        after = run(plan)
        steps = np.where(after.invalid, after.step, chunk + 1)
        earliest = int(steps.argmin())
        invalid = programs[earliest].invalid(_part(after, earliest), plan)
        if invalid is not None:  # all take the steps before that one
            plan = plan._replace(count=np.int32(steps.min() - 1))
            after = run(plan)
        carries = after
        noted = jax.tree.map(np.asarray, carries._replace(learner=None, rows=None, position=None))
        for i, (program, state) in enumerate(both):
            program.take_note(state, _part(noted, i), plan)
        pace.took(count, time.perf_counter() - start)
        progress()
        if requested() or invalid is not None or states[0].num_timesteps >= until:
            for i, (program, state) in enumerate(both):
                program.finish(state, _part(carries, i))
            if invalid is not None:
                refuse(states[earliest], invalid)
            answer()


def _stack(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _part(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[i], tree)
