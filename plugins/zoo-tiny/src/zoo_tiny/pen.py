"""A pen that draws one figure, and the outlines that figures are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

#: Masks are drawn so many times larger and then reduced: Pillow's own edges are jagged.
FINENESS = 3

Point = tuple[float, float]


class Pen:
    """Draws a mask in a figure's own coordinates: it reaches about 1 from the origin in all directions."""

    def __init__(self, side: int, centre: Point, *, radius: float, turns: float) -> None:
        """Take a square sheet of ``side`` pixels; the figure lies at ``centre``, ``radius`` pixels large, turned."""
        from PIL import Image, ImageDraw

        self._centre, self._radius, self._turns = centre, radius, turns
        self._sheet = Image.new("L", (side * FINENESS, side * FINENESS))
        self._draw = ImageDraw.Draw(self._sheet)

    def fill(self, outline: Iterable[Point]) -> None:
        """Fill a polygon."""
        self._draw.polygon(self._place(outline), fill=255)

    def cut(self, outline: Iterable[Point]) -> None:
        """Take a polygon out of what is drawn so far."""
        self._draw.polygon(self._place(outline), fill=0)

    def stroke(self, points: Iterable[Point], width: float) -> None:
        """Draw a line through the points."""
        self._draw.line(self._place(points), fill=255, width=round(width * self._radius * FINENESS), joint="curve")

    def mask(self) -> Image:
        """Return what is drawn, 255 inside and 0 outside."""
        return self._sheet.reduce(FINENESS)

    def _place(self, points: Iterable[Point]) -> list[Point]:
        """Turn, scale and move from the figure's coordinates to the sheet's."""
        (x, y), radius = self._centre, self._radius
        turned = [
            polar(math.hypot(*point), math.atan2(point[1], point[0]) / math.tau + self._turns) for point in points
        ]
        return [((x + radius * right) * FINENESS, (y + radius * down) * FINENESS) for right, down in turned]


#: Draws one figure; which one of its kind is random.
Figure = Callable[[Pen, Random], None]


def polar(radius: float, turns: float) -> Point:
    """Return the point at that distance from the origin, in that direction."""
    return radius * math.cos(math.tau * turns), radius * math.sin(math.tau * turns)


def arc(start: float, end: float, radius: float = 1.0) -> list[Point]:
    """Return points on a part of a circle, from ``start`` to ``end`` in turns."""
    return [polar(radius, start + (end - start) * step / 48) for step in range(49)]


def circle(radius: float, centre: Point = (0.0, 0.0)) -> list[Point]:
    """Return the outline of a disc."""
    return [(centre[0] + x, centre[1] + y) for x, y in arc(0, 1, radius)]


def polygon(corners: int, radius: float = 1.0) -> list[Point]:
    """Return the outline of a regular polygon."""
    return [polar(radius, corner / corners) for corner in range(corners)]


def star(tips: int, inner: float, outer: float = 1.0) -> list[Point]:
    """Return the outline of a star; ``inner`` is how far the corners between its tips are from the origin."""
    return [polar(inner if corner % 2 else outer, corner / (2 * tips)) for corner in range(2 * tips)]
