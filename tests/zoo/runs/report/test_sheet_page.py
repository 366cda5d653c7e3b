"""A page with a contact sheet shows images with any number of channels as the contact sheet does."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.data.channels import to_visible
from zoo.data.contact_sheet import Row
from zoo.runs.report.sheet_page import build_sheet_page


@pytest.mark.parametrize("channels", range(1, 7))
def test_images_are_shown_in_the_colors_of_the_contact_sheet(channels: int) -> None:
    image = torch.randint(0, 256, (channels, 3, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    (encoded,) = re.findall(r"base64,([A-Za-z0-9+/=]+)", build_sheet_page("title", "caption", [Row("row", [image])]))
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as shown:
        assert shown.mode == "RGB"
        assert torch.equal(torch.from_numpy(np.array(shown)).permute(2, 0, 1), to_visible(image))
