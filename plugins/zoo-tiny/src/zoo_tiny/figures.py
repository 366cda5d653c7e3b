"""The shapes that the backbone is pretrained on. They do not include suns and moons, which are for fine-tuning."""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random

from zoo_tiny.pen import Figure, Pen, arc, circle, polar, polygon, star


def disc(pen: Pen, random: Random) -> None:
    """Draw a disc."""
    pen.fill(circle(random.uniform(0.7, 1)))


def ring(pen: Pen, random: Random) -> None:
    """Draw a disc with a hole in the middle."""
    pen.fill(circle(1))
    pen.cut(circle(random.uniform(0.4, 0.8)))


def half(pen: Pen, random: Random) -> None:
    """Draw about half of a disc, cut along a straight line."""
    reach = random.uniform(0.2, 0.3)
    pen.fill(arc(-reach, reach))


def mouth(pen: Pen, random: Random) -> None:
    """Draw a disc with one slice missing."""
    slit = random.uniform(0.06, 0.16)
    pen.fill([(0, 0), *arc(slit, 1 - slit)])


def lens(pen: Pen, random: Random) -> None:
    """Draw the intersection of two discs."""
    apart = random.uniform(0.4, 0.8)
    half, reach = math.acos(apart) / math.tau, math.sqrt(1 - apart**2)
    sides = [(x - apart, y) for x, y in arc(-half, half)] + [(x + apart, y) for x, y in arc(0.5 - half, 0.5 + half)]
    pen.fill((x / reach, y / reach) for x, y in sides)


def hook(pen: Pen, random: Random) -> None:
    """Draw an arc of constant width."""
    reach, width = random.uniform(0.2, 0.36), random.uniform(0.2, 0.45)
    pen.stroke(arc(-reach, reach, 1 - width / 2), width)


def drop(pen: Pen, random: Random) -> None:
    """Draw a drop."""
    radius = random.uniform(0.45, 0.65)
    pen.fill([(1, 0), *((x + radius - 1, y) for x, y in arc(0.17, 0.83, radius))])


def heart(pen: Pen, random: Random) -> None:
    """Draw a heart."""
    radius = random.uniform(0.45, 0.55)
    for side in (-1, 1):
        pen.fill(circle(radius, (-0.35, side * 0.42)))
    pen.fill([(-0.1, -0.93), (-0.1, 0.93), (0.95, 0)])


def triangle(pen: Pen, random: Random) -> None:
    """Draw a triangle."""
    pen.fill([polar(1, random.uniform(-0.06, 0.06) + corner / 3) for corner in range(3)])


def box(pen: Pen, random: Random) -> None:
    """Draw a rectangle."""
    side = random.uniform(0.4, 0.75)
    pen.fill([(0.75, side), (-0.75, side), (-0.75, -side), (0.75, -side)])


def frame(pen: Pen, random: Random) -> None:
    """Draw a polygon with a hole."""
    corners, inner = random.randint(3, 5), random.uniform(0.4, 0.65)
    pen.fill(polygon(corners))
    pen.cut(polygon(corners, inner))


def hexagon(pen: Pen, random: Random) -> None:
    """Draw a polygon with five or six corners."""
    pen.fill(polygon(random.randint(5, 6)))


def pointed_star(pen: Pen, random: Random) -> None:
    """Draw a star with four to six points."""
    pen.fill(star(random.randint(4, 6), random.uniform(0.35, 0.5)))


def burst(pen: Pen, random: Random) -> None:
    """Draw lines that start near the center."""
    lines = random.randint(6, 12)
    for line in range(lines):
        pen.stroke([polar(random.choice([0.0, 0.3]), line / lines), polar(1, line / lines)], 0.12)


def gear(pen: Pen, random: Random) -> None:
    """Draw a toothed wheel with a hole."""
    teeth, root = random.randint(7, 11), random.uniform(0.65, 0.8)
    outline = [polar(1.0 if quarter % 4 < 2 else root, quarter / (4 * teeth)) for quarter in range(4 * teeth)]
    pen.fill(outline)
    pen.cut(circle(random.uniform(0.2, 0.4)))


def flower(pen: Pen, random: Random) -> None:
    """Draw round petals around the center."""
    petals = random.randint(5, 8)
    for petal in range(petals):
        pen.fill(circle(0.28, polar(0.7, petal / petals)))
    if random.random() < 0.5:
        pen.fill(circle(0.5))


def wheel(pen: Pen, random: Random) -> None:
    """Draw a ring with spokes."""
    spokes, width = random.randint(2, 4), random.uniform(0.1, 0.16)
    pen.stroke(arc(0, 1, 0.9), 0.18)
    for spoke in range(spokes):
        pen.stroke([polar(0.9, spoke / spokes / 2), polar(-0.9, spoke / spokes / 2)], width)


def cross(pen: Pen, random: Random) -> None:
    """Draw a cross."""
    width = random.uniform(0.25, 0.5)
    pen.stroke([(-1, 0), (1, 0)], width)
    pen.stroke([(0, -1), (0, 1)], width)


def tee(pen: Pen, random: Random) -> None:
    """Draw the letter T."""
    width = random.uniform(0.25, 0.45)
    pen.stroke([(0.8, -0.8), (0.8, 0.8)], width)
    pen.stroke([(-0.9, 0), (0.8, 0)], width)


def arrow(pen: Pen, random: Random) -> None:
    """Draw an arrow."""
    neck = random.uniform(0, 0.3)
    pen.stroke([(-1, 0), (neck + 0.1, 0)], random.uniform(0.2, 0.4))
    pen.fill([(1, 0), (neck, -0.65), (neck, 0.65)])


def spiral(pen: Pen, random: Random) -> None:
    """Draw a spiral."""
    turns = random.choice([-1, 1]) * random.uniform(1.6, 2.4)
    pen.stroke([polar(step / 60, turns * step / 60) for step in range(5, 56)], 0.16)


def zigzag(pen: Pen, random: Random) -> None:
    """Draw a zigzag line."""
    corners, height = random.randint(4, 6), random.uniform(0.3, 0.5)
    pen.stroke([(2 * corner / corners - 0.9, height * (-1) ** corner) for corner in range(corners)], 0.2)


def bars(pen: Pen, random: Random) -> None:
    """Draw parallel bars."""
    count = random.randint(3, 4)
    for bar in range(count):
        height = 1.6 * bar / (count - 1) - 0.8
        pen.stroke([(-0.6, height), (0.6, height)], 0.9 / count)


def beads(pen: Pen, random: Random) -> None:
    """Draw small discs on a circle."""
    count = random.randint(6, 10)
    for bead in range(count):
        pen.fill(circle(1.3 / count, polar(0.82, bead / count)))


#: Shapes, keyed by the name of their class.
FIGURES: Mapping[str, Figure] = {
    figure.__name__: figure
    for figure in (
        arrow, bars, beads, box, burst, cross, disc, drop, flower, frame, gear, half, heart, hexagon, hook, lens,
        mouth, pointed_star, ring, spiral, tee, triangle, wheel, zigzag,
    )
}  # fmt: skip
