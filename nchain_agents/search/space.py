"""Search spaces: the values that hyperparameters may take, as data in TOML files."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from nchain_agents import presets, toml

_FORMS = "{ low = ..., high = ... }, with log = true or without, or { choices = [...] }"


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`, integers if both ends are.

    Args:
        low: The least value.
        high: The largest value.
        log: Draw at first uniformly in the logarithm.
    """

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether the values are integers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def __contains__(self, value: Any) -> bool:
        number = isinstance(value, int if self.whole else int | float)
        return number and not isinstance(value, bool) and self.low <= value <= self.high

    def as_data(self) -> dict[str, Any]:
        """Return what it is, as in a file."""
        return {"low": self.low, "high": self.high, **({"log": True} if self.log else {})}


@dataclass(frozen=True)
class Choices:
    """Some values, in no order.

    Args:
        values: The values, by the text that names each.
    """

    values: Mapping[str, Any]

    def __contains__(self, value: Any) -> bool:
        return any(_same(value, one) for one in self.values.values())

    def name(self, value: Any) -> str:
        """Return the text that names a value."""
        return next(name for name, one in self.values.items() if _same(value, one))

    def as_data(self) -> dict[str, Any]:
        """Return what it is, as in a file."""
        return {"choices": list(self.values.values())}


# The values of each hyperparameter, by its name.
Space = dict[str, Range | Choices]


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, tuple):
        value = list(value)
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def space_of(given: Any, agent: str) -> Space:
    """Return a search space.

    Args:
        given: A table for each hyperparameter, as in a file: `{"low": 1e-4, "high": 1.0, "log":
            True}`, or `{"choices": [0.0, 0.6, 1.0]}`.
        agent: Whose hyperparameters they are, for an error.

    Raises:
        ValueError: It is not such a space; the message names the hyperparameter.
    """
    if not isinstance(given, Mapping) or not given:
        raise ValueError(
            f"space of {agent} must have at least one hyperparameter, each as {_FORMS}, "
            f"got {given!r}"
        )
    if reserved := {"env", "seed"} & given.keys():
        raise ValueError(f"space of {agent} must not have {reserved.pop()}, which tuning sets")
    return {name: _values(f"{name} of {agent}", entry) for name, entry in given.items()}


def _values(name: str, entry: Any) -> Range | Choices:
    keys = set(entry) if isinstance(entry, Mapping) else set()
    if keys == {"choices"}:
        return _choices(name, entry["choices"])
    if not {"low", "high"} <= keys <= {"low", "high", "log"}:
        raise ValueError(f"space: {name} must be {_FORMS}, got {entry!r}")
    low, high, log = entry["low"], entry["high"], entry.get("log", False)
    for end in (low, high):
        if not isinstance(end, int | float) or isinstance(end, bool) or not math.isfinite(end):
            raise ValueError(f"space: low and high of {name} must be numbers, got {end!r}")
    if not low < high:
        raise ValueError(f"space: low of {name} must be below high, got {low!r} and {high!r}")
    if not isinstance(log, bool):
        raise ValueError(f"space: log of {name} must be true or false, got {log!r}")
    if log and low <= 0:
        raise ValueError(f"space: low of {name} must be positive where log is true, got {low!r}")
    return Range(low, high, log)


def _choices(name: str, values: Any) -> Choices:
    if not isinstance(values, list | tuple) or len(values) < 2:
        raise ValueError(f"space: choices of {name} must be a list of two or more, got {values!r}")
    toml.table({"choices": values}, name)  # refuses what the file of the winner cannot say
    named = {json.dumps(value): value for value in values}
    if len(named) < len(values):
        raise ValueError(f"space: choices of {name} must differ, got {list(values)}")
    return Choices(named)


def read(path: Path) -> dict[str, Space]:
    """Return the search spaces of a TOML file, by agent.

        [my-agent]
        learning_rate = { low = 1e-4, high = 1.0, log = true }
        visit_power = { choices = [0.0, 0.6, 1.0] }

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not such a file.
    """
    try:
        return _spaces(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"space: {path} is not TOML: {error}") from None
    except ValueError as error:
        raise ValueError(f"space: {path}, {str(error).removeprefix('space: ')}") from None


@cache
def shipped() -> dict[str, Space]:
    """Return the search spaces of the presets that have one, by name."""
    file = files(presets).joinpath("search", "agents.toml")
    return _spaces(file.read_text(encoding="utf-8"))


def _spaces(text: str) -> dict[str, Space]:
    return {agent: space_of(entry, agent) for agent, entry in toml.loads(text).items()}


def as_data(space: Space) -> dict[str, Any]:
    """Return a search space as in a file."""
    return {name: values.as_data() for name, values in space.items()}
