"""What the values of agents are said to mean, without the rest of a check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nchain_agents.check.judge import SMALL, judge
from nchain_agents.check.lesson import learn
from nchain_agents.check.problems import CONTINUING, ENDING


def verdict(
    make: Callable[[Any, int], Any], first_seed: int, steps: Sequence[int], gamma: float | None
) -> tuple[str, ...]:
    """Return the names of the mistakes that are named, or what else is said, of three seeds.

    Args:
        make: A function of an environment and a seed that returns the agent.
        first_seed: The first seed.
        steps: How long the agent learns; the next number is tried where the verdict is not clear.
        gamma: The discount factor that it should have; None: its attribute.
    """
    for total in steps:
        lessons = [
            learn(make, problem, seed, total)
            for problem in (ENDING, CONTINUING)
            for seed in range(first_seed, first_seed + 3)
        ]
        wanted = lessons[0].gamma if gamma is None else gamma
        assert wanted is not None
        found = judge(lessons, wanted, lessons[0].on_policy)
        if len(found.named) == 1 or (found.kind == "correct" and found.correct.distance <= SMALL):
            break  # clear
    return tuple(fit.name for fit in found.named) or (found.kind,)
