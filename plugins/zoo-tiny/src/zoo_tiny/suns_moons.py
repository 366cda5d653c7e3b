"""The data set ``tiny/suns_moons``: a few training images of shapes that the backbone was not pretrained on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random

from zoo_tiny.drawing import draw_folder
from zoo_tiny.pen import Figure, Pen, circle, polar

#: Number of images per class.
TRAIN, VAL = 20, 100


def sun(pen: Pen, random: Random) -> None:
    """Draw a disc with rays around it."""
    rays, radius, width = random.randint(7, 12), random.uniform(0.4, 0.62), random.uniform(0.1, 0.16)
    pen.fill(circle(radius))
    for ray in range(rays):
        pen.stroke([polar(radius + 0.12, ray / rays), polar(1, ray / rays)], width)


def moon(pen: Pen, random: Random) -> None:
    """Draw a crescent."""
    pen.fill(circle(1))
    pen.cut(circle(random.uniform(0.75, 1), (random.uniform(0.45, 0.65), 0)))


#: Shapes, keyed by the name of their class.
FIGURES: Mapping[str, Figure] = {"suns": sun, "moons": moon}


def make_suns_moons(folder: Path) -> None:
    """Write the images into train/ and val/, each with suns/ and moons/. They are always the same."""
    draw_folder(folder / "train", FIGURES, count=TRAIN, seed="suns_moons/train")
    draw_folder(folder / "val", FIGURES, count=VAL, seed="suns_moons/val")
