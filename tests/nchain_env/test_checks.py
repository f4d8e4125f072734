"""The checks of arguments: what passes, what comes out, and every word of the refusal."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from nchain_env.checks import integer, real


def refusal(function: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the tests compare the whole message
        function(*args, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1),
        (2, 2),
        (10**30, 10**30),
        (np.int8(7), 7),
        (np.uint64(2**63), 2**63),
        (np.array(3), 3),
    ],
)
def test_integer_returns_a_plain_int(value: Any, expected: int) -> None:
    number = integer("n", value, 1)
    assert type(number) is int
    assert number == expected


@pytest.mark.parametrize(
    "value",
    [0, -1, True, np.True_, False, 2.5, 2.0, np.float64(2), "5", None, math.nan, [3], Fraction(3)],
)
def test_integer_refuses_what_is_no_integer_of_at_least_the_lowest(value: Any) -> None:
    message = refusal(integer, "n", value, 1)
    assert message == f"n must be an integer of at least 1, got {value!r}"


@pytest.mark.parametrize("value", [3, 4, 9])
def test_integer_takes_the_lowest_and_all_below_the_upper_limit(value: int) -> None:
    assert integer("state", value, 3, 10) == value


@pytest.mark.parametrize("value", [2, 10, 11, True, "4", 4.0])
def test_integer_refuses_what_lies_outside_its_two_limits(value: Any) -> None:
    message = refusal(integer, "state", value, 3, 10)
    assert message == f"state must be an integer in [3, 10), got {value!r}"


def test_integer_refuses_a_bool_even_where_its_number_would_be_allowed() -> None:
    assert refusal(integer, "k", True, 0, 2) == "k must be an integer in [0, 2), got True"
    assert refusal(integer, "k", False, -5) == "k must be an integer of at least -5, got False"


def test_integer_hides_the_error_that_found_the_fault() -> None:
    with pytest.raises(ValueError, match="n must be") as caught:
        integer("n", "5", 1)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0.0),
        (-3, -3.0),
        (0.25, 0.25),
        (-1e308, -1e308),
        (np.float32(0.5), 0.5),
        (np.int64(4), 4.0),
        (np.uint8(4), 4.0),
        (np.longdouble(1.5), 1.5),
    ],
)
def test_real_returns_a_plain_float(value: Any, expected: float) -> None:
    number = real("reward", value)
    assert type(number) is float
    assert number == expected


@pytest.mark.parametrize(
    "value",
    [
        math.inf,
        -math.inf,
        math.nan,
        np.float64("nan"),
        10**400,
        -(10**400),
        True,
        False,
        np.True_,
        "1",
        None,
        1j,
        [1.0],
        np.array(1.0),
        Decimal(1),
        Fraction(1),
    ],
)
def test_real_refuses_what_is_no_finite_number(value: Any) -> None:
    assert refusal(real, "reward", value) == f"reward must be a finite number, got {value!r}"


LIMITS: list[tuple[dict[str, Any], list[float], list[float], str]] = [
    ({}, [0, 0.5, 1], [-1e-300, np.nextafter(1, 2), -1, 2], "[0, 1]"),
    ({"open_low": True}, [5e-324, 0.5, 1], [0, -1, np.nextafter(1, 2)], "(0, 1]"),
    ({"open_high": True}, [0, np.nextafter(1, 0)], [1, 2, -5e-324], "[0, 1)"),
    ({"open_low": True, "open_high": True}, [5e-324, np.nextafter(1, 0)], [0, 1], "(0, 1)"),
]


@pytest.mark.parametrize(("options", "inside", "outside", "interval"), LIMITS)
def test_real_includes_its_limits_unless_they_are_open(
    options: dict[str, Any], inside: list[float], outside: list[float], interval: str
) -> None:
    for value in inside:
        assert real("slip", value, 0, 1, **options) == value
    refused: list[Any] = [*outside, math.nan, math.inf, -math.inf, 10**400, True, "0.5", None]
    for value in refused:
        message = refusal(real, "slip", value, 0, 1, **options)
        assert message == f"slip must be a number in {interval}, got {value!r}"


@pytest.mark.parametrize("open_end", [False, True])
def test_real_says_that_an_infinite_limit_is_open(open_end: bool) -> None:
    message = refusal(real, "x", -1, 0.5, open_high=open_end)
    assert message == "x must be a number in [0.5, inf), got -1"
    message = refusal(real, "x", math.inf, 0.5, open_high=open_end)
    assert message == "x must be a number in [0.5, inf), got inf"
    message = refusal(real, "x", 1, high=0.5, open_low=open_end)
    assert message == "x must be a number in (-inf, 0.5], got 1"
    message = refusal(real, "x", -math.inf, high=0.5, open_low=open_end)
    assert message == "x must be a number in (-inf, 0.5], got -inf"
