from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.data.decode import decode_image
from zoo.data.memory_images import build_memory_image, is_memory_image
from zoo.errors import DataError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)


def decode(value: Any, bits: int | None = None) -> torch.Tensor:
    assert is_memory_image(value)
    with build_memory_image(value, 0).decoded(bits) as image:
        return image.pixels


def encode(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def test_all_forms_of_an_image_have_the_same_pixels() -> None:
    expected = torch.from_numpy(PIXELS).permute(2, 0, 1)
    data = encode(Image.fromarray(PIXELS))
    forms = (
        Image.fromarray(PIXELS), Image.open(io.BytesIO(data)), PIXELS, PIXELS[::-1][::-1], expected.clone(),
        expected.float().requires_grad_().byte(), data, bytearray(data), memoryview(data), io.BytesIO(data),
    )  # fmt: skip
    assert all(torch.equal(decode(form), expected) for form in forms)


@pytest.mark.parametrize(
    "form", [PIXELS[..., 0], PIXELS[..., :1], torch.from_numpy(PIXELS[None, ..., 0]), Image.fromarray(PIXELS[..., 0])]
)
def test_a_gray_image_becomes_rgb(form: Any) -> None:
    assert torch.equal(decode(form), torch.from_numpy(PIXELS[..., 0]).expand(3, -1, -1))


def test_transparent_pixels_are_white() -> None:
    rgba = np.dstack([PIXELS, np.zeros((5, 7), np.uint8)])
    forms = (rgba, torch.from_numpy(rgba).permute(2, 0, 1), Image.fromarray(rgba))
    assert all((decode(form) == 255).all() for form in forms)


@pytest.mark.parametrize("is_loaded", [False, True])
def test_a_pil_image_is_rotated_like_its_file(tmp_path: Path, *, is_loaded: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(tmp_path / "x.png", exif=exif)
    image = Image.open(tmp_path / "x.png")
    if is_loaded:
        image.load()
    expected = decode_image(tmp_path / "x.png")
    assert expected.shape == (3, 7, 5)
    assert torch.equal(decode(image), expected)


@pytest.mark.parametrize("bits", [12, None])
def test_16_bit_values_are_scaled_like_those_of_a_file(tmp_path: Path, bits: int | None) -> None:
    image = Image.fromarray(RNG.integers(0, 4096, (5, 7), dtype=np.uint16))
    image.save(tmp_path / "x.png")
    assert torch.equal(decode(image, bits), decode_image(tmp_path / "x.png", bits))
    with build_memory_image(image, 0).decoded(bits) as found:
        assert found.peak == int(np.asarray(image).max())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (PIXELS / 255, r"image 3 has values of type float64; expected uint8 from 0 to 255"),
        (torch.rand(3, 5, 7), r"image 3 has values of type float32; expected uint8"),
        (
            PIXELS.transpose(2, 0, 1),
            r"image 3 has the shape \(3, 5, 7\); expected an array of shape \(height, width, 3\)",
        ),
        (torch.from_numpy(PIXELS), r"has the shape \(5, 7, 3\); expected a tensor of shape \(3, height, width\)"),
        (PIXELS[None], r"\(1, 5, 7, 3\).*To pass several images, pass a list of them"),
        (PIXELS[0, 0], r"has the shape \(3,\)"),
        (PIXELS[:0], r"image 3 is empty: its shape is \(0, 7, 3\)"),
        (torch.empty(3, 0, 4, dtype=torch.uint8), r"image 3 is empty"),
        (io.StringIO("text"), r"returns str; open it in binary mode"),
    ],
)
def test_an_unsuitable_image_is_refused_with_what_is_expected(value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        build_memory_image(value, 3)
    assert "\n" not in str(caught.value)


def test_a_closed_file_is_refused() -> None:
    file = io.BytesIO()
    file.close()
    with pytest.raises(DataError, match="image 0 is a file that cannot be read: I/O operation on closed file"):
        build_memory_image(file, 0)


def test_a_damaged_image_is_an_error_without_its_name() -> None:
    cut = encode(Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)))[:3000]
    for value in (cut, Image.open(io.BytesIO(cut)), b""):
        with pytest.raises(DataError, match=r"^(damaged or truncated|\d+ of \d+ rows|the file is empty|it )"):
            decode(value)


def test_the_limit_of_pixels_applies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_MAX_PIXELS", "30")
    with pytest.raises(DataError, match="35 pixels"):
        decode(PIXELS)


def test_a_path_is_not_an_image_in_memory() -> None:
    assert not any(is_memory_image(value) for value in ("a.png", Path("a.png"), [PIXELS], {"train": []}, None))
