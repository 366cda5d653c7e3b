"""The report, the model card and the conformance page show hostile texts without changing their structure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from hostile_names import BATCH, BATCHES, list_file_names, list_texts
from printed import check_html, check_markdown
from run_facts import make_facts
from zoo.plugin import BackboneSpec
from zoo.runs.folder import CARD, RunFolder
from zoo.runs.model_card import write_card
from zoo.runs.predictions import Predicted
from zoo.runs.report.page import build_page
from zoo.runs.report.pictures import ClassRow, Picture, Pictures
from zoo.testing.results import markdown_page

EPOCH = {
    "epoch": 1, "train_loss": 0.5, "train_accuracy": 0.5, "val_loss": 0.5, "val_accuracy": 0.5, "lr": 0.1,
    "train_seconds": 1.0, "seconds": 1.0, "phase": 1,
}  # fmt: skip
#: Texts in run.json that must have one of a few values.
FIXED = {"started", "split", "crop", "interpolation"}
PLAIN = [f"plain{number}" for number in range(BATCH)]


def spoil(value: Any, texts: Iterator[str], key: str = "") -> Any:
    """Replace all strings in the content of a run.json."""
    if isinstance(value, dict):
        return {name: spoil(item, texts, name) for name, item in value.items()}
    if isinstance(value, list):
        return [spoil(item, texts, key) for item in value]
    return next(texts) if isinstance(value, str) and key not in FIXED else value


def make_spoiled(names: list[str]) -> dict[str, Any]:
    """Return the content of a run.json with one class per name, and these texts everywhere else."""
    metrics = {
        "accuracy": 0.5,
        "images": 2 * len(names),
        "per_class": {name: {"images": 2, "precision": 0.5, "recall": 0.5} for name in names},
        "confusion": [[1 if column in {row, 0} else 0 for column in range(len(names))] for row in range(len(names))],
    }
    license_ = "LicenseRef-x"
    network = {"type": "x", "head": "x", "file": "x", "function": "x", "sha256": "x"}
    facts = make_facts(weights={"label": "none", "url": "x", "license": license_}, network=network)
    facts = spoil(facts, cycle(names))
    facts["weights"]["license"] += "-NC"  # so that there is a warning
    return {**facts, "classes": names, "val": metrics, "test": metrics}


def write(folder: Path, names: list[str], spec: BackboneSpec) -> str:
    folder.mkdir()
    write_card(RunFolder(folder), make_spoiled(names), spec)
    begin, metadata, card = (folder / CARD).read_text(encoding="utf-8").split("---\n", 2)
    assert begin == ""
    # The metadata is YAML, not Markdown. Each line is a field, whatever the texts contain.
    assert all(re.match(r"[a-z_-]+: [\[\"]", line) for line in metadata.splitlines())
    return card


@pytest.mark.parametrize("seed", BATCHES)
def test_the_report_has_the_same_tags_as_with_plain_names(seed: int) -> None:
    report, plain = (build_page(make_spoiled(names), [EPOCH]) for names in (list_texts(seed), PLAIN))
    check_html(report, plain)


def make_pictures(classes: list[str], files: list[str]) -> Pictures:
    """Return the pictures of a report with one row per class, in which every file is also a mistake and missing."""
    found = [
        Picture(Predicted("val", Path("photos", name, file), name, classes[0], 0.9, 0.1), "AAAA", "BBBB")
        for name, file in zip(classes, files, strict=True)
    ]
    rows = [ClassRow(name, 1, [picture]) for name, picture in zip(classes, found, strict=True)]
    return Pictures("val", rows, len(rows), found, [picture.predicted.path for picture in found], classes[1])


@pytest.mark.parametrize("seed", BATCHES)
def test_the_pictures_of_a_report_have_the_same_tags_as_with_plain_names(seed: int) -> None:
    hostile = make_pictures(list_texts(seed), list_file_names(seed))
    report, plain = (build_page(make_facts(), [EPOCH], found) for found in (hostile, make_pictures(PLAIN, PLAIN)))
    assert "plain24" in plain
    check_html(report, plain)


@pytest.mark.parametrize("seed", BATCHES)
def test_the_model_card_has_the_same_structure_as_with_plain_names(
    seed: int, tmp_path: Path, acme: BackboneSpec
) -> None:
    spec = replace(acme, constructor="acme.net({num_classes})")
    plain = write(tmp_path / "plain", PLAIN, spec)
    for number, name in enumerate(list_file_names(seed, 5)):
        names = list_texts(seed)[number:] + list_texts(seed)[:number]
        check_markdown(write(tmp_path / name, names, spec), plain)


@pytest.mark.parametrize("seed", BATCHES)
def test_a_table_of_the_conformance_page_has_the_same_structure_as_with_plain_texts(seed: int) -> None:
    table, plain = (
        markdown_page._write_table(("check", "reason"), [("x", markdown_page.escape_markdown(text)) for text in texts])
        for texts in (list_texts(seed), PLAIN)
    )
    check_markdown(table, plain)


# If an escaping function is disabled, the tests above fail.


@pytest.mark.parametrize(
    ("part", "test"),
    [
        ("zoo.runs.report.template.make_printable", "report"),
        ("zoo.runs.report.template.make_printable", "pictures"),
        ("zoo.runs.model_card.make_printable", "card"),
        ("zoo.runs.model_card.escape_markdown", "card"),
        ("zoo.runs.model_card.format_code", "card"),
        ("zoo.testing.results.markdown_page.escape_markdown", "table"),
    ],
)
def test_pages_with_missing_escapes_are_noticed(
    part: str, test: str, tmp_path: Path, acme: BackboneSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, str)
    tests: dict[str, Callable[[], None]] = {
        "report": lambda: test_the_report_has_the_same_tags_as_with_plain_names(0),
        "pictures": lambda: test_the_pictures_of_a_report_have_the_same_tags_as_with_plain_names(0),
        "card": lambda: test_the_model_card_has_the_same_structure_as_with_plain_names(0, tmp_path, acme),
        "table": lambda: test_a_table_of_the_conformance_page_has_the_same_structure_as_with_plain_texts(0),
    }
    with pytest.raises(AssertionError):
        tests[test]()
