from __future__ import annotations

import csv
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from recording_progress import RecordingProgress
from zoo.errors import DataError, NameNotFound, OptionError, RunError
from zoo.plugin import BackboneSpec
from zoo.registry.registry import Registry
from zoo.runs.classifier import Classifier
from zoo.runs.embed import embed
from zoo.runs.embeddings import Embeddings
from zoo.training.finetune import Run


@pytest.fixture
def embeddings(classifier: Classifier, photos: Path) -> Embeddings:
    return classifier.embed(photos / "val")


def test_the_head_maps_the_features_to_the_predictions(classifier: Classifier, images: list[Path]) -> None:
    found = classifier.embed(images)
    probabilities = classifier.model.classifier[3](found.features).softmax(1)  # type: ignore[index, union-attr]
    for row, prediction in zip(probabilities, classifier.predict(images, top=2), strict=True):
        assert row.max().item() == pytest.approx(prediction.probability, abs=1e-6)
    assert found.paths == tuple(images)


def test_the_folders_are_the_labels(embeddings: Embeddings, images: list[Path]) -> None:
    assert embeddings.labels == tuple(path.parent.name for path in images)
    assert (len(embeddings.features), embeddings.left_out) == (10, ())


def test_a_source_without_labels_has_a_note(classifier: Classifier, photos: Path) -> None:
    (photos / "t.csv").write_text("path\nval/blue/0.png\n", encoding="utf-8")
    progress = RecordingProgress()
    assert classifier.embed(photos / "t.csv", progress=progress).labels is None
    assert any(line.startswith("note: the images have no labels: ") for line in progress.lines)


def test_unreadable_images_are_left_out(classifier: Classifier, images: list[Path]) -> None:
    found = classifier.embed([images[0], b"no image", images[1]])
    assert found.paths == (images[0], images[1])
    assert [str(item.path) for item in found.left_out] == ["image 1"]
    with pytest.raises(DataError, match="none of 1 images can be read, for example 'image 0': a text file"):
        classifier.embed(b"no image")


def test_a_block_has_its_own_features(classifier: Classifier, images: list[Path]) -> None:
    assert classifier.embed(images, "stem").features.shape == (10, 8)
    with pytest.raises(NameNotFound):
        classifier.embed(images, "gone")


@pytest.mark.parametrize("suffix", [".safetensors", ".npy", ".csv", ".parquet"])
def test_a_file_contains_the_features_paths_and_labels(embeddings: Embeddings, tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet" and find_spec("pyarrow") is None:
        pytest.skip("pyarrow is not installed")
    path = embeddings.save(tmp_path / f"f{suffix}")
    if suffix == ".safetensors":
        with safe_open(path, framework="np") as file:
            features, metadata = file.get_tensor("features"), file.metadata()
        rows = [*zip(json.loads(metadata["paths"]), json.loads(metadata["labels"]), strict=True)]
    elif suffix == ".parquet":
        from pyarrow import parquet

        table = parquet.read_table(path).to_pydict()
        features, rows = np.array(table["features"], np.float32), [*zip(table["path"], table["label"], strict=True)]
    else:
        with (tmp_path / "f.csv").open(encoding="utf-8") as file:
            lines = [*csv.reader(file)][1:]
        rows = [(line[0], line[1]) for line in lines]
        features = np.load(path) if suffix == ".npy" else np.array([line[2:] for line in lines], np.float32)
    assert np.array_equal(features, embeddings.features.numpy())
    assert rows == [*zip(map(str, embeddings.paths), embeddings.labels or (), strict=True)]


def test_an_unsuitable_output_is_refused(embeddings: Embeddings, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"must end in one of \.safetensors, \.npy, \.csv, \.parquet"):
        embeddings.save(tmp_path / "f.txt")
    with pytest.raises(RunError, match="there is no folder"):
        embeddings.save(tmp_path / "gone" / "f.npy")


def test_a_run_and_a_backbone_can_be_embedded_by_name(
    run: Run, acme: BackboneSpec, registry: Registry, images: list[Path], embeddings: Embeddings
) -> None:
    mine = embed(run.path, images, registry=registry, device="cpu")
    assert torch.allclose(mine.features, embeddings.features, atol=1e-6)
    other = embed(acme.name, images, registry=registry, device="cpu", weights="none", block="layer2")
    assert (other.features.shape, other.block, other.backbone) == ((10, 16), "layer2", acme.name)
    with pytest.raises(OptionError, match="`weights` applies only to a backbone"):
        embed(run.path, images, registry=registry, weights="none")
