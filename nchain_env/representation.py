"""How objects show themselves: a call with what differs from the defaults, and small tables."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from enum import Enum
from html import escape
from typing import Any

import numpy as np

# The largest number of letters of an argument.
_LONGEST = 300

# A probability, the next state, the reward, and whether it terminates the episode
Outcome = tuple[float, int, float, bool]


def call(thing: object, values: Mapping[str, Any] | None = None) -> str:
    """Return the call that makes an object, without the arguments that have their default values.

    Args:
        thing: The object.
        values: The arguments by name; None: the attributes by the names of the parameters.
            Parameters without a value are left out.
    """
    parts = []
    for name, parameter in inspect.signature(type(thing)).parameters.items():
        default = parameter.default
        value = getattr(thing, name, default) if values is None else values.get(name, default)
        if value is parameter.empty or _equal(value, default):
            continue
        text = repr(value.value if isinstance(value, Enum) else value)
        text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
        parts.append(text if default is parameter.empty else f"{name}={text}")
    return f"{type(thing).__name__}({', '.join(parts)})"


def _equal(value: Any, default: Any) -> bool:
    """Return whether a value is the default, which may be a tuple where the value is a list."""
    return value is default or np.array_equal(value, default)


def text_table(outcomes: Mapping[int, Mapping[int, Sequence[Outcome]]]) -> str:
    """Return outcomes by state and action as lines of text."""
    rows = [
        (str(state), str(action), "; ".join(map(_outcome, found)))
        for state, actions in outcomes.items()
        for action, found in actions.items()
    ]
    lines = [("state", "action", "outcomes: probability -> next state"), *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(2)]
    return "\n".join(f"{s:>{widths[0]}}  {a:>{widths[1]}}  {text}" for s, a, text in lines)


def html_table(outcomes: Mapping[int, Mapping[int, Sequence[Outcome]]], caption: str) -> str:
    """Return outcomes as an HTML table with a row for each state and a column for each action."""
    head = "".join(f"<th>action {action}</th>" for action in outcomes[0])
    rows = []
    for state, actions in outcomes.items():
        cells = "".join(
            f"<td>{'<br>'.join(escape(_outcome(one)) for one in found)}</td>"
            for found in actions.values()
        )
        rows.append(f"<tr><th>{state}</th>{cells}</tr>")
    return (
        f"<table><caption>{escape(caption)}</caption>\n<thead><tr><th>state</th>{head}</tr></thead>"
        f"\n<tbody>\n{chr(10).join(rows)}\n</tbody></table>"
    )


def _outcome(outcome: Outcome) -> str:
    probability, next_state, reward, terminated = outcome
    gains = f", reward {reward:g}" if reward else ""
    return f"{probability:.4g} -> {next_state}{gains}{', ends' if terminated else ''}"
