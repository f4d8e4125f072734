"""Draws the chain: as two lines of text, or as a picture with pygame."""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from gymnasium.error import DependencyNotInstalled

from nchain_env.chain import BACKWARD, FORWARD

if TYPE_CHECKING:
    import pygame

Colour = tuple[int, int, int]

NAMES = {FORWARD: "forward", BACKWARD: "backward"}

# For chains longer than MOST, the first state, the last state and those near the agent are shown.
TEXT_MOST, TEXT_SLOTS = 15, 11
PICTURE_MOST, PICTURE_SLOTS = 50, 9

PAPER, INK, GREY, LINE = (252, 252, 250), (31, 41, 55), (97, 107, 122), (222, 225, 229)
# Okabe and Ito's blue and vermilion, which colour-blind people can distinguish; the pale colours
# are for arrows that were not taken.
TAKEN: dict[int, Colour] = {FORWARD: (0, 114, 178), BACKWARD: (213, 94, 0)}
PALE: dict[int, Colour] = {FORWARD: (112, 168, 203), BACKWARD: (228, 155, 108)}

# Lengths in pixels of the picture.
COLUMNS = 10
RADIUS, PITCH, ROW, SIDE, TOP, PANEL = 26, 84, 92, 84, 62, 96
MARGIN, MIN_WIDTH = 32, 680
FINE = 3  # the canvas is so many times as wide and as high as the picture


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of an environment that is drawn after a reset or a step.

    Args:
        n: The number of states.
        state: The current state.
        action: The chosen action (not the executed one), None after a reset.
        slipped: Whether the opposite of `action` was executed.
        reward: The reward of the last step.
        steps: The number of steps since the reset.
        total: The return so far: the sum of the rewards since the reset.
    """

    n: int
    state: int
    action: int | None
    slipped: bool
    reward: float
    steps: int
    total: float

    @property
    def executed(self) -> int | None:
        """The executed action, None after a reset."""
        if self.action is None or not self.slipped:
            return self.action
        return BACKWARD if self.action == FORWARD else FORWARD


class Renderer:
    """Draws snapshots in one render mode.

    Args:
        render_mode: "ansi", "rgb_array" or "human".
        render_fps: The largest number of pictures per second in the mode "human".
    """

    def __init__(self, render_mode: str, render_fps: int) -> None:
        self.render_mode = render_mode
        self.render_fps = render_fps
        self._window: pygame.Surface | None = None
        self._clock: pygame.time.Clock | None = None

    def draw(self, snapshot: Snapshot) -> str | npt.NDArray[np.uint8] | None:
        """Return a text ("ansi") or an (H, W, 3) image ("rgb_array"), or show it ("human").

        The size of the image depends on `snapshot.n` alone. Height and width are even.

        Raises:
            DependencyNotInstalled: pygame is not installed, and the mode is not "ansi".
        """
        if self.render_mode == "ansi":
            return as_text(snapshot)
        try:
            import pygame
        except ImportError as error:
            raise DependencyNotInstalled(
                'pygame is not installed, run `pip install "nchain-env[render]"`'
            ) from error
        picture = as_picture(snapshot)
        if self.render_mode == "human":
            self._show(picture)
            return None
        return np.ascontiguousarray(pygame.surfarray.array3d(picture).swapaxes(0, 1))

    def _show(self, picture: pygame.Surface) -> None:
        import pygame

        # pygame has one window, which another environment or a wrapper may have closed or resized.
        pygame.display.init()
        self._window = pygame.display.get_surface()
        if self._window is None or self._window.get_size() != picture.get_size():
            self._window = pygame.display.set_mode(picture.get_size())
            pygame.display.set_caption("NChain")
        if self._clock is None:
            self._clock = pygame.time.Clock()
        self._window.blit(picture, (0, 0))
        pygame.event.pump()
        self._clock.tick(self.render_fps)
        pygame.display.flip()

    def close(self) -> None:
        """Close the window, if this renderer has one. A second call does nothing."""
        if self._window is not None:
            import pygame

            if pygame.display.get_surface() is self._window:
                pygame.display.quit()
            self._window = None


def as_text(snapshot: Snapshot) -> str:
    """Return the chain with the agent's state in brackets, and a line about the last step."""
    slots = visible_states(snapshot.n, snapshot.state, TEXT_MOST, TEXT_SLOTS)
    names = {None: "...", snapshot.state: f"[{snapshot.state}]"}
    chain = " > ".join(names.get(slot, str(slot)) for slot in slots)
    total = f"return {as_number(snapshot.total)}"
    if snapshot.action is None or snapshot.executed is None:
        return f"{chain}\nstep {snapshot.steps}, {total}"
    slip = f" slipped to {NAMES[snapshot.executed]}" if snapshot.slipped else ""
    move = f"{NAMES[snapshot.action]}{slip}, reward {as_number(snapshot.reward)}"
    return f"{chain}\nstep {snapshot.steps}: {move}, {total}"


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


def as_picture(snapshot: Snapshot) -> pygame.Surface:
    """Return the picture. This needs no display."""
    import pygame

    slots = visible_states(snapshot.n, snapshot.state, PICTURE_MOST, PICTURE_SLOTS)
    layout = _Layout(len(slots))
    canvas = _Canvas(layout.width, layout.height)
    _draw_arrows(canvas, layout, snapshot, slots.index(snapshot.state))
    for i, state in enumerate(slots):
        _draw_state(canvas, layout.centre(i), state, state == snapshot.state)
    _draw_panel(canvas, snapshot)
    return pygame.transform.smoothscale(canvas.surface, (layout.width, layout.height))


def _draw_arrows(canvas: _Canvas, layout: _Layout, snapshot: Snapshot, agent: int) -> None:
    for path in layout.backward():
        canvas.stroke(path, PALE[BACKWARD], 2.4)
    canvas.arrow(layout.home(), PALE[BACKWARD], 2.4)
    for path in [layout.stay(), *(layout.forward(i) for i in range(1, layout.slots))]:
        canvas.arrow(path, PALE[FORWARD], 2.4)
    if snapshot.executed == BACKWARD:
        canvas.arrow(layout.home(), TAKEN[BACKWARD], 5)
    elif snapshot.executed == FORWARD:
        # A step forward has a reward only if it stays in the last state.
        stayed = agent == layout.slots - 1 and (agent == 0 or snapshot.reward != 0)
        canvas.arrow(layout.stay() if stayed else layout.forward(agent), TAKEN[FORWARD], 5)


def _draw_state(canvas: _Canvas, centre: complex, state: int | None, is_agent: bool) -> None:
    if state is None:
        canvas.disc(centre, RADIUS, PAPER)
        for shift in (-11, 0, 11):
            canvas.disc(centre + shift, 3, GREY)
        return
    canvas.disc(centre, RADIUS, INK if is_agent else GREY)
    if not is_agent:
        canvas.disc(centre, RADIUS - 2, PAPER)
    canvas.number(str(state), centre, PAPER if is_agent else INK)


def _draw_panel(canvas: _Canvas, snapshot: Snapshot) -> None:
    top, right = canvas.height - PANEL, canvas.width - MARGIN
    canvas.stroke([complex(MARGIN, top), complex(right, top)], LINE, 1.4)
    reward = None if snapshot.action is None else as_number(snapshot.reward)
    columns: list[tuple[str, int | None, str | None, float]] = [
        ("chosen", snapshot.action, None, 1.4),
        ("executed", snapshot.executed, None, 1.6),
        ("reward", None, reward, 1.0),
        ("return", None, as_number(snapshot.total), 1.1),
        ("step", None, str(snapshot.steps), 0.8),
    ]
    unit = (right - MARGIN) / sum(fraction for *_, fraction in columns)
    at = complex(MARGIN, top + 34)
    for caption, action, value, fraction in columns:
        width, below = unit * fraction - 16, at + 32j
        end = canvas.text(caption, at, 20, GREY, width)
        if caption == "executed" and snapshot.slipped:
            canvas.pill("slipped", complex(end + 8, at.imag), 18)
        if action is not None:
            icon = [below + 2 - 8j, below + 23 - 8j]
            canvas.arrow(icon if action == FORWARD else icon[::-1], TAKEN[action], 4)
            canvas.text(NAMES[action], below + 31, 28, INK, width - 31)
        elif value is not None:
            canvas.text(value, below, 28, INK, width)
        else:
            canvas.stroke([below - 8j, below + 14 - 8j], GREY, 2.4)
        at += unit * fraction


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
            step = _unit(end - start) * (RADIUS + 3)
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
        start = corner + _unit(before - corner) * radius
        end = corner + _unit(after - corner) * radius
        for k in range(9):
            t = k / 8
            path.append((1 - t) ** 2 * start + 2 * t * (1 - t) * corner + t**2 * end)
    return [*path, points[-1]]


class _Canvas:
    """A surface FINE times as large as the picture; shrinking it smooths the edges."""

    def __init__(self, width: int, height: int) -> None:
        import pygame

        pygame.font.init()
        self.width, self.height = width, height
        # smoothscale needs a depth of 32 bits, whatever the display has.
        self.surface = pygame.Surface((width * FINE, height * FINE), depth=32)
        self.surface.fill(PAPER)
        # Fonts are not kept for the next picture: any call of pygame.quit() makes them unusable.
        self.fonts: dict[int, pygame.font.Font] = {}

    def fill(self, outline: Sequence[complex], colour: Colour) -> None:
        import pygame

        pygame.draw.polygon(self.surface, colour, [_pixel(point) for point in outline])

    def disc(self, centre: complex, radius: float, colour: Colour) -> None:
        turn = (math.radians(degrees) for degrees in range(0, 360, 5))
        self.fill([centre + cmath.rect(radius, angle) for angle in turn], colour)

    def stroke(self, path: Sequence[complex], colour: Colour, width: float) -> None:
        ways = [_unit(end - start) for start, end in pairwise(path)]
        tangents = [ways[0], *(_unit(way + after) for way, after in pairwise(ways)), ways[-1]]
        sides = [tangent * width * 0.5j for tangent in tangents]
        left = [point - side for point, side in zip(path, sides, strict=True)]
        right = [point + side for point, side in zip(path, sides, strict=True)]
        self.fill(left + right[::-1], colour)

    def arrow(self, path: Sequence[complex], colour: Colour, width: float) -> None:
        tip, length = path[-1], 8 + width
        shaft = [point for point in path if abs(tip - point) > length]
        along = _unit(tip - shaft[-1])
        base, side = tip - along * length, along * 1j * (3.5 + width / 2)
        self.stroke([*shaft, base + along], colour, width)
        self.fill([tip, base + side, base - side], colour)

    def text(self, text: str, at: complex, size: int, colour: Colour, width: float) -> float:
        """Write a text whose baseline begins at `at`; return the x where it ends."""
        font = self._font(text, size, width)
        x, y = _pixel(at)
        # Letter by letter, because pygame's font has too much space between "k" and "w".
        for letter in text:
            self.surface.blit(font.render(letter, True, colour), (x, y - font.get_ascent()))
            x += font.size(letter)[0]
        return x / FINE

    def number(self, text: str, centre: complex, colour: Colour) -> None:
        """Write a state's number, centred at `centre`."""
        image = self._font(text, 30, 2 * RADIUS - 13).render(text, True, colour)
        inked = image.get_bounding_rect()
        x, y = _pixel(centre)
        self.surface.blit(image, (x - inked.centerx, y - inked.centery))

    def pill(self, text: str, at: complex, size: int) -> None:
        """Write a text in light letters on a dark ground. `at` is as for `text`."""
        start = at + 10 - 5j
        end = start + self._font(text, size, math.inf).size(text)[0] / FINE - 6
        self.stroke([start, end], INK, 20)
        self.disc(start, 10, INK)
        self.disc(end, 10, INK)
        self.text(text, at + 7, size, PAPER, math.inf)

    def _font(self, text: str, size: int, width: float) -> pygame.font.Font:
        """Return the largest font of at most this size in which the text fits into the width."""
        import pygame

        while True:
            if size not in self.fonts:
                self.fonts[size] = pygame.font.Font(None, size * FINE)
            font = self.fonts[size]
            if size <= 6 or font.size(text)[0] <= width * FINE:
                return font
            size -= 1


def _unit(direction: complex) -> complex:
    return direction / abs(direction)


def _pixel(point: complex) -> tuple[int, int]:
    return round(point.real * FINE), round(point.imag * FINE)
