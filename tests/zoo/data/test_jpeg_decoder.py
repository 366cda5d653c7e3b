"""torchvision's JPEG decoder is used without importing torchvision."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from zoo.data.jpeg_decoder import find_jpeg_decoder

#: Decodes JPEGs before and after torchvision is imported.
CODE = """
import sys, warnings
import torch
from zoo.data.decode import decode_image
files = [open(path, "rb").read() for path in sys.argv[1:]]
found = [decode_image(file) for file in files]
assert "torchvision" not in sys.modules
warnings.simplefilter("ignore")
from torchvision.io import decode_image as decode
for pixels, file in zip(found, files, strict=True):
    assert torch.equal(pixels, decode(torch.frombuffer(bytearray(file), dtype=torch.uint8))), pixels.shape
"""
SIZES = [(60, 40), (500, 333), (1600, 1200)]


@pytest.mark.parametrize("sizes", [SIZES, pytest.param([(4000, 3000)], marks=pytest.mark.breadth)], ids=str)
def test_pixels_are_those_of_torchvision_without_importing_it(tmp_path: Path, sizes: list[tuple[int, int]]) -> None:
    paths = [tmp_path / f"{width}.jpg" for width, _ in sizes]
    for path, size in zip(paths, sizes, strict=True):
        noise = Image.effect_noise((size[0] // 4, size[1] // 4), 60).resize(size)
        photo = Image.merge("RGB", (noise, noise.rotate(90, expand=True).resize(size), noise.transpose(0)))
        photo.save(path, quality=85)
    subprocess.run([sys.executable, "-c", CODE, *paths], check=True, timeout=120)


def test_without_torchvision_there_is_no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    find_jpeg_decoder.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr("torch.ops.image", object())
    try:
        assert find_jpeg_decoder() is None
    finally:
        find_jpeg_decoder.cache_clear()
