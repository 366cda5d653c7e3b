"""predictions.jsonl contains the predictions of the best model, exactly as they are in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from zoo.data.listing import ImageFile
from zoo.data.sample import Sample
from zoo.errors import RunError
from zoo.runs.folder import PREDICTIONS, RunFolder
from zoo.runs.predictions import Predicted, Predictions, read_predictions, write_predictions

#: A name with a line break and with bytes that are not valid UTF-8.
ODD = "a\nb\udcff.png"


@pytest.fixture
def predictions(tmp_path: Path) -> Predictions:
    samples = [
        Sample(ImageFile(tmp_path, name, "val", class_name, name), label, name.encode("utf-8", "surrogateescape"))
        for name, class_name, label in (("1.png", "ant", 0), (ODD, "bee", 1))
    ]
    return Predictions.of(torch.tensor([[0.75, 0.25], [0.875, 0.125]]), samples, ["ant", "bee"], "val")


def test_a_prediction_has_both_probabilities(predictions: Predictions, tmp_path: Path) -> None:
    assert [*predictions] == [
        Predicted("val", tmp_path / "1.png", "ant", "ant", 0.75, 0.75),
        Predicted("val", tmp_path / ODD, "bee", "ant", 0.875, 0.125),
    ]
    assert [item.is_correct for item in predictions] == [True, False]


def test_the_file_contains_the_same_predictions(predictions: Predictions, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_predictions(folder, predictions)
    assert len((tmp_path / PREDICTIONS).read_bytes().splitlines()) == 2
    assert read_predictions(folder) == [*predictions]


@pytest.mark.parametrize("line", ['{"split": "val"}', "[]", '{"split": 1', "nothing"])
def test_a_damaged_file_is_refused(predictions: Predictions, tmp_path: Path, line: str) -> None:
    folder = RunFolder(tmp_path)
    write_predictions(folder, predictions)
    with (tmp_path / PREDICTIONS).open("a", encoding="ascii") as file:
        file.write(line + "\n")
    with pytest.raises(RunError, match=r"predictions\.jsonl is damaged"):
        read_predictions(folder)
