"""A pen that draws one shape, and functions for the outlines of shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

#: Factor by which masks are drawn larger and then reduced, because Pillow draws jagged edges.
SUPERSAMPLING = 3

Point = tuple[float, float]


class Pen:
    """Draws a mask in the coordinates of the shape, which extends about 1 from the origin in all directions."""

    def __init__(self, side: int, center: Point, *, radius: float, turns: float) -> None:
        """Create an empty mask.

        Args:
            side: Height and width of the mask in pixels.
            center: Position of the origin in pixels.
            radius: Length of one unit in pixels.
            turns: Rotation in turns.
        """
        from PIL import Image, ImageDraw

        self._center, self._radius, self._turns = center, radius, turns
        self._image = Image.new("L", (side * SUPERSAMPLING, side * SUPERSAMPLING))
        self._draw = ImageDraw.Draw(self._image)

    def fill(self, outline: Iterable[Point]) -> None:
        """Fill a polygon."""
        self._draw.polygon(self._place(outline), fill=255)

    def cut(self, outline: Iterable[Point]) -> None:
        """Remove a polygon from the mask."""
        self._draw.polygon(self._place(outline), fill=0)

    def stroke(self, points: Iterable[Point], width: float) -> None:
        """Draw a line through the points."""
        self._draw.line(self._place(points), fill=255, width=round(width * self._radius * SUPERSAMPLING), joint="curve")

    def mask(self) -> Image:
        """Return the mask: 255 inside the shape, 0 outside."""
        return self._image.reduce(SUPERSAMPLING)

    def _place(self, points: Iterable[Point]) -> list[Point]:
        """Convert points from the shape's coordinates to the mask's."""
        (x, y), radius = self._center, self._radius
        turned = [
            polar(math.hypot(*point), math.atan2(point[1], point[0]) / math.tau + self._turns) for point in points
        ]
        return [((x + radius * right) * SUPERSAMPLING, (y + radius * down) * SUPERSAMPLING) for right, down in turned]


#: Function that draws a shape, with random details.
Figure = Callable[[Pen, Random], None]


def polar(radius: float, turns: float) -> Point:
    """Return the point at the given distance from the origin, in the given direction (in turns)."""
    return radius * math.cos(math.tau * turns), radius * math.sin(math.tau * turns)


def arc(start: float, end: float, radius: float = 1.0) -> list[Point]:
    """Return points on an arc from ``start`` to ``end``, both in turns."""
    return [polar(radius, start + (end - start) * step / 48) for step in range(49)]


def circle(radius: float, center: Point = (0.0, 0.0)) -> list[Point]:
    """Return the outline of a disc."""
    return [(center[0] + x, center[1] + y) for x, y in arc(0, 1, radius)]


def polygon(corners: int, radius: float = 1.0) -> list[Point]:
    """Return the outline of a regular polygon."""
    return [polar(radius, corner / corners) for corner in range(corners)]


def star(tips: int, inner: float, outer: float = 1.0) -> list[Point]:
    """Return the outline of a star; ``inner`` is the distance of its inner corners from the origin."""
    return [polar(inner if corner % 2 else outer, corner / (2 * tips)) for corner in range(2 * tips)]
