"""Draws pictures: a figure somewhere on a cluttered and noisy ground, in any colours, size and direction.

All that is random comes from the ``random.Random`` that is passed along: the same seed draws the same picture.
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

#: Height and width of a picture in pixels.
SIDE = 96
#: The least distance between the colours of a figure and of its ground; that of black and white is 441.
CONTRAST = 110

Colour = tuple[int, int, int]


def draw_folder(folder: Path, figures: Mapping[str, Figure], *, count: int, seed: str) -> None:
    """Draw ``count`` pictures of every figure: ``folder/NAME/000.jpg`` and so on."""
    for name, figure in figures.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            picture = draw_picture(figure, Random(f"{seed}/{name}/{number}"))  # noqa: S311  # it keeps no secret
            picture.save(folder / name / f"{number:03}.jpg", quality=90)


def draw_picture(figure: Figure, random: Random) -> Image:
    """Draw one picture, RGB."""
    from PIL import Image

    ground = _mix_colour(random), _mix_colour(random)
    picture = _shade(*ground, random)
    for _ in range(random.randint(2, 7)):
        _draw_scrap(picture, random)
    picture.paste(_shade(*_mix_contrasting(ground, random), random), mask=_draw_mask(figure, random))
    noise = Image.frombytes("RGB", picture.size, random.randbytes(3 * SIDE * SIDE))
    return Image.blend(picture, noise, random.uniform(0.05, 0.3))


def _draw_mask(figure: Figure, random: Random) -> Image:
    radius = random.uniform(0.24, 0.42) * SIDE
    room = SIDE / 2 - radius
    centre = SIDE / 2 + random.uniform(-room, room), SIDE / 2 + random.uniform(-room, room)
    pen = Pen(SIDE, centre, radius=radius, turns=random.random())
    figure(pen, random)
    return pen.mask()


def _draw_scrap(picture: Image, random: Random) -> None:
    """Draw a line or a blot that means nothing."""
    from PIL import ImageDraw

    draw, colour = ImageDraw.Draw(picture), _mix_colour(random)
    x, y = random.uniform(0, SIDE), random.uniform(0, SIDE)
    across, down = random.uniform(3, SIDE / 3), random.uniform(3, SIDE / 3)
    if random.random() < 0.5:
        draw.line([(x, y), (x + random.choice([-1, 1]) * across, y + down)], fill=colour, width=random.randint(1, 4))
    else:
        draw.ellipse([(x, y), (x + across / 3, y + down / 3)], fill=colour)


def _shade(start: Colour, end: Colour, random: Random) -> Image:
    """Draw a sheet that goes from one colour to another, in any direction."""
    from PIL import Image

    ramp = Image.linear_gradient("L").rotate(random.uniform(0, 360), Image.Resampling.BILINEAR)
    middle = ramp.crop((38, 38, 218, 218)).resize((SIDE, SIDE))  # the corners of what is turned are empty
    return Image.composite(Image.new("RGB", middle.size, end), Image.new("RGB", middle.size, start), middle)


def _mix_colour(random: Random) -> Colour:
    return random.randint(0, 255), random.randint(0, 255), random.randint(0, 255)


def _mix_contrasting(ground: tuple[Colour, Colour], random: Random) -> tuple[Colour, Colour]:
    """Mix two colours that stand out from both of the ground, whichever part of it the figure covers."""
    found: list[Colour] = []
    while len(found) < 2:
        colour = _mix_colour(random)
        if min(math.dist(colour, other) for other in ground) >= CONTRAST:
            found.append(colour)
    return found[0], found[1]
