"""An environment as a few lines of text."""

from __future__ import annotations

from nchain_env.rendering.renderer import Snapshot

# For more states than MOST, the first, the last and those near the current one are shown.
MOST, SLOTS = 15, 11


def as_text(snapshot: Snapshot) -> str:
    """Return the states with the current one in brackets, and a line about the last step."""
    slots = visible_states(snapshot.num_states, snapshot.state, MOST, SLOTS)
    return f"{states_line(slots, snapshot.state, ' ')}\n{step_line(snapshot)}"


def states_line(slots: list[int | None], state: int, separator: str) -> str:
    """Return the states that are shown in a row, the current one in brackets."""
    names = {None: "...", state: f"[{state}]"}
    return separator.join(names.get(slot, str(slot)) for slot in slots)


def step_line(snapshot: Snapshot, move: str | None = None) -> str:
    """Return a line about the last step; `move` describes it in place of action and states."""
    total = f"return {as_number(snapshot.total)}"
    if snapshot.action is None:
        return f"step {snapshot.steps}, {total}"
    if move is None:
        move = f"action {snapshot.action_name}, state {snapshot.previous} to {snapshot.state}"
    end = ", terminated" if snapshot.terminated else ""
    return f"step {snapshot.steps}: {move}, reward {as_number(snapshot.reward)}, {total}{end}"


def as_number(value: float) -> str:
    """Return a number in at most ten digits, to hide the rounding errors of sums of rewards."""
    return f"{value + 0.0:.10g}"  # + 0.0 turns -0.0 into 0.0


def visible_states(n: int, state: int, most: int, slots: int) -> list[int | None]:
    """Return the states to show, in order. None stands for two or more states that are not shown.

    With at most `most` states, all are shown. Otherwise there are `slots` entries: the first state,
    the last state, and those near `state`.
    """
    if n <= most:
        return list(range(n))
    around = slots - 4
    start = min(max(state - around // 2, 2), n - 2 - around)
    shown: list[int | None] = [0, 1, *range(start, start + around), n - 2, n - 1]
    if start > 2:
        shown[1] = None
    if start + around < n - 2:
        shown[-2] = None
    return shown
