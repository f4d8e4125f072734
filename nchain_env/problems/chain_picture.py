"""Draws the chain: as two lines of text, or as a picture."""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nchain_env.rendering import Pictures, Snapshot
from nchain_env.rendering.canvas import (
    BLUE,
    MARGIN,
    MIN_WIDTH,
    PANEL,
    RADIUS,
    VERMILION,
    Canvas,
    Colour,
    unit,
)
from nchain_env.rendering.picture import Place, panel
from nchain_env.rendering.text import MOST, SLOTS, as_number, states_line, step_line, visible_states

if TYPE_CHECKING:
    import pygame

FORWARD, BACKWARD = 0, 1  # as in chain.py, which imports this module when it draws

# For chains longer than MOST, the first state, the last state and those near the agent are shown.
PICTURE_MOST, PICTURE_SLOTS = 50, 9

# The pale colours are for arrows that were not taken.
TAKEN: dict[int, Colour] = {FORWARD: BLUE, BACKWARD: VERMILION}
PALE: dict[int, Colour] = {FORWARD: (112, 168, 203), BACKWARD: (228, 155, 108)}

# Lengths in pixels of the picture.
COLUMNS = 10
PITCH, ROW, SIDE, TOP = 84, 92, 84, 62


def executed(snapshot: Snapshot) -> int | None:
    """Return the executed action, None after a reset."""
    if snapshot.action is None:
        return None
    return 1 - snapshot.action if snapshot.info["slipped"] else snapshot.action


def as_text(snapshot: Snapshot) -> str:
    """Return the chain with the agent's state in brackets, and a line about the last step."""
    slots = visible_states(snapshot.num_states, snapshot.state, MOST, SLOTS)
    done, names = executed(snapshot), snapshot.action_names
    slip = f" slipped to {names[done]}" if done is not None and done != snapshot.action else ""
    line = step_line(snapshot, move=f"{snapshot.action_name}{slip}")
    return f"{states_line(slots, snapshot.state, ' > ')}\n{line}"


def as_picture(snapshot: Snapshot) -> pygame.Surface:
    """Return the picture. This needs no display."""
    slots = visible_states(snapshot.num_states, snapshot.state, PICTURE_MOST, PICTURE_SLOTS)
    layout = _Layout(len(slots))
    canvas = Canvas(layout.width, layout.height)
    _draw_arrows(canvas, layout, snapshot, slots.index(snapshot.state))
    for i, state in enumerate(slots):
        canvas.state(state, layout.centre(i), state == snapshot.state)
    _draw_panel(canvas, snapshot)
    return canvas.picture()


# How the chain is drawn
CHAIN = Pictures(as_text, as_picture)


def _draw_arrows(canvas: Canvas, layout: _Layout, snapshot: Snapshot, agent: int) -> None:
    for path in layout.backward():
        canvas.stroke(path, PALE[BACKWARD], 2.4)
    canvas.arrow(layout.home(), PALE[BACKWARD], 2.4)
    for path in [layout.stay(), *(layout.forward(i) for i in range(1, layout.slots))]:
        canvas.arrow(path, PALE[FORWARD], 2.4)
    if executed(snapshot) == BACKWARD:
        canvas.arrow(layout.home(), TAKEN[BACKWARD], 5)
    elif executed(snapshot) == FORWARD:
        stayed = snapshot.previous == snapshot.state
        canvas.arrow(layout.stay() if stayed else layout.forward(agent), TAKEN[FORWARD], 5)


def _draw_panel(canvas: Canvas, snapshot: Snapshot) -> None:
    captions = [("chosen", 1.4), ("executed", 1.6), ("reward", 1.0), ("return", 1.1), ("step", 0.8)]
    chosen, done, reward, total, steps = panel(canvas, captions)
    _draw_action(canvas, chosen, snapshot, snapshot.action)
    _draw_action(canvas, done, snapshot, executed(snapshot))
    if executed(snapshot) != snapshot.action:
        done.remark("slipped")
    reward.write(None if snapshot.action is None else as_number(snapshot.reward))
    total.write(as_number(snapshot.total))
    steps.write(str(snapshot.steps))


def _draw_action(canvas: Canvas, place: Place, snapshot: Snapshot, action: int | None) -> None:
    if action is None:
        place.write(None)
        return
    icon = [place.below + 2 - 8j, place.below + 23 - 8j]
    canvas.arrow(icon if action == FORWARD else icon[::-1], TAKEN[action], 4)
    place.write(snapshot.action_names[action], indent=31)


class _Layout:
    """The positions of states and arrows, as complex numbers x + y * 1j.

    Rows run to the right and to the left in turn, so that arrows do not cross. Two rows share the
    line between them that leads back to state 0, the rail. All rails end in one vertical line on
    the left, the trunk.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.columns = min(slots, COLUMNS)
        self.rows = math.ceil(slots / self.columns)
        self.width = max(MIN_WIDTH, 2 * SIDE + (self.columns - 1) * PITCH)
        rail_below = self.rows % 2 == 1
        depth = TOP + (self.rows - 1) * ROW + (ROW // 2 if rail_below else RADIUS)
        self.height = depth + 30 + PANEL
        self.left = (self.width - (self.columns - 1) * PITCH) // 2
        self.trunk = self.left - SIDE + MARGIN

    def centre(self, i: int) -> complex:
        row, column = divmod(i, self.columns)
        if row % 2 == 1:
            column = self.columns - 1 - column
        return complex(self.left + column * PITCH, TOP + row * ROW)

    def forward(self, i: int) -> list[complex]:
        """The arrow from slot i - 1 to slot i."""
        start, end = self.centre(i - 1), self.centre(i)
        if start.imag == end.imag or (i // self.columns) % 2 == 0:
            step = unit(end - start) * (RADIUS + 3)
            return [start + step, end - step]
        outside = SIDE - MARGIN
        return _rounded([start + RADIUS, start + outside, end + outside, end + RADIUS + 3])

    def stay(self) -> list[complex]:
        """The arrow from the last slot to itself, on the side where a next slot would be."""
        last = self.centre(self.slots - 1)
        outward = 1 if ((self.slots - 1) // self.columns) % 2 == 0 else -1
        middle = last + outward * (SIDE - MARGIN - 16)
        turn = [cmath.rect(16, math.radians(degrees)) for degrees in range(-180, 181, 6)]
        loop = [middle + complex(outward * point.real, point.imag) for point in turn]
        return [point for point in loop if abs(point - last) > RADIUS + 2]

    def backward(self) -> list[list[complex]]:
        """The paths from every slot back to state 0, without the common end, `home`."""
        paths = []
        for first in range(0, self.slots, 2 * self.columns):
            rail = self.centre(first).imag + ROW / 2
            end = [complex(self.trunk, rail), complex(self.trunk, TOP + RADIUS)]
            for i in range(first, min(first + 2 * self.columns, self.slots)):
                start = self.centre(i)
                paths.append(_rounded([start, complex(start.real, rail), *end]))
        return paths

    def home(self) -> list[complex]:
        """The common end of the paths back: from the top of the trunk into state 0."""
        start = complex(self.trunk, TOP + RADIUS + 4)
        return _rounded([start, complex(self.trunk, TOP), complex(self.left - RADIUS - 3, TOP)])


def _rounded(points: Sequence[complex], radius: float = 13) -> list[complex]:
    """Round the corners of a path."""
    path = [points[0]]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        start = corner + unit(before - corner) * radius
        end = corner + unit(after - corner) * radius
        for k in range(9):
            t = k / 8
            path.append((1 - t) ** 2 * start + 2 * t * (1 - t) * corner + t**2 * end)
    return [*path, points[-1]]
