"""Images with one channel, and how images without three channels are shown."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from zoo.data.channels import to_gray, to_visible
from zoo.data.decode import decode_image
from zoo.data.transform import build_eval_transform, build_train_transform
from zoo.errors import OptionError
from zoo.plugin import InputSpec

GRAY = InputSpec(size=(1, 28, 28), resize=32, mean=(0.0,), std=(1.0,))


def test_every_color_becomes_the_gray_of_pillow() -> None:
    levels = np.arange(0, 256, 5, dtype=np.uint8)
    colors = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(len(levels), -1, 3)
    wanted = np.asarray(Image.fromarray(colors).convert("L"))
    assert np.array_equal(to_gray(torch.from_numpy(colors).permute(2, 0, 1))[0].numpy(), wanted)


def test_gray_images_keep_their_values() -> None:
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 256)
    assert torch.equal(to_gray(values.expand(3, -1, -1)), values)


def test_a_gray_input_is_converted_before_it_is_resized(draw: Callable[..., Image.Image]) -> None:
    image = draw(3, (90, 61))
    theirs = image.convert("L").resize((int(32 * 90 / 61), 32), Image.Resampling.BILINEAR)
    left, top = round((theirs.width - 28) / 2), 2
    wanted = pil_to_tensor(theirs.crop((left, top, left + 28, top + 28)))
    found = build_eval_transform(GRAY)(pil_to_tensor(image))
    assert found.shape == (1, 28, 28)
    assert (255 * found - wanted).abs().max() <= 1.01


@pytest.mark.parametrize("augment", ["crop-flip", "trivial", "rand"])
def test_augmented_gray_images_have_one_channel(augment: str, draw: Callable[..., Image.Image]) -> None:
    transform = build_train_transform(GRAY, augment, erase=1.0)
    for seed in range(30):
        found = transform(pil_to_tensor(draw(3, (50, 40))), torch.Generator().manual_seed(seed))
        assert found.shape == (1, 28, 28)


def test_color_augmentations_need_one_or_three_channels() -> None:
    spec = InputSpec(size=(5, 28, 28), mean=(0.5,) * 5, std=(0.5,) * 5)
    for augment in ("trivial", "rand"):
        with pytest.raises(OptionError, match=f"`augment` {augment} changes colors, which images with 5 channels"):
            build_train_transform(spec, augment)
    assert build_train_transform(spec, "crop-flip").channels == 5


def test_people_see_the_first_three_channels_or_gray() -> None:
    pixels = torch.randint(0, 256, (5, 4, 4), dtype=torch.uint8)
    assert torch.equal(to_visible(pixels), pixels[:3])
    assert torch.equal(to_visible(pixels[:1]), pixels[:1].expand(3, -1, -1))


def test_a_16_bit_image_keeps_its_scale_in_gray(tmp_path: object) -> None:
    values = (np.arange(64, dtype=np.uint16) * 64).reshape(8, 8)
    file = f"{tmp_path}/deep.png"
    Image.fromarray(values).save(file)
    with open(file, "rb") as opened:  # noqa: PTH123  # a short path
        pixels = decode_image(opened.read(), 12, 1)
    assert np.array_equal(to_gray(pixels)[0].numpy(), values >> 4)
