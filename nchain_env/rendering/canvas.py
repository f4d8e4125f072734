"""Lines, arrows and texts on a surface of pygame. Points are complex numbers x + y * 1j."""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pygame

Colour = tuple[int, int, int]

PAPER, INK, GREY, LINE = (252, 252, 250), (31, 41, 55), (97, 107, 122), (222, 225, 229)
# Okabe and Ito's blue and vermilion, which colour-blind people can distinguish.
BLUE, VERMILION = (0, 114, 178), (213, 94, 0)

# Lengths in pixels of the picture.
RADIUS, PANEL, MARGIN, MIN_WIDTH = 26, 96, 32, 680
FINE = 3  # the canvas is so many times as wide and as high as the picture


class Canvas:
    """A surface FINE times as large as the picture; shrinking it smooths the edges.

    Args:
        width, height: Of the picture, in pixels; odd ones are made even.
    """

    def __init__(self, width: int, height: int) -> None:
        import pygame

        pygame.font.init()
        self.width, self.height = width + width % 2, height + height % 2
        # smoothscale needs a depth of 32 bits, whatever the display has.
        self.surface = pygame.Surface((self.width * FINE, self.height * FINE), depth=32)
        self.surface.fill(PAPER)
        # Fonts are not kept for the next picture: any call of pygame.quit() makes them unusable.
        self.fonts: dict[int, pygame.font.Font] = {}

    def picture(self) -> pygame.Surface:
        """Return the picture."""
        import pygame

        return pygame.transform.smoothscale(self.surface, (self.width, self.height))

    def fill(self, outline: Sequence[complex], colour: Colour) -> None:
        """Fill a polygon."""
        import pygame

        pygame.draw.polygon(self.surface, colour, [_pixel(point) for point in outline])

    def disc(self, centre: complex, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        turn = (math.radians(degrees) for degrees in range(0, 360, 5))
        self.fill([centre + cmath.rect(radius, angle) for angle in turn], colour)

    def stroke(self, path: Sequence[complex], colour: Colour, width: float) -> None:
        """Draw a line."""
        ways = [unit(end - start) for start, end in pairwise(path)]
        tangents = [ways[0], *(unit(way + after) for way, after in pairwise(ways)), ways[-1]]
        sides = [tangent * width * 0.5j for tangent in tangents]
        left = [point - side for point, side in zip(path, sides, strict=True)]
        right = [point + side for point, side in zip(path, sides, strict=True)]
        self.fill(left + right[::-1], colour)

    def arrow(self, path: Sequence[complex], colour: Colour, width: float) -> None:
        """Draw an arrow whose tip is the end of the path."""
        tip, length = path[-1], 8 + width
        shaft = [point for point in path if abs(tip - point) > length]
        along = unit(tip - shaft[-1])
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

    def state(self, state: int | None, centre: complex, is_current: bool) -> None:
        """Draw a state as a disc with its number; None for several that are not shown."""
        if state is None:
            self.disc(centre, RADIUS, PAPER)
            for shift in (-11, 0, 11):
                self.disc(centre + shift, 3, GREY)
            return
        self.disc(centre, RADIUS, INK if is_current else GREY)
        if not is_current:
            self.disc(centre, RADIUS - 2, PAPER)
        self.number(str(state), centre, PAPER if is_current else INK)

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


def unit(direction: complex) -> complex:
    """Return the direction with length 1."""
    return direction / abs(direction)


def _pixel(point: complex) -> tuple[int, int]:
    return round(point.real * FINE), round(point.imag * FINE)
