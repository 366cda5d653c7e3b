"""Images with other numbers of channels than one and three: .npy files, and RGB with alpha."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from zoo.data.decode import decode_image, decoded
from zoo.data.memory_images import build_memory_image
from zoo.errors import DataError


def save(array: NDArray[np.generic]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def draw(mode: str) -> bytes:
    file = io.BytesIO()
    random = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)
    Image.fromarray(random[..., : len(mode)]).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("shape", [(6, 5, 2), (6, 5, 5), (1, 1, 64)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_keeps_its_values(shape: tuple[int, ...], order: str) -> None:
    array = np.asarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8), order=order)
    assert np.array_equal(decode_image(save(array), None, shape[2]).permute(1, 2, 0).numpy(), array)


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_16_bit_arrays_keep_the_upper_8_of_their_bits(dtype: str) -> None:
    array = np.array([[[0, 4095], [4096, 16]]], dtype=dtype)
    with decoded(save(array), 12, 2) as image:
        assert image.pixels.permute(1, 2, 0).tolist() == [[[0, 255], [255, 1]]]
        assert image.peak == 4096


def test_arrays_of_one_and_three_channels_are_images_like_others() -> None:
    color = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    assert np.array_equal(decode_image(save(color)).permute(1, 2, 0).numpy(), color)
    gray = decode_image(save(color[..., 0]))
    assert torch.equal(gray, decode_image(save(color[..., :1])))
    assert gray.shape == (3, 6, 5)


def test_an_alpha_channel_is_the_fourth_channel() -> None:
    data = draw("RGBA")
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(decode_image(data, None, 4).permute(1, 2, 0).numpy(), np.asarray(image))


@pytest.mark.parametrize(
    ("data", "channels", "reason"),
    [
        (save(np.zeros((4, 4, 5), np.uint8)), 3, "but 1 or 3 are expected; to use all, train with `channels` 5"),
        (save(np.zeros((4, 4, 5), np.uint8)), 6, "it has 5 channels, but 6 are expected"),
        (save(np.zeros((4, 4, 5), np.float32)), 5, "an array of type float32 and shape"),
        (save(np.zeros(4, np.uint8)), 5, "images have the shape"),
        (save(np.zeros((4, 4, 65), np.uint8)), 65, "at most 64 channels"),
        (save(np.zeros((0, 4, 5), np.uint8)), 5, "images have pixels"),
        (save(np.zeros((4, 4, 5), np.uint8))[:-1], 5, "its size is not that of its shape"),
        (b"\x93NUMPY\x01\x00\xff\xff{", 5, "a damaged .npy file"),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr': '|O'}  ", 5, "a damaged .npy file"),
        (draw("RGB"), 5, "image mode RGB with 3 channels; for 5 channels, use .npy files"),
        (draw("RGB"), 4, "image mode RGB without a fourth channel"),
    ],
)  # fmt: skip
def test_other_images_are_refused(data: bytes, channels: int, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        decode_image(data, None, channels)
    assert reason in str(caught.value)


def test_objects_in_an_array_are_never_unpickled() -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return pytest.fail, ("code of a data set was run",)

    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1, 1, 5), }\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + pickle.dumps([Harmful()] * 5)
    with pytest.raises(DataError, match="an array of type object"):
        decode_image(data, None, 5)


def test_a_header_that_promises_too_much_takes_no_memory() -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000000, 5), }\n"
    with pytest.raises(DataError, match="pixels"):
        decode_image(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header, None, 5)


@pytest.mark.parametrize(
    "shape",
    ["(9, 9, 1e999)", "(9.5, 9, 5)", "(True, 9, 5)", "'995'", "None", f"({'9' * 4000}, {'9' * 4000}, 5)"],
    ids=["infinite", "fraction", "truth", "text", "nothing", "unprintable"],
)
def test_a_header_with_an_impossible_shape_is_refused(shape: str) -> None:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    with pytest.raises(DataError, match="its shape is not one of an array") as caught:
        decode_image(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header, None, 5)
    assert len(str(caught.value)) < 200


def test_images_in_memory_have_the_channels_of_the_input() -> None:
    array = np.random.default_rng(0).integers(0, 256, (6, 5, 7), dtype=np.uint8)
    for value in (array, torch.from_numpy(array).permute(2, 0, 1)):
        with build_memory_image(value, 0, 7).decoded(None, 7) as image:
            assert np.array_equal(image.pixels.permute(1, 2, 0).numpy(), array)
        with pytest.raises(DataError, match="expected"):
            build_memory_image(value, 0, 5)
