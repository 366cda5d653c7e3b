"""Runs with options that change how images are found, split and prepared."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from quick_runs import QUICK, read_facts
from told import Told
from zoo.errors import OptionError
from zoo.registry.registry import Registry
from zoo.runs.classifier import load
from zoo.training.finetune import finetune


@pytest.fixture
def table(photos: Path, tmp_path: Path) -> Path:
    """A table of all photos without splits."""
    rows = [f"{path},{path.parent.name}\n" for path in sorted(photos.rglob("*.png"))]
    random.Random(0).shuffle(rows)
    path = tmp_path / "colors.csv"
    path.write_text("".join(rows), encoding="utf-8")
    return path


def test_a_table_is_split_trained_on_and_evaluated(registry: Registry, table: Path, output: Path) -> None:
    run = finetune("net", table, output=output, registry=registry, split="0.5,0.25,0.25", **QUICK)
    assert run.facts["classes"] == ["blue", "red"]
    counts = run.facts["data"]["images"]
    assert counts["val"] == counts["test"] == pytest.approx(sum(counts.values()) / 4, abs=1)
    assert run.facts["recipe"]["split"] == "0.5,0.25,0.25"
    assert run.facts["test"]["images"] == counts["test"]
    result = load(run, registry=registry).evaluate(table, registry=registry)
    assert result["images"] == sum(counts.values())


def test_the_order_of_the_rows_does_not_change_the_run(registry: Registry, table: Path, tmp_path: Path) -> None:
    first = finetune("net", table, output=tmp_path / "first", registry=registry, **QUICK)
    table.write_text("".join(sorted(table.read_text().splitlines(keepends=True))))
    second = finetune("net", table, output=tmp_path / "second", registry=registry, **QUICK)
    assert first.facts["data"]["fingerprint"] == second.facts["data"]["fingerprint"]
    assert (first.path / "model.safetensors").read_bytes() == (second.path / "model.safetensors").read_bytes()


def test_a_split_that_the_data_already_has_is_an_error(registry: Registry, photos: Path, output: Path) -> None:
    with pytest.raises(OptionError, match="`split` cannot divide this data, because it already has a val split"):
        finetune("net", photos, output=output, registry=registry, split="0.8,0.2", **QUICK)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_from": "(red|blue)"}, "`label_from` applies only to a folder, but .* is a table"),
        ({"columns": "image=1,label=3"}, "no column 3 for label; the table has 2 columns"),
    ],
)
def test_options_that_do_not_apply_are_errors(
    registry: Registry, table: Path, output: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(Exception, match=message):
        finetune("net", table, output=output, registry=registry, **options, **QUICK)
    assert not output.exists()


def test_pairs_from_python_give_the_run_of_the_table(registry: Registry, table: Path, tmp_path: Path) -> None:
    pairs = [tuple(row.split(",")) for row in table.read_text().splitlines()]
    run = finetune("net", pairs, output=tmp_path / "pairs", registry=registry, **QUICK)
    other = finetune("net", table, output=tmp_path / "table", registry=registry, **QUICK)
    assert run.facts["data"]["fingerprint"] == other.facts["data"]["fingerprint"]
    assert run.facts["data"]["asked"] == f"list of {len(pairs)} images"
    assert (run.path / "model.safetensors").read_bytes() == (other.path / "model.safetensors").read_bytes()


def test_own_preprocessing_is_recorded_reported_and_used_for_prediction(
    registry: Registry, photos: Path, output: Path
) -> None:
    progress = Told()
    chosen: dict[str, Any] = {"resize": "squash", "image_size": 24, "mean": 0.5, "std": "0.5,0.5,0.25"}
    finetune("net", photos, output=output, registry=registry, progress=progress, **chosen, **QUICK)
    recorded = read_facts(output)["input"]
    assert recorded["size"] == [3, 24, 24]
    assert recorded["crop"] == "squash"
    assert recorded["mean"] == [0.5, 0.5, 0.5]
    assert recorded["std"] == [0.5, 0.5, 0.25]
    assert any(line.startswith("note: the input has size 24x24 instead of ") for line in progress.lines)
    classifier = load(output, registry=registry)
    assert classifier.header.input.size == (3, 24, 24)
    result = classifier.evaluate(photos, "val", registry=registry)
    assert result["accuracy"] == read_facts(output)["val"]["accuracy"]
