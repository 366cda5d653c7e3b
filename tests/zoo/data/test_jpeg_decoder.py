"""torchvision's JPEG decoder is used without importing torchvision."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from zoo.data.jpeg_decoder import find_jpeg_decoder

#: Decodes a JPEG before and after torchvision is imported.
CODE = """
import sys, warnings
import torch
from zoo.data.decode import decode_image
pixels = decode_image(open(sys.argv[1], "rb").read())
assert "torchvision" not in sys.modules
warnings.simplefilter("ignore")
from torchvision.io import ImageReadMode, decode_image as decode
assert torch.equal(pixels, decode(torch.frombuffer(bytearray(open(sys.argv[1], "rb").read()), dtype=torch.uint8)))
"""


@pytest.mark.parametrize("size", [(60, 40), (500, 333), (1600, 1200), (4000, 3000)])
def test_pixels_are_those_of_torchvision_without_importing_it(tmp_path: Path, size: tuple[int, int]) -> None:
    noise = Image.effect_noise((size[0] // 4, size[1] // 4), 60).resize(size)
    Image.merge("RGB", (noise, noise.rotate(90, expand=True).resize(size), noise.transpose(0))).save(
        tmp_path / "photo.jpg", quality=85
    )
    subprocess.run([sys.executable, "-c", CODE, tmp_path / "photo.jpg"], check=True, timeout=120)


def test_without_torchvision_there_is_no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    find_jpeg_decoder.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr("torch.ops.image", object())
    try:
        assert find_jpeg_decoder() is None
    finally:
        find_jpeg_decoder.cache_clear()
