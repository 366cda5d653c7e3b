"""A contact sheet shows the pixels that the model sees, with the names of their classes."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor  # type: ignore[import-untyped]  # it has no types

from zoo.data.dataset import open_images
from zoo.data.pixel_cache import Views
from zoo.data.sampler import seed_of_view
from zoo.data.transform import Normalize
from zoo.errors import OptionError
from zoo.plugin import InputSpec
from zoo.progress import Silent
from zoo.registry.data_options import DataOptions
from zoo.registry.registry import Registry
from zoo.training.show import show

SIZE = {"image_size": 32}


@pytest.mark.parametrize("std", [(1.0, 1.0, 1.0), (0.229, 0.224, 0.225), (0.01, 3.0, 100.0)])
def test_inverting_a_normalization_gives_the_same_pixels(std: tuple[float, float, float]) -> None:
    normalize = Normalize(InputSpec(size=(3, 16, 16), resize=16, mean=(0.485, 0.456, 0.406), std=std))
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16).expand(3, 16, 16)
    assert torch.equal(normalize.invert(normalize(pixels)), pixels)


def test_there_is_a_row_with_images_of_each_class(registry: Registry, photos: Path) -> None:
    sheet = show(photos, images=3, registry=registry, **SIZE)
    images = open_images(str(photos), DataOptions(), registry=registry, progress=Silent())
    assert [row.title.split(" (")[0] for row in sheet.rows] == list(images.classes)
    assert {len(row.images) for row in sheet.rows} == {3}
    assert {tuple(image.shape) for row in sheet.rows for image in row.images} == {(3, 32, 32)}


def test_augmented_views_are_those_of_training(registry: Registry, photos: Path) -> None:
    sheet = show(photos, images=1, seed=3, augment="crop-flip", views=2, registry=registry, **SIZE)
    ((plain, *views),) = (row.images for row in sheet.rows)
    images = open_images(str(photos), DataOptions(seed=3), registry=registry, progress=Silent())
    pixels = Views.build(InputSpec(size=(3, 32, 32), resize=round(256 * 32 / 224)), "crop-flip")
    (index,) = (i for i, sample in enumerate(images.train) if torch.equal(pixels.plain.get(sample), plain))
    expected = [pixels.train.get(images.train[index], seed_of_view(view, index)) for view in range(2)]
    assert len(views) == 2
    assert all(torch.equal(one, other) for one, other in zip(views, expected, strict=True))


def test_the_picture_contains_every_image(registry: Registry, photos: Path) -> None:
    sheet = show(photos, images=2, registry=registry, **SIZE)
    picture = pil_to_tensor(sheet.image)
    for number, row in enumerate(sheet.rows):
        for place, image in enumerate(row.images):
            top, left = 6 + number * (22 + 32 + 6) + 22, 6 + place * (32 + 6)
            assert torch.equal(picture[:, top : top + 32, left : left + 32], image)


def test_a_notebook_displays_the_picture(registry: Registry, photos: Path) -> None:
    sheet = show(photos, images=1, registry=registry, **SIZE)
    with Image.open(io.BytesIO(sheet._repr_png_())) as picture:
        assert picture.size == sheet.image.size


def test_the_page_contains_the_names_and_images_and_loads_nothing(registry: Registry, photos: Path) -> None:
    page = show(photos, images=2, registry=registry, **SIZE).page
    assert page.count('src="data:image/png;base64,') == 4
    assert "http" not in page.replace("http-equiv", "")


def test_the_backbone_determines_the_size(registry: Registry, photos: Path) -> None:
    (image, *_), *_ = (row.images for row in show(photos, backbone="net", images=1, registry=registry).rows)
    assert tuple(image.shape) == registry.resolve("net").backbone.input.size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "all"}, "there is no split 'all'; choose one of train, val, test"),
        ({"images": 0}, "`images` and `classes` must be at least 1"),
        ({"epochs": 3}, "`epochs` does not change what is shown; the options are augment"),
        ({"views": 3, "augment": "none"}, "without augmentation, all 3 views are the same"),
    ],
)
def test_options_without_an_effect_are_errors(
    registry: Registry, photos: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        show(photos, registry=registry, **options)  # type: ignore[arg-type]  # also of wrong types
