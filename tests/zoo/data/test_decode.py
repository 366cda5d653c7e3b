"""Decoding image files to upright RGB pixels, and the errors for those that cannot be decoded."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from zoo.data import decode as image_module
from zoo.data.decode import decode_image
from zoo.errors import DataError

ORIENTATION = 0x112


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels_of(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def with_orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    return exif


@pytest.fixture
def photo(draw: Callable[..., Image.Image]) -> Image.Image:
    return draw(1, (48, 32))


LOSSLESS = {
    "PNG": {},
    "BMP": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_return_the_saved_pixels(photo: Image.Image, kind: str) -> None:
    pixels = decode_image(encode(photo, kind, **LOSSLESS[kind]))
    assert pixels.dtype == torch.uint8
    assert torch.equal(pixels, pixels_of(photo))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpegs_of_every_color_mode_look_as_in_pillow(photo: Image.Image, mode: str, progressive: bool) -> None:  # noqa: FBT001
    data = encode(photo.convert(mode), "JPEG", progressive=progressive)
    theirs = pixels_of(Image.open(io.BytesIO(data)))
    assert (decode_image(data).int() - theirs.int()).abs().max() <= 1


def test_without_torchvisions_decoder_pillow_reads_jpegs(photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    assert image_module._TURBO is not None
    data = encode(photo, "JPEG", exif=with_orientation(6))
    fast = decode_image(data)
    monkeypatch.setattr(image_module, "_TURBO", None)
    assert (decode_image(data).int() - fast.int()).abs().max() <= 1
    with pytest.raises(DataError):
        decode_image(data[: len(data) // 2])


def test_a_ycck_jpeg_looks_as_in_pillow(photo: Image.Image) -> None:
    data = bytearray(encode(photo.convert("CMYK"), "JPEG"))
    data[data.index(b"Adobe") + 11] = 2  # This byte is the color transform in the marker.
    theirs = pixels_of(Image.open(io.BytesIO(data)))
    assert (decode_image(bytes(data)).int() - theirs.int()).abs().max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P"])
@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_grayscale_and_palette_images_are_converted_to_rgb(photo: Image.Image, mode: str, kind: str) -> None:
    odd = photo.quantize(16) if mode == "P" else photo.convert(mode)
    assert torch.equal(decode_image(encode(odd, kind)), pixels_of(odd))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grayscale_keeps_its_upper_eight_bits(kind: str) -> None:
    levels = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    pixels = decode_image(encode(Image.fromarray(levels), kind))
    assert torch.equal(pixels[0], torch.from_numpy((levels >> 8).astype(np.uint8)))
    assert torch.equal(pixels[0], pixels[2])
    assert len(pixels.unique()) == 256


def test_thirty_two_bit_pixels_are_an_error() -> None:
    data = encode(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF")
    with pytest.raises(DataError, match="convert the image to 8 or 16 bits"):
        decode_image(data)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparent_images_are_blended_with_white(kind: str) -> None:
    image = Image.new("RGBA", (3, 1))
    image.putdata([(0, 0, 0, 0), (0, 0, 0, 255), (200, 0, 0, 128)])
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    pixels = decode_image(encode(image, kind, **options))
    assert pixels[:, 0, 0].tolist() == [255, 255, 255]
    assert pixels[:, 0, 1].tolist() == [0, 0, 0]
    assert (pixels[:, 0, 2] - torch.tensor([227, 127, 127])).abs().max() <= 1


def test_a_transparent_palette_color_becomes_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    pixels = decode_image(encode(image, "PNG", transparency=0))
    assert pixels[:, 0].T.tolist() == [[255, 255, 255], [200, 100, 50]]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF"])
def test_the_first_of_several_frames_is_used(kind: str) -> None:
    red, blue = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = decode_image(encode(red, kind, save_all=True, append_images=[blue], **options))
    assert torch.equal(pixels, pixels_of(red))


def jpeg(photo: Image.Image, *, progressive: bool = False) -> bytes:
    return encode(photo.resize((160, 120)), "JPEG", progressive=progressive)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("tail", [b"", bytes(5000)], ids=["truncated", "truncated and padded"])
def test_a_truncated_jpeg_is_an_error(photo: Image.Image, progressive: bool, fraction: float, tail: bytes) -> None:  # noqa: FBT001
    data = jpeg(photo, progressive=progressive)
    with pytest.raises(DataError, match="damaged or truncated"):
        decode_image(data[: int(fraction * len(data))] + tail)


def test_a_jpeg_without_its_end_marker_is_an_error_but_extra_bytes_are_not(photo: Image.Image) -> None:
    data = jpeg(photo)
    with pytest.raises(DataError, match="damaged or truncated"):
        decode_image(data[:-2])
    assert torch.equal(decode_image(data + bytes(100)), decode_image(data))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF"])
def test_truncated_files_of_other_formats_are_an_error(photo: Image.Image, kind: str) -> None:
    data = encode(photo, kind)
    with pytest.raises(DataError):
        decode_image(data[: len(data) // 2])


def test_an_image_with_too_many_pixels_is_rejected_by_its_header(
    monkeypatch: pytest.MonkeyPatch, photo: Image.Image
) -> None:
    monkeypatch.setenv("ZOO_MAX_PIXELS", str(48 * 32))
    assert decode_image(encode(photo, "PNG")).shape == (3, 32, 48)
    for kind in ("PNG", "JPEG"):
        with pytest.raises(DataError, match="it has 1,568 pixels, but ZOO_MAX_PIXELS allows only 1,536"):
            decode_image(encode(photo.resize((49, 32)), kind))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_000, 30_000])
def test_a_hundred_megapixels_in_a_small_file_are_rejected(side: int) -> None:
    data = encode(Image.new("1", (side, side)), "PNG")
    assert len(data) < 200_000
    with pytest.raises(DataError, match=f"it has {side * side:,} pixels, but ZOO_MAX_PIXELS allows only 89,478,485"):
        decode_image(data)


def test_errors_contain_the_path_and_the_reason(tmp_path: Path) -> None:
    cases = {
        "missing.jpg": "there is no such file",
        "folder.jpg": "not a file",
        "empty.jpg": "empty",
        "page.jpg": "not an image in a supported format",
    }
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "page.jpg").write_text("<html>")
    for name, reason in cases.items():
        with pytest.raises(DataError, match=reason) as caught:
            decode_image(tmp_path / name)
        assert name in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(DataError, match="not a file"):
        decode_image(tmp_path / "pipe.jpg")


def test_a_file_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: Image.Image
) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(encode(photo, "PNG"))
    size = path.stat().st_size
    monkeypatch.setenv("ZOO_MAX_IMAGE_BYTES", str(size))
    decode_image(path)
    monkeypatch.setenv("ZOO_MAX_IMAGE_BYTES", str(size - 1))
    with pytest.raises(DataError, match=f"it has {size:,} bytes, but ZOO_MAX_IMAGE_BYTES allows only {size - 1:,}"):
        decode_image(path)


def test_real_photos_look_as_in_pillow(hymenoptera: Path) -> None:
    for path in sorted((hymenoptera / "val").glob("*/*.jpg"))[::10]:
        theirs = pixels_of(ImageOps.exif_transpose(Image.open(path)))
        assert (decode_image(path).int() - theirs.int()).abs().max() <= 1
