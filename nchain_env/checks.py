"""Checks of arguments. Each error names the parameter, the value given and those allowed."""

from __future__ import annotations

import math
import operator
import os
import sys
from typing import Any

import numpy as np


def index(value: Any) -> int:
    """Return an integer of any type, a 0-d array included, as an int.

    Raises:
        TypeError: It is not an integer. Bools and floats are not integers.
    """
    if isinstance(value, bool | np.bool_):
        raise TypeError("a bool is not an integer")
    return operator.index(value)


def integer(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return `value` as an int of at least `low` and below `high`.

    Raises:
        ValueError: It is not. Bools and floats are not integers.
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
    """Return `value` as an int of at least 1, a number of things that fit in memory.

    Raises:
        ValueError: It is not, or the memory is smaller than `value` times `bytes_each`.
    """
    number = integer(name, value, 1)
    fits(name, value, number * bytes_each)
    return number


def fits(name: str, value: Any, num_bytes: int) -> None:
    """Check that there is enough memory for a value that needs `num_bytes`.

    Raises:
        ValueError: The machine has less memory, or the system refuses to allocate it.
    """
    try:
        if num_bytes > _physical_memory():
            raise MemoryError
        np.empty(num_bytes, np.uint8)  # allocated and freed at once
    except (MemoryError, ValueError):
        raise ValueError(
            f"{name} must be small enough for memory, got {value}, which takes "
            f"{num_bytes // 2**30} GiB"
        ) from None


def _physical_memory() -> int:
    """Return the bytes of physical memory, or `sys.maxsize` if the system does not report them."""
    # A system that overcommits memory allocates too much and kills the process later.
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", ()):
        return sys.maxsize
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def count(name: str, value: Any, low: int = 1) -> int:
    """Return `value` as an int from `low` to below 2^62, so that 64 bits can count to it.

    Raises:
        ValueError: It is not.
    """
    integer(name, value, low)
    return integer(name, value, low, 2**62)


def instance(name: str, value: Any, kinds: type | tuple[type, ...], what: str) -> Any:
    """Return `value` if it is an instance of `kinds`, which `what` describes.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(value, kinds):
        raise ValueError(f"{name} must be {what}, got {value!r}")
    return value


def one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    """Return `value` if it is one of the allowed values.

    Raises:
        ValueError: It is not. Types must agree: 1 is not True.
    """
    if not any(type(value) is type(choice) and value == choice for choice in allowed):
        known = ", ".join(repr(choice) for choice in allowed)
        raise ValueError(f"{name} must be one of {known}, got {value!r}")
    return value


def whole_steps(name: str, value: Any) -> int:
    """Return a number of steps, at least 1, as an int. A float such as 1e5 is allowed.

    Raises:
        ValueError: It is not.
    """
    whole = isinstance(value, float | np.floating) and value.is_integer()
    return count(name, int(value) if whole else value)


def real(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """Return `value` as a finite float from `low` to `high`, which are included unless open.

    Raises:
        ValueError: It is not. Bools and strings are not numbers.
    """
    number = math.nan
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        try:
            number = float(value)
        except (OverflowError, TypeError):  # an int larger than all floats, or a timedelta64
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
