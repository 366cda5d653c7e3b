"""The pictures of a report are those of the predictions that they illustrate."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from zoo.data.transform import Normalize
from zoo.errors import DataError
from zoo.plugin import InputSpec
from zoo.runs.predictions import Predicted
from zoo.runs.report.pictures import MAX_CLASSES, MAX_IMAGES, MAX_MISTAKES, Pictures, draw_pictures

NORMALIZE = Normalize(InputSpec(size=(3, 16, 16), resize=16))


def predict(number: int, label: str, predicted: str, probability: float, split: str = "val") -> Predicted:
    own = probability if label == predicted else 1 - probability
    return Predicted(split, Path(f"{number}.png"), label, predicted, probability, own)


def read(path: Path) -> Tensor:
    """Return a plain image whose brightness is the number in its name."""
    return torch.full((3, 16, 16), int(path.stem), dtype=torch.uint8)


def draw(predictions: list[Predicted]) -> Pictures:
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    found = draw_pictures(predictions, read, model, NORMALIZE)
    assert found
    return found


def brightness_of(image: str) -> float:
    with Image.open(io.BytesIO(base64.b64decode(image))) as opened:
        return sum(opened.convert("RGB").getpixel((8, 8))) / 3  # type: ignore[arg-type]  # an RGB pixel is a tuple


def test_mistakes_are_sorted_by_the_probability_of_the_wrong_class() -> None:
    found = draw([predict(10, "a", "b", 0.6), predict(200, "a", "b", 0.9), predict(100, "b", "b", 0.99)])
    assert [picture.predicted.probability for picture in found.mistakes] == [0.9, 0.6]
    assert [brightness_of(picture.image) for picture in found.mistakes] == pytest.approx([200, 10], abs=2)
    assert all(picture.overlay for picture in found.mistakes)


def test_a_row_goes_from_the_most_to_the_least_probable_image() -> None:
    items = [predict(number, "a", "a", 0.5 + number / 1000) for number in range(100)]
    (row,) = draw(items).rows
    assert (row.name, row.total, len(row.pictures)) == ("a", 100, MAX_IMAGES)
    shown = [picture.predicted.label_probability for picture in row.pictures]
    assert shown == sorted(shown, reverse=True)
    assert (shown[0], shown[-1]) == (0.599, 0.5)
    numbers = [int(picture.predicted.path.stem) for picture in row.pictures]
    assert [brightness_of(picture.image) for picture in row.pictures] == pytest.approx(numbers, abs=2)


def test_test_images_take_precedence_over_validation_images() -> None:
    found = draw([predict(1, "a", "a", 0.9), predict(2, "a", "a", 0.9, "test")])
    assert found.split == "test"
    assert [picture.predicted.path.name for row in found.rows for picture in row.pictures] == ["2.png"]


def test_the_numbers_of_classes_and_mistakes_are_limited() -> None:
    items = [predict(number, f"class {number}", "other", 0.9) for number in range(40)]
    found = draw(items)
    assert [row.name for row in found.rows] == [f"class {number}" for number in range(MAX_CLASSES)]
    assert (found.classes, len(found.mistakes)) == (40, MAX_MISTAKES)


def test_an_image_that_is_gone_is_listed_and_the_others_are_shown() -> None:
    def fail(path: Path) -> Tensor:
        if path.stem == "1":
            raise DataError("gone")
        return read(path)

    items = [predict(1, "a", "b", 0.9), predict(2, "a", "b", 0.8)]
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    found = draw_pictures(items, fail, model, NORMALIZE)
    assert found
    assert found.missing == (Path("1.png"),)
    assert [picture.predicted.path.name for picture in found.mistakes] == ["2.png"]


def test_without_predictions_there_are_no_pictures() -> None:
    assert draw_pictures([], read, nn.Flatten(), NORMALIZE) is None


class WithoutBackward(nn.Module):
    """A network that changes a tensor that its backward pass needs."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Sigmoid())

    def forward(self, images: Tensor) -> Tensor:
        found = self.features(images)
        found += 1
        return found.mean((2, 3))


def test_a_network_without_gradients_has_mistakes_without_overlays_and_a_reason() -> None:
    found = draw_pictures([predict(1, "a", "b", 0.9)], read, WithoutBackward().eval(), NORMALIZE)
    assert found
    assert [picture.overlay for picture in found.mistakes] == [""]
    assert found.problem
    assert found.problem.startswith("the report does not show where the model looked: one of the variables needed")
