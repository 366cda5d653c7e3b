"""Copies of an image that were re-encoded or resized have nearly the same hash; other images do not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.data.decode import decode_image
from zoo.data.examination.image_hash import hash_image, shrink
from zoo.data.examination.near_copies import MAX_DISTANCE


def draw(seed: int) -> Image.Image:
    """Generate an image with details of all sizes."""
    values = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((320, 240), Image.Resampling.BICUBIC)


def encode(image: Image.Image, kind: str = "PNG", **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def hash_bytes(data: bytes) -> int:
    return hash_image(shrink(decode_image(data)))


def count_different(one: bytes, other: bytes) -> int:
    return (hash_bytes(one) ^ hash_bytes(other)).bit_count()


COPIES = {
    "JPEG 90": lambda image: encode(image, "JPEG", quality=90),
    "JPEG 30": lambda image: encode(image, "JPEG", quality=30),
    "WebP": lambda image: encode(image, "WEBP", quality=60),
    "half": lambda image: encode(image.resize((160, 120), Image.Resampling.LANCZOS), "JPEG"),
    "eight times": lambda image: encode(image.resize((2560, 1920), Image.Resampling.BICUBIC), "JPEG"),
    "double": lambda image: encode(image.resize((640, 480), Image.Resampling.BICUBIC), "JPEG"),
    "other aspect ratio": lambda image: encode(image.resize((224, 224)), "JPEG"),
}


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("seed", range(3))
def test_a_copy_has_nearly_the_same_hash(copy: str, seed: int) -> None:
    image = draw(seed)
    assert count_different(encode(image), COPIES[copy](image)) <= MAX_DISTANCE


def test_different_images_have_different_hashes() -> None:
    hashes = [hash_bytes(encode(draw(seed))) for seed in range(40)]
    distances = [(one ^ other).bit_count() for place, one in enumerate(hashes) for other in hashes[:place]]
    assert min(distances) > 2 * MAX_DISTANCE


def test_a_mirrored_image_is_a_different_image() -> None:
    image = draw(0)
    assert count_different(encode(image), encode(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))) > MAX_DISTANCE


@pytest.mark.parametrize("color", ["black", "white", "#307080"])
def test_an_image_without_contrast_has_no_hash(color: str) -> None:
    assert hash_bytes(encode(Image.new("RGB", (64, 64), color))) == 0


def test_a_hash_has_at_most_63_bits() -> None:
    ramp = np.tile(np.arange(0, 256, 8, np.uint8), (32, 1))
    assert 0 < hash_image(ramp) < 2**63


def test_real_photos_are_found_again_and_not_confused(hymenoptera: Path) -> None:
    photos = sorted((hymenoptera / "val").rglob("*.jpg"))
    hashes = [hash_bytes(photo.read_bytes()) for photo in photos]
    distances = [(one ^ other).bit_count() for place, one in enumerate(hashes) for other in hashes[:place]]
    assert min(distances) > MAX_DISTANCE
    for photo, expected in list(zip(photos, hashes, strict=True))[::10]:
        with Image.open(photo) as image:
            smaller = encode(image.convert("RGB").reduce(3), "JPEG", quality=50)
        assert (hash_bytes(smaller) ^ expected).bit_count() <= MAX_DISTANCE
