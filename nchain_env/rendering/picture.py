"""Any outcome table as a picture: its states in rows, and the last transition as an arrow."""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nchain_env.rendering.canvas import (
    BLUE,
    GREY,
    INK,
    LINE,
    MARGIN,
    MIN_WIDTH,
    PANEL,
    RADIUS,
    Canvas,
)
from nchain_env.rendering.renderer import Snapshot
from nchain_env.rendering.text import as_number

if TYPE_CHECKING:
    import pygame

# More than ROW states are drawn as a square, more than NUMBERED as dots, and more than MOST not.
ROW, NUMBERED, MOST = 10, 100, 10_000
PITCH, TOP = 84, 62


def as_picture(snapshot: Snapshot) -> pygame.Surface:
    """Return the picture. This needs no display."""
    n = snapshot.num_states if snapshot.num_states <= MOST else 0
    columns = max(n if n <= ROW else math.ceil(math.sqrt(n)), 1)
    rows = math.ceil(n / columns)
    numbered = n <= NUMBERED
    pitch = PITCH if numbered else (MIN_WIDTH - 2 * MARGIN) / columns
    width = max(MIN_WIDTH, 2 * TOP + (columns - 1) * PITCH) if numbered else MIN_WIDTH
    canvas = Canvas(width, TOP * min(rows, 1) + math.ceil(rows * pitch) + PANEL)
    left = (width - (columns - 1) * pitch) / 2
    centres = [complex(left + i % columns * pitch, TOP + i // columns * pitch) for i in range(n)]
    for state, centre in enumerate(centres):
        is_current = state == snapshot.state
        if numbered:
            canvas.state(state, centre, is_current)
        else:
            canvas.disc(centre, pitch * (0.45 if is_current else 0.2), INK if is_current else GREY)
    if numbered and n and snapshot.previous is not None:
        canvas.arrow(_transition(centres[snapshot.previous], centres[snapshot.state]), BLUE, 4)
    _draw_panel(canvas, snapshot)
    return canvas.picture()


def _transition(start: complex, end: complex) -> list[complex]:
    """Return the path from one state to another: bent, to pass by the states in between."""
    if start == end:
        turn = [cmath.rect(13, math.radians(degrees)) for degrees in range(60, 400, 6)]
        loop = [start - (RADIUS + 7) * 1j + point for point in turn]
        return [point for point in loop if abs(point - start) > RADIUS + 2]
    bend = 0 if abs(end - start) <= PITCH else -0.25j
    middle = (start + end) / 2 + (end - start) * bend
    path = []
    for k in range(41):
        t = k / 40
        path.append((1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end)
    return [p for p in path if abs(p - start) > RADIUS + 2 and abs(p - end) > RADIUS + 3]


def _draw_panel(canvas: Canvas, snapshot: Snapshot) -> None:
    stepped = snapshot.action is not None
    move = None if snapshot.previous is None else f"{snapshot.previous} to {snapshot.state}"
    columns = [
        ("action", snapshot.action_name if stepped else None, 1.4),
        ("state", move or str(snapshot.state), 1.6),
        ("reward", as_number(snapshot.reward) if stepped else None, 1.0),
        ("return", as_number(snapshot.total), 1.1),
        ("step", str(snapshot.steps), 0.8),
    ]
    places = panel(canvas, [(caption, fraction) for caption, _, fraction in columns])
    for (_, value, _), place in zip(columns, places, strict=True):
        place.write(value)
    if snapshot.terminated:
        places[1].remark("terminated")


class Place:
    """Where a value is written in a panel: below its caption."""

    def __init__(self, canvas: Canvas, caption: str, at: complex, width: float) -> None:
        self._canvas, self.width = canvas, width
        self._after = complex(canvas.text(caption, at, 20, GREY, width) + 8, at.imag)
        self.below = at + 32j

    def write(self, value: str | None, indent: float = 0) -> None:
        """Write a value, a dash for None."""
        if value is None:
            self._canvas.stroke([self.below - 8j, self.below + 14 - 8j], GREY, 2.4)
        else:
            self._canvas.text(value, self.below + indent, 28, INK, self.width - indent)

    def remark(self, text: str) -> None:
        """Write a remark after the caption."""
        self._canvas.pill(text, self._after, 18)


def panel(canvas: Canvas, captions: Sequence[tuple[str, float]]) -> list[Place]:
    """Draw the captions at the foot of a picture, with shares of the width for each."""
    top, right = canvas.height - PANEL, canvas.width - MARGIN
    canvas.stroke([complex(MARGIN, top), complex(right, top)], LINE, 1.4)
    share = (right - MARGIN) / sum(fraction for _, fraction in captions)
    at, places = complex(MARGIN, top + 34), []
    for caption, fraction in captions:
        places.append(Place(canvas, caption, at, share * fraction - 16))
        at += share * fraction
    return places
