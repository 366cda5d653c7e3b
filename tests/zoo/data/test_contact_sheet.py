"""Captions are drawn below the images of a contact sheet."""

from __future__ import annotations

import torch

from zoo.data.contact_sheet import Row, _shorten, draw_sheet

IMAGE = torch.zeros(3, 40, 60, dtype=torch.uint8)


def test_a_sheet_with_captions_is_higher_and_has_ink_below_its_image() -> None:
    plain, captioned = draw_sheet([Row("title", [IMAGE])]), draw_sheet([Row("title", [IMAGE], [["ant", "bee"]])])
    assert captioned.height == plain.height + 2 * 22
    below = captioned.crop((6, 6 + 22 + 40, 66, captioned.height)).convert("L")
    assert below.getextrema()[0] < 128


def test_a_long_caption_does_not_reach_the_next_image() -> None:
    rows = [Row("title", [IMAGE, IMAGE], [["long " * 50], []])]
    gap = draw_sheet(rows).crop((6 + 60, 6 + 22 + 40, 6 + 60 + 6, 6 + 2 * 22 + 40)).convert("L")
    assert gap.getextrema() == (255, 255)


def test_a_text_that_fits_stays_and_a_longer_one_ends_with_dots() -> None:
    assert _shorten("ant", lambda text: len(text) <= 5) == "ant"
    assert _shorten("honey bee", lambda text: len(text) <= 5) == "ho..."
    assert _shorten("honey bee", lambda text: len(text) <= 2) == ""
