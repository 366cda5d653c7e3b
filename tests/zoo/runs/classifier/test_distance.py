from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from quick_runs import LEARNS, read_facts
from recording_progress import RecordingProgress
from zoo.engine.neighbors import measure_neighbor_distances, scale
from zoo.errors import OptionError, RunError
from zoo.plugin import BackboneSpec
from zoo.registry.registry import Registry
from zoo.runs.classifier import Classifier, load
from zoo.runs.model_file import load_header, write_tensors
from zoo.runs.training_features import TrainingFeatures
from zoo.training.finetune import finetune
from zoo.training.run import Run


def lose_data(folder: Path) -> None:
    """Change the record of a run, as if its data had been removed."""
    facts = read_facts(folder)
    facts["data"]["asked"] = str(folder / "gone")
    (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")


def store(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write a file of features that belongs to the model."""
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    save_file(tensors, folder / "features.safetensors", {"model": digest})


def is_percentile(percentile: float | None, distance: float, distances: Sequence[float]) -> bool:
    """Return whether the percentile is that of a distance, except for rounding errors of the distances."""
    least, most = (
        100 * sum(other < distance + error for other in distances) / len(distances) for error in (-1e-6, 1e-6)
    )
    return percentile is not None and least <= percentile <= most


def test_the_distance_is_measured_from_the_features_of_the_training_images(
    classifier: Classifier, images: list[Path], photos: Path
) -> None:
    training = scale(scale(classifier.embed(photos / "train").features).half())  # They are stored with 16 bits.
    expected = measure_neighbor_distances(classifier.embed(images).features, training)
    predictions = classifier.predict(images, distance=True)
    for prediction, distance in zip(predictions, expected.tolist(), strict=True):
        assert prediction.distance == pytest.approx(distance, abs=1e-5)
        assert is_percentile(prediction.percentile, distance, expected.tolist())


def test_the_probabilities_are_the_same(classifier: Classifier, images: list[Path]) -> None:
    plain, measured = classifier.predict(images, top=2), classifier.predict(images, top=2, distance=True)
    for one, other in zip(plain, measured, strict=True):
        assert dict(one.top) == pytest.approx(dict(other.top), abs=1e-6)


def test_unlike_images_are_farther_than_all_validation_images(classifier: Classifier) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    green = Image.new("RGB", (32, 32), (0, 255, 0))
    for found in classifier.predict([noise, green], max_percentile=99):
        assert found.percentile == 100
        assert found.label is None
        assert found.top
        assert found.to_json()["percentile"] == 100


def test_without_a_limit_every_image_has_a_class(classifier: Classifier) -> None:
    (found,) = classifier.predict(Image.new("RGB", (32, 32), (0, 255, 0)), distance=True)
    assert found.label


def test_the_features_are_computed_once_and_then_the_data_is_not_needed(
    run: Run, registry: Registry, images: list[Path], tmp_path: Path
) -> None:
    image = shutil.copy(images[0], tmp_path)
    progress = RecordingProgress()
    (first,) = load(run, device="cpu", registry=registry).predict(image, distance=True, progress=progress)
    assert "stored the features of 24 training images" in progress.lines[-1]
    assert set(load_file(run.path / "features.safetensors")) == {"features", "val_distances"}
    shutil.copytree(run.path, tmp_path / "moved")
    lose_data(tmp_path / "moved")
    (again,) = load(tmp_path / "moved", device="cpu", registry=registry).predict(image, distance=True)
    assert again == first


def test_without_the_data_the_error_names_the_reason(classifier: Classifier, run: Run, images: list[Path]) -> None:
    lose_data(run.path)
    with pytest.raises(RunError, match=r"needs the images of the training once.*there is no folder or file"):
        classifier.predict(images, distance=True)


def test_the_features_of_another_model_are_replaced(run: Run, registry: Registry, images: list[Path]) -> None:
    save_file(
        {"features": torch.ones(2, 3), "val_distances": torch.ones(1)},
        run.path / "features.safetensors",
        {"model": "x"},
    )
    (found,) = load(run, device="cpu", registry=registry).predict(images[0], distance=True)
    assert found.distance is not None
    assert len(load_file(run.path / "features.safetensors")["features"]) == 24


@pytest.mark.parametrize("content", [b"", b"no safetensors", bytes(100)])
def test_a_damaged_file_is_an_error(run: Run, registry: Registry, images: list[Path], content: bytes) -> None:
    (run.path / "features.safetensors").write_bytes(content)
    with pytest.raises(RunError, match=r"features\.safetensors"):
        load(run, device="cpu", registry=registry).predict(images[0], distance=True)


@pytest.mark.parametrize(
    "changed",
    [
        {"features": torch.full((2, 3), torch.inf)},
        {"features": torch.ones(2, 3, dtype=torch.int64)},
        {"features": torch.ones(0, 3)},
        {"val_distances": torch.tensor([torch.nan])},
        {"val_distances": torch.ones(0)},
        {"val_distances": torch.ones(1, 1)},
    ],
)
def test_stored_values_that_cannot_be_used_are_an_error(
    run: Run, registry: Registry, images: list[Path], changed: dict[str, torch.Tensor]
) -> None:
    store(run.path, {"features": torch.ones(2, 3), "val_distances": torch.ones(1), **changed})
    with pytest.raises(RunError, match=r"features\.safetensors is damaged; remove it"):
        load(run, device="cpu", registry=registry).predict(images[0], distance=True)


def test_stored_features_of_another_width_are_an_error(run: Run, registry: Registry, images: list[Path]) -> None:
    store(run.path, {"features": torch.ones(2, 3), "val_distances": torch.ones(1)})
    with pytest.raises(RunError, match="has features of width 3, but those of the model have 12"):
        load(run, device="cpu", registry=registry).predict(images[0], distance=True)


def multiply_features(run: Run, factor: float) -> None:
    """Change the weights before and after the features. The logits stay the same."""
    path = run.path / "model.safetensors"
    header, tensors = load_header(path), load_file(path)
    for name in ("classifier.0.weight", "classifier.0.bias"):
        tensors[name] *= factor
    tensors["classifier.3.weight"] /= factor
    write_tensors(tensors, header.to_metadata(), path)


def test_large_features_have_distances(run: Run, registry: Registry, images: list[Path]) -> None:
    multiply_features(run, 1e6)
    predictions = load(run, device="cpu", registry=registry).predict(images, distance=True)
    distances = [found.distance or 0 for found in predictions]
    assert all(0 < distance < 2 for distance in distances)
    assert all(is_percentile(found.percentile, found.distance or 0, distances) for found in predictions)


def test_features_that_are_not_finite_are_not_stored(run: Run, registry: Registry, images: list[Path]) -> None:
    multiply_features(run, 1e38)
    with pytest.raises(RunError, match="returns NaN or infinite values for"):
        load(run, device="cpu", registry=registry).predict(images[0], distance=True)
    assert not (run.path / "features.safetensors").exists()


@pytest.mark.parametrize("count", [1, 40])
def test_images_are_measured_batch_by_batch(
    run: Run, registry: Registry, photos: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = load(run, device="cpu", registry=registry)
    image = photos / "val" / "red" / "0.png"
    classifier.predict(image, distance=True)
    shapes: list[tuple[int, ...]] = []
    measure = TrainingFeatures.measure

    def record(self: TrainingFeatures, features: torch.Tensor) -> torch.Tensor:
        shapes.append((*features.shape,))
        return measure(self, features)

    monkeypatch.setattr(TrainingFeatures, "measure", record)
    classifier.predict([image] * count, distance=True)
    assert [shape[0] for shape in shapes] == ([1] if count == 1 else [32, 8])


def test_a_run_that_splits_off_its_validation_images_can_be_used(
    acme: BackboneSpec, photos: Path, tmp_path: Path, registry: Registry
) -> None:
    run = finetune(acme.name, photos / "train", output=tmp_path / "run", registry=registry, **{**LEARNS, "epochs": 1})
    (found,) = load(run, device="cpu", registry=registry).predict(photos / "val" / "red" / "0.png", distance=True)
    counts = run.facts["data"]["images"]
    stored = load_file(run.path / "features.safetensors")
    assert (len(stored["features"]), len(stored["val_distances"])) == (counts["train"], counts["val"])
    assert found.distance is not None


def test_adapted_models_have_no_distances(classifier: Classifier, images: list[Path]) -> None:
    with pytest.raises(OptionError, match="do not apply to adapted models"):
        classifier.predict(images, adapt=True, max_percentile=95)


def make_features(val_count: int) -> TrainingFeatures:
    """Return features of a run with many or few validation images."""
    return TrainingFeatures.of(torch.eye(3), torch.rand(val_count, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(("count", "limit"), [(99, 99), (19, 95), (1, 50), (1, 100), (10_000, 99.9)])
def test_enough_validation_images_need_no_note(count: int, limit: float) -> None:
    assert make_features(count).find_limit(limit) is None


@pytest.mark.parametrize(("count", "limit"), [(98, 99), (18, 95), (1, 51), (999, 99.95)])
def test_a_limit_that_the_validation_images_cannot_keep_has_a_note(count: int, limit: float) -> None:
    assert f"about 1 in {count + 1:,} images" in (make_features(count).find_limit(limit) or "")


def test_of_images_like_the_validation_images_one_in_v_plus_1_has_percentile_100() -> None:
    draws = torch.rand(20_000, 11, generator=torch.Generator().manual_seed(0))
    percentiles = (
        TrainingFeatures(torch.eye(3), row[1:].sort().values).get_percentile((row[1:] < row[0]).sum().item())
        for row in draws
    )
    assert sum(value == 100 for value in percentiles) / len(draws) == pytest.approx(1 / 11, abs=0.01)


def test_the_note_is_shown_with_the_first_prediction(classifier: Classifier, images: list[Path]) -> None:
    progress = RecordingProgress()
    classifier.predict(images[0], max_percentile=99, progress=progress)
    assert progress.lines[-1] == (
        "note: there are only 10 validation images, so about 1 in 11 images like those of the training is farther than "
        "all of them, and `max_percentile` 99 predicts no class for it"
    )
    classifier.predict(images[0], distance=True, progress=progress)
    assert sum("validation images, so" in line for line in progress.lines) == 1


def test_a_percentile_above_100_is_refused(classifier: Classifier, images: list[Path]) -> None:
    with pytest.raises(OptionError, match="`max_percentile` must be from 0 to 100"):
        classifier.predict(images, max_percentile=101)
