"""16-bit images whose values use fewer bits: the number is stated by the file, or measured on the images of train."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from made_images import COLOR, COLOR_ALPHA, make_png, make_tiff
from zoo.data.bit_depth import choose_bits, measure_bits, report_bits
from zoo.data.decode import decode_image, decoded
from zoo.data.examination.examine import examine_files
from zoo.data.examination.traits import Traits
from zoo.data.listing import ImageFile
from zoo.data.pixel_cache import Pixels, Views
from zoo.data.sample import Sample
from zoo.data.transform import build_eval_transform
from zoo.plugin import InputSpec
from zoo.progress import Silent


def words(*values: int, order: str = ">") -> bytes:
    return struct.pack(f"{order}{len(values)}H", *values)


def make_images(*peaks: int, split: str = "train") -> tuple[list[Sample], dict[bytes, Traits]]:
    file = ImageFile(Path(), "x.png", split, "ant", "x.png")
    digests = [f"{split} {number}".encode() for number in range(len(peaks))]
    traits = {digest: Traits(peak=peak) for digest, peak in zip(digests, peaks, strict=True) if peak}
    return [Sample(file, 0, digest) for digest in digests], traits


def write_gray(path: Path, *values: int) -> ImageFile:
    Image.fromarray(np.array([values] * len(values), np.uint16)).save(path)
    return ImageFile(path.parent, path.name, "train", "ant", path.name)


def test_a_tiff_that_states_twelve_bits_is_scaled_by_them() -> None:
    with decoded(make_tiff(2, bytes([0x12, 0x3F, 0xFF]), bits=(12,))) as image:  # the values 0x123 and 0xfff
        assert image.pixels[0].tolist() == [[0x12, 0xFF]]
        assert image.peak == 0  # It says nothing about other files.


@pytest.mark.parametrize(
    ("bits", "expected"), [(None, [0, 1, 3, 15]), (12, [0, 18, 63, 255]), (10, [0, 72, 255, 255]), (16, [0, 1, 3, 15])]
)
def test_the_upper_eight_of_the_used_bits_are_kept(tmp_path: Path, bits: int | None, expected: list[int]) -> None:
    write_gray(tmp_path / "x.png", 0, 0x123, 1023, 4095)
    assert decode_image(tmp_path / "x.png", bits)[0, 0].tolist() == expected
    with decoded(tmp_path / "x.png") as image:
        assert image.peak == 4095


DEEP_COLORS = {
    "PNG": make_png(2, [words(0x123, 0x456, 0xFFF, 0, 0x1000, 1)], 16, COLOR),
    "TIFF, little": make_tiff(2, words(0x123, 0x456, 0xFFF, 0, 0x1000, 1, order="<"), bits=(16,) * 3, photometric=2),
    "TIFF, big": make_tiff(2, words(0x123, 0x456, 0xFFF, 0, 0x1000, 1), bits=(16,) * 3, photometric=2, order=">"),
}


@pytest.mark.parametrize("kind", DEEP_COLORS)
def test_colors_keep_the_upper_eight_of_the_used_bits(kind: str) -> None:
    with decoded(DEEP_COLORS[kind], 12) as image:
        assert image.pixels[:, 0].T.tolist() == [[0x12, 0x45, 0xFF], [0, 0xFF, 0]]
        assert image.peak == 0x1000


def test_alpha_always_has_sixteen_bits() -> None:
    data = make_png(2, [words(0, 0, 0, 0xFFFF, 0xFFF, 0, 0, 0x8000)], 16, COLOR_ALPHA)
    with decoded(data, 12) as image:
        assert image.pixels[:, 0].T.tolist() == [[0, 0, 0], [255, 127, 127]]
        assert image.peak == 0xFFF


@pytest.mark.parametrize(
    ("peaks", "bits"), [((), None), ((0,), None), ((0, 4095, 7), 12), ((4096,), 13), ((65535,), 16), ((100,), 8)]
)
def test_the_bits_are_those_of_the_largest_value(peaks: tuple[int, ...], bits: int | None) -> None:
    assert measure_bits(peaks) == bits


def test_only_train_determines_the_bits(progress: Any) -> None:
    (train, in_train), (val, in_val) = make_images(0, 4095), make_images(65535, split="val")
    assert choose_bits([*train, *val], {**in_train, **in_val}, progress) == 12
    assert progress.lines == [
        "note: the 16-bit images of train use 12 bits, so a value of 4,095 is white",
        "warning: 1 16-bit image has values above 4,095, and becomes too bright",
    ]


@pytest.mark.parametrize(("measured", "bits"), [(3, 11), (6, 16)])
def test_images_at_regular_distances_are_decoded_if_none_was_examined(
    tmp_path: Path, progress: Any, monkeypatch: pytest.MonkeyPatch, measured: int, bits: int
) -> None:
    monkeypatch.setattr("zoo.data.bit_depth.MEASURED", measured)
    files = [write_gray(tmp_path / f"{peak}.png", 0, peak) for peak in (300, 65535, 500, 65534, 2000, 65533)]
    val = write_gray(tmp_path / "val.png", 0, 65535)
    images = [Sample(file, 0, b"unknown", is_examined=False) for file in [*files, replace(val, split="val")]]
    assert choose_bits(images, {}, progress) == bits
    assert progress.lines[0] == f"note: measured the bits of 16-bit images on {measured} of 6 images of train"


def test_the_peak_is_known_without_decoding_again(tmp_path: Path) -> None:
    file = write_gray(tmp_path / "x.png", 0, 4095)
    for _ in range(2):
        (image,), _, traits = examine_files([file], {"ant": 0}, progress=Silent())
        assert traits[image.digest].peak == 4095


def test_images_are_kept_only_when_their_scale_is_known(tmp_path: Path) -> None:
    file = write_gray(tmp_path / "x.png", *[0, 4095] * 8)
    pixels = Pixels(build_eval_transform(InputSpec(size=(3, 16, 16), resize=16)), budget=10**6)
    views = Views(pixels, pixels)
    (image,), _, _ = examine_files([file], {"ant": 0}, keep=views, progress=Silent())
    views.use_bits(12)
    assert pixels.get(image).max() == 255


def test_the_scale_is_reported(progress: Any) -> None:
    report_bits([100, 4095], 12, progress)
    assert progress.lines == ["note: the 16-bit images of train use 12 bits, so a value of 4,095 is white"]


def test_nothing_is_reported_without_sixteen_bit_images(progress: Any) -> None:
    assert choose_bits(*make_images(0, 0), progress) is None
    assert progress.lines == []


def test_images_that_the_scale_does_not_suit_are_reported(progress: Any) -> None:
    report_bits([4095, 4096, 65535], 12, progress)
    report_bits([4095], None, progress)
    assert progress.lines[1:] == [
        "warning: 2 16-bit images have values above 4,095, and become too bright",
        "warning: the 16-bit images use 12 bits and are too dark, because the run was trained without 16-bit images",
    ]
