"""Generates images: one shape of random color, size, position and orientation on a cluttered and noisy background.

All randomness comes from the ``random.Random`` that is passed as an argument: the same seed generates the same image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from zoo_tiny.pen import Figure, Pen

if TYPE_CHECKING:
    from PIL.Image import Image

#: Height and width of an image in pixels.
SIDE = 96
#: Smallest distance between the colors of a shape and of its background; black and white have a distance of 441.
CONTRAST = 110

Color = tuple[int, int, int]


def draw_folder(folder: Path, figures: Mapping[str, Figure], *, count: int, seed: str) -> None:
    """Generate ``count`` images of each shape: ``folder/NAME/000.jpg`` and so on."""
    for name, figure in figures.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            picture = draw_picture(figure, Random(f"{seed}/{name}/{number}"))  # noqa: S311  # not used for security
            picture.save(folder / name / f"{number:03}.jpg", quality=90)


def draw_picture(figure: Figure, random: Random) -> Image:
    """Generate one RGB image."""
    from PIL import Image

    background = _mix_color(random), _mix_color(random)
    picture = _draw_gradient(*background, random)
    for _ in range(random.randint(2, 7)):
        _draw_clutter(picture, random)
    picture.paste(_draw_gradient(*_mix_contrasting(background, random), random), mask=_draw_mask(figure, random))
    noise = Image.frombytes("RGB", picture.size, random.randbytes(3 * SIDE * SIDE))
    return Image.blend(picture, noise, random.uniform(0.05, 0.3))


def _draw_mask(figure: Figure, random: Random) -> Image:
    radius = random.uniform(0.24, 0.42) * SIDE
    room = SIDE / 2 - radius
    center = SIDE / 2 + random.uniform(-room, room), SIDE / 2 + random.uniform(-room, room)
    pen = Pen(SIDE, center, radius=radius, turns=random.random())
    figure(pen, random)
    return pen.mask()


def _draw_clutter(picture: Image, random: Random) -> None:
    """Draw a line or a spot that carries no information."""
    from PIL import ImageDraw

    draw, color = ImageDraw.Draw(picture), _mix_color(random)
    x, y = random.uniform(0, SIDE), random.uniform(0, SIDE)
    across, down = random.uniform(3, SIDE / 3), random.uniform(3, SIDE / 3)
    if random.random() < 0.5:
        draw.line([(x, y), (x + random.choice([-1, 1]) * across, y + down)], fill=color, width=random.randint(1, 4))
    else:
        draw.ellipse([(x, y), (x + across / 3, y + down / 3)], fill=color)


def _draw_gradient(start: Color, end: Color, random: Random) -> Image:
    """Draw a gradient from one color to another, in a random direction."""
    from PIL import Image

    ramp = Image.linear_gradient("L").rotate(random.uniform(0, 360), Image.Resampling.BILINEAR)
    middle = ramp.crop((38, 38, 218, 218)).resize((SIDE, SIDE))  # without the corners, which a rotation leaves empty
    return Image.composite(Image.new("RGB", middle.size, end), Image.new("RGB", middle.size, start), middle)


def _mix_color(random: Random) -> Color:
    return random.randint(0, 255), random.randint(0, 255), random.randint(0, 255)


def _mix_contrasting(background: tuple[Color, Color], random: Random) -> tuple[Color, Color]:
    """Mix two colors that both contrast with both colors of the background."""
    found: list[Color] = []
    while len(found) < 2:
        color = _mix_color(random)
        if min(math.dist(color, other) for other in background) >= CONTRAST:
            found.append(color)
    return found[0], found[1]
