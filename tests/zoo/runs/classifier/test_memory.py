"""Predictions for images in memory."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.engine.inference import BATCH
from zoo.errors import DataError
from zoo.runs.classifier import Classifier


def list_forms(path: Path) -> list[Any]:
    array = np.asarray(Image.open(path).convert("RGB"))
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1)
    return [path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), Image.open(path), array, tensor]


def test_all_forms_of_an_image_have_the_same_probabilities(classifier: Classifier, images: list[Path]) -> None:
    first, *others = classifier.predict(list_forms(images[0]), top=2)
    assert len(others) == 6
    for prediction in others:
        assert dict(prediction.top) == pytest.approx(dict(first.top), abs=1e-6)


def test_a_single_image_needs_no_list(classifier: Classifier, images: list[Path]) -> None:
    (expected,) = classifier.predict(images[0])
    for form in list_forms(images[0]):
        (found,) = classifier.predict(form)
        assert (found.label, found.probability) == (expected.label, pytest.approx(expected.probability, abs=1e-6))


def test_an_image_in_memory_is_named_after_its_index(classifier: Classifier, images: list[Path]) -> None:
    data = images[0].read_bytes()
    found = classifier.predict([data, images[1], data])
    assert [str(prediction.path) for prediction in found] == ["image 0", str(images[1]), "image 2"]
    assert found[2].to_json()["path"] == "image 2"


def test_a_damaged_image_in_memory_is_a_row(classifier: Classifier, images: list[Path]) -> None:
    bad, good = classifier.predict([b"no image", images[0].read_bytes()])
    assert bad.error == "a text file, not an image in a supported format"
    assert (bad.label, bad.probability) == (None, None)
    assert good.label == "blue"


def test_an_array_of_floats_raises_at_the_call(classifier: Classifier) -> None:
    with pytest.raises(DataError, match="image 1 has values of type float64"):
        classifier.iter_predict([np.zeros((4, 4), np.uint8), np.zeros((4, 4))])


def test_the_same_pil_image_can_be_listed_many_times(classifier: Classifier, images: list[Path]) -> None:
    image = Image.open(images[0])
    found = classifier.predict([image] * (BATCH + 1))
    assert len({(item.label, item.error) for item in found}) == 1


def test_iter_predict_yields_what_predict_returns(classifier: Classifier, images: list[Path]) -> None:
    found = classifier.predict(images)
    assert isinstance(found, list)
    assert list(classifier.iter_predict(images)) == found


def test_the_transform_of_a_classifier_makes_the_input_of_its_model(classifier: Classifier, images: list[Path]) -> None:
    (expected,) = classifier.predict(images[0], top=2)
    for form in list_forms(images[0]):
        tensor = classifier.transform(form)
        assert (tensor.dtype, tensor.shape) == (torch.float32, classifier.header.input.size)
        with torch.inference_mode():
            row = classifier.model(tensor[None]).softmax(1)[0]
        values = dict(zip(classifier.classes, row.tolist(), strict=True))
        assert values == pytest.approx(dict(expected.top), abs=1e-6)


@pytest.mark.parametrize("image", [None, 5, ["a.png"], {"a": 1}])
def test_the_transform_refuses_other_objects(classifier: Classifier, image: Any) -> None:
    with pytest.raises(DataError, match=r"cannot use a \w+ as an image; pass a path, bytes"):
        classifier.transform(image)


def test_the_transform_names_a_damaged_file(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"cannot use the image '.*x\.png'"):
        classifier.transform(tmp_path / "x.png")
    with pytest.raises(DataError, match=r"^cannot use the image: a text file"):
        classifier.transform(b"no image")
