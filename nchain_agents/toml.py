"""TOML with None, which is written as `{null = true}`: TOML itself has no null."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

import tomlkit
from tomlkit.items import Table

_NULL = {"null": True}
_TYPES = {dict: "a table", list: "an array", str: "a string", int: "an integer"}


def loads(text: str) -> dict[str, Any]:
    """Return the data of a TOML text.

    Raises:
        tomllib.TOMLDecodeError: It is not TOML.
    """
    data: dict[str, Any] = _decoded(tomllib.loads(text))
    return data


def _decoded(value: Any) -> Any:
    if value == _NULL:
        return None
    if isinstance(value, dict):
        return {key: _decoded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_decoded(one) for one in value]
    return value


def check_keys(
    entry: Any, allowed: Mapping[str, type], required: Sequence[str] = (), what: str = "it"
) -> None:
    """Refuse what is not a table of some keys.

    Args:
        entry: What was read.
        allowed: The keys that it may have, and the types of their values.
        required: Those that it must have.
        what: What an error calls it.

    Raises:
        ValueError: It is no such table.
    """
    if not isinstance(entry, dict):
        raise ValueError(f"{what} must be a table, got {entry!r}")
    for key, value in entry.items():
        if key not in allowed:
            raise ValueError(f"unknown key {key!r}; known: {', '.join(allowed)}")
        kind = allowed[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ValueError(f"{key} must be {_TYPES[kind]}, got {value!r}")
    for key in required:
        if key not in entry:
            raise ValueError(f"{what} must have {key}, got {', '.join(entry) or 'nothing'}")


def table(values: Mapping[str, Any], owner: str) -> Table:
    """Return a table of values, in their order and one a line.

    Args:
        values: Booleans, numbers except NaN, strings, None, and lists and dictionaries of these by
            name. A tuple is written as a list.
        owner: Whose values they are, for an error.

    Raises:
        ValueError: There is any other value; the message names it.
    """
    written = tomlkit.table()
    for name, value in values.items():
        written[name] = _encoded(value, f"{name} of {owner}")
    return written


def _encoded(value: Any, name: str) -> Any:
    if isinstance(value, dict) and value == _NULL:
        raise ValueError(f"{name} must not be {_NULL}, which stands for None in study.toml")
    value = _NULL if value is None else value
    if isinstance(value, bool | int | str) or (isinstance(value, float) and not math.isnan(value)):
        return value
    if isinstance(value, list | tuple):
        array = tomlkit.array()
        for one in value:
            array.append(_encoded(one, name))
        return array
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        inline = tomlkit.inline_table()
        for key, one in value.items():
            inline[key] = _encoded(one, name)
        return inline
    raise ValueError(
        f"{name} must be made of numbers, strings, None, lists and dictionaries with strings as "
        f"keys to be written to study.toml, got {value!r}"
    )
