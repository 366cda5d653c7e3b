"""Runs with options that change how images are found, split and prepared."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from quick_runs import QUICK, read_facts
from recording_progress import RecordingProgress
from zoo.data.decode import decode_image
from zoo.data.transform import build_eval_transform, build_train_transform
from zoo.errors import OptionError
from zoo.registry.recipe import make_recipe
from zoo.registry.registry import Registry
from zoo.runs.classifier import load
from zoo.training.finetune import finetune


@pytest.fixture
def table(photos: Path, tmp_path: Path) -> Path:
    """A table of all photos, in a folder without splits."""
    rows = []
    for photo in sorted(photos.rglob("*.png")):
        split, label = photo.relative_to(photos).parts[:2]
        copy = tmp_path / "flat" / f"{label}-{split}-{photo.name}"
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(photo, copy)
        rows.append(f"{copy},{label}\n")
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


def test_chosen_preprocessing_is_recorded_reported_and_used_for_prediction(
    registry: Registry, photos: Path, output: Path
) -> None:
    progress = RecordingProgress()
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


def test_a_table_that_has_splits_cannot_be_divided(registry: Registry, photos: Path, output: Path) -> None:
    rows = (f"{path},{path.parent.name},{path.parts[-3]}\n" for path in sorted(photos.rglob("*.png")))
    table = output.with_name("splits.csv")
    table.write_text("".join(rows), encoding="utf-8")
    options: dict[str, Any] = {**QUICK, "columns": "image=1,label=2,split=3"}
    with pytest.raises(OptionError, match="it already has a val split"):
        finetune("net", table, output=output, registry=registry, split="0.8,0.2", **options)
    assert finetune("net", table, output=output, registry=registry, **options).facts["classes"] == ["blue", "red"]


def test_label_from_and_columns_exclude_each_other(registry: Registry, photos: Path, output: Path) -> None:
    options = {**QUICK, "label_from": "(red|blue)", "columns": "image=1,label=2"}
    with pytest.raises(OptionError, match="`columns` applies only to a table, but `label_from` is set, too"):
        finetune("net", photos, output=output, registry=registry, **options)


@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
def test_random_crops_have_the_chosen_size(registry: Registry, photos: Path, resize: str) -> None:
    recipe = make_recipe({"image_size": 24, "resize": resize, "augment": "crop-flip"})
    spec = recipe.preprocessing.apply(registry.resolve("net").backbone.input)
    pixels = decode_image(next(photos.rglob("*.png")))
    crops = [
        build_train_transform(replace(spec, crop=crop), "crop-flip")(pixels, torch.Generator().manual_seed(1))
        for crop in ("center", "border", "squash")
    ]
    assert crops[0].shape == (3, 24, 24)
    assert crops[0].equal(crops[1])
    assert crops[0].equal(crops[2])


def test_mean_and_std_replace_those_of_the_weights(registry: Registry, photos: Path) -> None:
    own = registry.resolve("net").backbone.input
    pixels = decode_image(next(photos.rglob("*.png")))
    plain = build_eval_transform(make_recipe({"mean": 0, "std": 1}).preprocessing.apply(own))(pixels)
    for options, mean, std in (
        ({"mean": 0.25}, (0.25,) * 3, own.std),
        ({"std": 0.5}, own.mean, (0.5,) * 3),
        ({"mean": 0.25, "std": 0.5}, (0.25,) * 3, (0.5,) * 3),
    ):
        spec = make_recipe(options).preprocessing.apply(own)
        expected = (plain - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        assert torch.allclose(build_eval_transform(spec)(pixels), expected, atol=1e-6)


def test_features_depend_on_the_preprocessing(registry: Registry, photos: Path, tmp_path: Path) -> None:
    options = {**QUICK, "train": "head", "registry": registry}
    losses = []
    for mean, cache in ((0.1, True), (0.1, False), (0.9, True), (0.9, False)):
        run = finetune("net", photos, output=tmp_path / f"{mean}-{cache}", mean=mean, cache=cache, **options)
        losses.append(run.facts["best"]["val_loss"])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert losses[2] == pytest.approx(losses[3], abs=1e-5)
    assert losses[0] != pytest.approx(losses[2], abs=1e-3)
