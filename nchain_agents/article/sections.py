"""What a section of the page is made of, and how its numbers are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from nchain_agents.article.networks import Run
from nchain_env.mdp import FloatArray


@dataclass(frozen=True)
class Grid:
    """A table."""

    caption: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Section:
    """One experiment: what the article did, what came of it, and what to make of it."""

    title: str
    before: str
    grids: tuple[Grid, ...]
    after: str
    pictures: tuple[str, ...] = ()


def spread_where_learned(values: FloatArray, digits: int) -> str:
    """Return the spread of the values that are not 0, and their number if these are not all."""
    learned = values[values != 0]
    if not len(learned):
        return "0"
    number = "" if len(learned) == len(values) else f", {len(learned)}"
    return spread(learned, digits) + number


def spread(values: FloatArray, digits: int = 1) -> str:
    """Return the median and the middle 90 %."""
    low, middle, high = (f"{x:,.{digits}f}" for x in np.percentile(values, (5, 50, 95)))
    return f"{middle} ({low} to {high})"


def over(runs: Sequence[Run], measure: Callable[[Run], float], digits: int) -> str:
    """Return the median, the least and the largest of what is measured on each run."""
    values = sorted(float(measure(run)) for run in runs)
    texts = [_number(value, digits) for value in (median(values), values[0], values[-1])]
    return texts[0] if texts[1] == texts[2] else f"{texts[0]} ({texts[1]} to {texts[2]})"


def _number(value: float, digits: int) -> str:
    return f"{value:.2g}" if abs(value) >= 1e6 else f"{value:,.{digits}f}"
