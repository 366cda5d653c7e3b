from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loopback_hub import LoopbackHub
from quick_runs import LEARNS, QUICK, read_facts
from recording_progress import RecordingProgress
from zoo.data.dataset import Images
from zoo.errors import RunError
from zoo.progress import Silent
from zoo.registry.registry import Registry, open_registry
from zoo.runs.classifier import load
from zoo.runs.folder import FEATURES, PREDICTIONS, RUN, RunFolder
from zoo.runs.training_images import open_training_images
from zoo.training.finetune import finetune


@pytest.fixture
def run(train_once: Callable[..., Path]) -> Path:
    return train_once(**LEARNS)


def change_data(run: Path, **values: Any) -> None:
    """Change what a run records about its data."""
    facts = read_facts(run)
    facts["data"] |= values
    (run / RUN).write_text(json.dumps(facts), encoding="utf-8")


def open_again(run: Path, registry: Registry) -> Images:
    return open_training_images(RunFolder(run), registry, Silent())


def test_the_images_and_their_splits_are_those_of_the_training(run: Path, registry: Registry, photos: Path) -> None:
    images = open_again(run, registry)
    for split in ("train", "val"):
        found = {sample.path.parts[-3:] for sample in getattr(images, split)}
        assert found == {path.parts[-3:] for path in (photos / split).rglob("*.png")}


@pytest.mark.parametrize("options", [{"fold": "2/3"}, {"split": "0.5,0.3,0.2", "seed": 3}])
def test_chosen_splits_are_chosen_again(
    options: dict[str, Any], photos: Path, tmp_path: Path, registry: Registry
) -> None:
    data = photos if "fold" in options else photos / "train"
    run = finetune("net", data, output=tmp_path / "run", registry=registry, **{**QUICK, **options})
    images = open_again(run.path, registry)
    assert read_facts(run.path)["data"]["images"] == {
        split: len(getattr(images, split)) for split in ("train", "val", "test")
    }
    predicted = [json.loads(line) for line in (run.path / PREDICTIONS).read_text("utf-8").splitlines()]
    assert {str(sample.path) for sample in images.val} == {row["path"] for row in predicted if row["split"] == "val"}


def test_images_that_a_fold_trains_on_are_train_even_in_a_val_folder(
    photos: Path, tmp_path: Path, registry: Registry
) -> None:
    run = finetune("net", photos, output=tmp_path / "run", registry=registry, **{**QUICK, "fold": "1/3"})
    images = open_again(run.path, registry)
    assert any((photos / "val") in sample.path.parents for sample in images.train)
    assert len(images.train) + len(images.val) == 34


def test_other_images_at_the_same_relative_paths_are_refused(
    photos: Path, tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(photos, tmp_path / "here" / "photos")
    monkeypatch.chdir(tmp_path / "here")
    run = finetune("net", "photos", output=tmp_path / "run", registry=registry, **QUICK)
    (tmp_path / "there").mkdir()
    shutil.copytree(photos, tmp_path / "there" / "photos")
    first, second = sorted((tmp_path / "there" / "photos" / "train" / "red").iterdir())[:2]
    shutil.copy(first, second)
    monkeypatch.chdir(tmp_path / "there")
    with pytest.raises(RunError, match=r"`distance` needs .* 'photos' are not those of the training.*fingerprint"):
        open_again(run.path, registry)


def test_a_url_of_a_run_is_not_fetched(run: Path, registry: Registry, photos: Path, site: Any) -> None:
    shutil.make_archive(str(photos), "zip", photos)
    url = site.put("/photos.zip", photos.with_suffix(".zip").read_bytes())
    change_data(run, asked=url)
    with pytest.raises(RunError, match=r"no folder or file 'http://.*nothing is fetched"):
        load(run, device="cpu", registry=registry).predict(photos, distance=True, registry=registry)
    assert not site.requests
    assert not (run / FEATURES).exists()


@pytest.mark.parametrize("asked", ["hf:owner/name", "torchvision:CIFAR10", "unknown", "file:///etc"])
def test_other_sources_of_a_run_are_not_asked(run: Path, registry: Registry, asked: str) -> None:
    change_data(run, asked=asked)
    with pytest.raises(RunError, match="there is no folder or file"):
        open_again(run, registry)


def test_a_python_object_cannot_be_read_again(run: Path, registry: Registry, photos: Path) -> None:
    change_data(run, asked=str(photos), is_object=True)
    with pytest.raises(RunError, match="they were a Python object; to measure distances, train on a folder"):
        open_again(run, registry)


def test_nothing_is_written_to_the_cache_of_the_hub(
    run: Path, hub: LoopbackHub, registry: Registry, photos: Path
) -> None:
    hub.put("me/first", {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()})
    classifier = load("hf://me/first", device="cpu", registry=registry)
    assert classifier.path
    before = sorted(classifier.path.iterdir())
    for same in (classifier, load(classifier.path, device="cpu", registry=registry)):
        with pytest.raises(RunError, match="belongs to huggingface_hub, and zoo writes nothing there; copy the run"):
            same.predict(photos / "val", distance=True)
    assert sorted(classifier.path.iterdir()) == before


def test_predictions_are_not_needed(run: Path, registry: Registry, photos: Path) -> None:
    (run / PREDICTIONS).unlink()
    progress = RecordingProgress()
    predictions = load(run, device="cpu", registry=registry).predict(photos / "val", distance=True, progress=progress)
    assert all(found.distance is not None for found in predictions)


def test_without_a_record_of_the_run_the_error_says_what_needs_it(run: Path, registry: Registry, photos: Path) -> None:
    (run / RUN).unlink()
    with pytest.raises(RunError, match=r"`distance` needs the images of the training once.*run\.json cannot be read"):
        load(run, device="cpu", registry=registry).predict(photos / "val", distance=True)


def test_a_data_set_that_is_known_here_is_found_by_its_name(tmp_path: Path) -> None:
    registry = open_registry()
    run = finetune(
        "tiny/tiny", "suns_moons", output=tmp_path / "run", epochs=1, device="cpu", workers=0, registry=registry
    )
    assert len(open_again(run.path, registry).train) == run.facts["data"]["images"]["train"]
