"""Missing labels in tables."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from zoo.data.listing import Listing
from zoo.data.sources.table import list_table
from zoo.registry.data_options import DataOptions

NAN = float("nan")


def list_labels(path: Path, labels: list[float | str]) -> Listing:
    names = [f"{number}.png" for number in range(len(labels))]
    if path.suffix == ".parquet":
        parquet.write_table(pa.table({"path": names, "label": labels}), path)
    elif path.suffix == ".jsonl":
        rows = [{"path": name, "label": label} for name, label in zip(names, labels, strict=True)]
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    else:
        rows = [f"{name},{label}\n" for name, label in zip(names, labels, strict=True)]
        path.write_text("path,label\n" + "".join(rows), encoding="utf-8")
    return list_table(path, DataOptions.parse())


@pytest.mark.parametrize("name", ["t.jsonl", "t.parquet"])
def test_nan_is_no_label(tmp_path: Path, name: str) -> None:
    listing = list_labels(tmp_path / name, [1.0, NAN, 2.0, NAN])
    assert listing.classes == ("1.0", "2.0")
    assert [(item.path.name, item.reason) for item in listing.left_out] == [
        ("1.png", "no label"),
        ("3.png", "no label"),
    ]


@pytest.mark.parametrize("label", ["NA", "nan", "NaN", "None", "null", "N/A", "<NA>"])
def test_text_that_may_mean_a_missing_label_is_a_class_with_a_note(tmp_path: Path, label: str) -> None:
    listing = list_labels(tmp_path / "t.csv", ["DE", label, "FR"])
    assert set(listing.classes) == {"DE", "FR", label}
    assert f"the label {label!r} is used as a class" in listing.notes[-1]


def test_other_labels_get_no_note(tmp_path: Path) -> None:
    assert "is used as a class" not in " ".join(list_labels(tmp_path / "t.csv", ["DE", "nano"]).notes)


@pytest.mark.parametrize(("labels", "count"), [(["-1", "0", "1"], 1), (["-1", "1"], 0), (["-1", "up"], 0)])
def test_minus_one_beside_the_class_0_gets_a_note(tmp_path: Path, labels: list[float | str], count: int) -> None:
    assert " ".join(list_labels(tmp_path / "t.csv", labels).notes).count("the label '-1' is used as a class") == count
