"""Looks: the steps of a run at which the agent is evaluated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from nchain_env.checks import fits, whole_steps

# A number of looks; "log:" and a number; or the steps themselves.
Looks = int | str | tuple[int, ...]

# The memory that a look takes, in bytes.
_LOOK = 500


def checked_looks(looks: Any, steps: int) -> Looks:
    """Return the looks of a run of `steps` steps as `looks_at` takes them.

    Args:
        looks: A number of looks, at equal distances; "log:20" for 20 looks whose distances grow in
            proportion to the step; or the steps of the looks, in increasing order. A number may
            also be a text, as on the command line.
        steps: The number of steps of the run.

    Raises:
        ValueError: It is none of these, or a step is after the end of the run.
    """
    if isinstance(looks, str):
        found = re.fullmatch(r"(log:)?0*([1-9][0-9]{0,17})", looks)
        if found is not None:
            number = _number(int(found[2]))
            return f"log:{number}" if found[1] else number
    elif isinstance(looks, Sequence) or (isinstance(looks, np.ndarray) and looks.ndim == 1):
        at = tuple(whole_steps("looks (a step)", step) for step in looks)
        if at and all(first < second for first, second in pairwise(at)):
            if at[-1] > steps:
                raise ValueError(f"looks must be steps of the run, which has {steps}, got {at[-1]}")
            return at
    else:
        return _number(whole_steps("looks", looks))
    raise ValueError(
        f"looks must be a number such as 20, 'log:20', or increasing steps, got {looks!r}"
    )


def _number(looks: int) -> int:
    fits("looks", looks, _LOOK * looks)
    return looks


def looks_at(looks: Looks, steps: int) -> tuple[int, ...]:
    """Return the steps of the looks: increasing, the last one the end of the run.

    A number n of looks are at the i-th n-th of the steps, rounded down, and those of "log:n" at n
    steps in geometric progression from 1 to the end, rounded. Looks at the same step are one look.
    """
    if isinstance(looks, tuple):
        return looks if looks[-1] == steps else (*looks, steps)
    if isinstance(looks, int):
        number = min(looks, steps)
        return tuple(steps * i // number for i in range(1, number + 1))
    number = int(looks.removeprefix("log:"))
    inner = np.geomspace(1, steps, number)[:-1].round().astype(np.int64).tolist()
    return (*sorted({step for step in inner if step < steps}), steps)


def logarithmic(looks: Looks) -> bool:
    """Return whether the distances of the looks grow in proportion to the step."""
    return isinstance(looks, str)
