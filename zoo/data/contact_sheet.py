"""Draw a contact sheet: rows of images with a title above each row, and possibly a caption below each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from zoo.data.channels import to_visible
from zoo.data.pillow_tensors import to_pillow
from zoo.progress.printable import make_printable

#: Distance between images, and height of the line with a title, in pixels.
_GAP, _LINE = 6, 22
_FONT_SIZE = 14
_BACKGROUND, _INK = "white", "black"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a contact sheet."""

    title: str
    #: Images, uint8 of shape (C, height, width), all of the same size.
    images: Sequence[Tensor]
    #: The lines of the caption of each image; empty without captions.
    captions: Sequence[Sequence[str]] = ()


def draw_sheet(rows: Sequence[Row]) -> Image.Image:
    """Draw rows of images below each other. All images of all rows have the same size."""
    height, width = rows[0].images[0].shape[1:]
    columns = max(len(row.images) for row in rows)
    num_lines = max((len(lines) for row in rows for lines in row.captions), default=0)
    step = (1 + num_lines) * _LINE + height + _GAP
    sheet = Image.new("RGB", (_GAP + columns * (width + _GAP), _GAP + len(rows) * step), _BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT_SIZE)

    def fits(text: str) -> bool:
        return draw.textlength(text, font) <= width

    for number, row in enumerate(rows):
        top = _GAP + number * step
        draw.text((_GAP, top), make_printable(row.title), _INK, font)
        for place, image in enumerate(row.images):
            left = _GAP + place * (width + _GAP)
            sheet.paste(to_pillow(to_visible(image)), (left, top + _LINE))
            for line, text in enumerate(row.captions[place] if row.captions else ()):
                below = top + height + (1 + line) * _LINE
                draw.text((left, below), _shorten(make_printable(text), fits), _INK, font)
    return sheet


def _shorten(text: str, fits: Callable[[str], bool]) -> str:
    """Return a text that fits, or as much of its beginning as fits, followed by dots."""
    if fits(text):
        return text
    ends = range(len(text), -1, -1)
    return next((short for short in (f"{text[:end]}..." for end in ends) if fits(short)), "")
