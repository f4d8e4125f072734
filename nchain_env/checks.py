"""Checks of arguments: each names the parameter, what was given and what is allowed."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np


def index(value: Any) -> int:
    """Return an integer of any type, a 0-d array included, as an int.

    Raises:
        TypeError: It is none; bools and floats are no integers.
    """
    if isinstance(value, bool | np.bool_):
        raise TypeError("a bool is no integer")
    return operator.index(value)


def integer(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return `value` as an int of at least `low` and below `high`.

    Raises:
        ValueError: It is not; bools and floats are no integers.
    """
    try:
        number = index(value)
    except TypeError:
        number = low - 1
    if number < low or (high is not None and number >= high):
        allowed = f"of at least {low}" if high is None else f"in [{low}, {high})"
        raise ValueError(f"{name} must be an integer {allowed}, got {value!r}")
    return number


def size(name: str, value: Any, bytes_each: int) -> int:
    """Return `value` as an int of at least 1, for as many things as fit in memory.

    Raises:
        ValueError: It is no such number, or the system would not give `bytes_each` for each.
    """
    number = integer(name, value, 1)
    try:
        np.empty(number * bytes_each, np.uint8)  # asked for, not used, and given back
    except (MemoryError, ValueError):
        raise ValueError(
            f"{name} must be small enough for memory, at {bytes_each} bytes each, got {value!r}"
        ) from None
    return number


def whole_steps(name: str, value: Any) -> int:
    """Return a number of steps, at least 1, as an int; a whole float such as 1e5 is one, too.

    Raises:
        ValueError: It is not.
    """
    whole = isinstance(value, float | np.floating) and value.is_integer()
    return integer(name, int(value) if whole else value, 1)


def real(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """Return `value` as a finite float from `low` to `high`, both included unless open.

    Raises:
        ValueError: It is not; bools and strings are no numbers.
    """
    number = math.nan
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        try:
            number = float(value)
        except (OverflowError, TypeError):  # an int beyond all floats, or NumPy's timedelta64
            number = math.nan
    inside = (low < number if open_low else low <= number) and (
        number < high if open_high else number <= high
    )
    if not (inside and math.isfinite(number)):
        allowed = "a finite number"
        if math.isfinite(low) or math.isfinite(high):
            left = "(" if open_low or math.isinf(low) else "["
            right = ")" if open_high or math.isinf(high) else "]"
            allowed = f"a number in {left}{low:g}, {high:g}{right}"
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
    return number
