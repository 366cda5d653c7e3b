"""The CSV with out-of-fold predictions."""

from __future__ import annotations

from pathlib import Path

import torch

from zoo.data.listing import ImageFile
from zoo.data.sample import Sample
from zoo.engine.metrics import MAX_MATRIX
from zoo.registry.fold import Fold
from zoo.runs.out_of_fold import format_header, format_predictions


def make(name: str, label: int, classes: list[str]) -> Sample:
    return Sample(ImageFile(Path("photos"), name, "val", classes[label], name), label, name.encode())


def test_each_row_has_the_labels_and_all_probabilities() -> None:
    classes = ["ant", "bee"]
    samples = [make("1.png", 0, classes), make("2.png", 1, classes)]
    text = format_predictions(samples, torch.tensor([[0.75, 0.25], [0.625, 0.375]]), classes, Fold(2, 5))
    assert text.splitlines() == [
        "path,fold,label,predicted,probability,probability of ant,probability of bee",
        "photos/1.png,2,ant,ant,0.75,0.75,0.25",
        "photos/2.png,2,bee,ant,0.625,0.625,0.375",
    ]


def test_foreign_text_is_escaped_for_spreadsheets() -> None:
    classes = ["=1+1", "a\nb"]
    text = format_predictions([make("=2.png", 0, classes)], torch.tensor([[0.75, 0.25]]), classes, Fold(1, 2))
    header, row = text.splitlines()
    assert header.endswith("probability of =1+1,probability of a\\nb")
    assert row == "photos/=2.png,1,'=1+1,'=1+1,0.75,0.75,0.25"


def test_many_classes_have_no_columns() -> None:
    classes = [f"class {number}" for number in range(MAX_MATRIX + 1)]
    assert format_header(classes) == "path,fold,label,predicted,probability\n"
    probabilities = torch.eye(len(classes))[:1]
    assert format_predictions([make("1.png", 0, classes)], probabilities, classes, Fold(1, 2)).splitlines()[1] == (
        "photos/1.png,1,class 0,class 0,1.0"
    )
