"""Large data sets are not examined before the first step, but during the first epoch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from interrupted_runs import Interrupts, describe
from made_shards import pack_shards
from quick_runs import LEARNS, read_facts
from recording_progress import RecordingProgress
from zoo.errors import DataError, OptionError
from zoo.registry.registry import Registry
from zoo.training.callbacks import RunCallbacks
from zoo.training.finetune import finetune

OPTIONS: dict[str, Any] = {**LEARNS, "epochs": 2, "augment": "crop-flip"}
LIMIT = "ZOO_MAX_EXAMINED_IMAGES"


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat every data set as a large one."""
    monkeypatch.setenv(LIMIT, "10")


@pytest.fixture
def damaged(photos: Path) -> list[str]:
    """Damage images of train and val, and return their paths."""
    paths = [sorted((photos / "train" / "blue").iterdir())[3], sorted((photos / "val" / "red").iterdir())[1]]
    for path in paths:
        path.write_bytes(path.read_bytes()[:60])
    return [str(path) for path in paths]


def list_left_out(output: Path) -> list[str]:
    return [item["path"] for item in read_facts(output)["data"]["left_out"]]


def test_unreadable_images_are_left_out_counted_and_recorded(
    registry: Registry, photos: Path, output: Path, damaged: list[str]
) -> None:
    progress = RecordingProgress()
    run = finetune("net", photos, output=output, registry=registry, progress=progress, **OPTIONS)
    assert list_left_out(output) == damaged
    assert read_facts(output)["data"]["examined"] == "during the first epoch"
    assert sum(map(sum, run.facts["val"]["confusion"])) == 9
    start = progress.lines.index(
        "note: the data set has 34 images, so they are examined during the first epoch; to examine them before it, set "
        "ZOO_MAX_EXAMINED_IMAGES to 34 or more"
    )
    (end,) = (index for index, line in enumerate(progress.lines) if line.startswith("skipped 2 files: "))
    first_epoch = next(index for index, line in enumerate(progress.lines) if line.startswith("epoch 1"))
    assert start < end < first_epoch


def test_a_class_none_of_whose_images_can_be_read_is_reported_and_recorded(
    registry: Registry, photos: Path, output: Path
) -> None:
    for split in ("train", "val"):
        for path in (photos / split / "red").iterdir():
            path.write_bytes(b"no image")
    progress = RecordingProgress()
    finetune("net", photos, output=output, registry=registry, progress=progress, **OPTIONS)
    for split in ("train", "val"):
        assert progress.lines.count(f"warning: no {split} images of 'red' can be read") == 1
        gap = {"kind": "missing-class", "split": split, "count": 1, "listed": [{"class_name": "red"}]}
        assert gap in read_facts(output)["data"]["findings"]


def test_zoo_says_so_if_all_images_can_be_read(registry: Registry, photos: Path, output: Path) -> None:
    progress = RecordingProgress()
    finetune("net", photos, output=output, registry=registry, progress=progress, **OPTIONS)
    assert progress.lines.count("all images of the first epoch can be read") == 1


def test_the_model_is_the_same_as_with_examined_images(
    registry: Registry, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finetune("net", photos, output=tmp_path / "deferred", registry=registry, **OPTIONS)
    monkeypatch.delenv(LIMIT)
    finetune("net", photos, output=tmp_path / "examined", registry=registry, **OPTIONS)
    assert describe(tmp_path / "deferred") == describe(tmp_path / "examined")


@pytest.mark.usefixtures("damaged")
def test_the_model_is_the_same_for_any_number_of_workers(registry: Registry, photos: Path, tmp_path: Path) -> None:
    shards = pack_shards(photos, tmp_path / "shards")
    for workers in (0, 3):
        options = {**OPTIONS, "workers": workers}
        finetune("net", shards, output=tmp_path / f"{workers}", registry=registry, **options)
    assert describe(tmp_path / "0") == describe(tmp_path / "3")
    assert list_left_out(tmp_path / "0") == list_left_out(tmp_path / "3") != []


@pytest.mark.parametrize("step", [2, 4, 6])
def test_a_resumed_run_leaves_out_the_same_images(
    registry: Registry, photos: Path, tmp_path: Path, *, damaged: list[str], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    finetune("net", photos, output=tmp_path / "whole", registry=registry, **OPTIONS)
    Interrupts(monkeypatch, step)
    with pytest.raises(KeyboardInterrupt):
        finetune("net", photos, output=tmp_path / "torn", registry=registry, **OPTIONS)
    finetune("net", photos, output=tmp_path / "torn", registry=registry, resume=True, **OPTIONS)
    assert describe(tmp_path / "torn") == describe(tmp_path / "whole")
    assert list_left_out(tmp_path / "torn") == list_left_out(tmp_path / "whole") == damaged


def test_a_changed_image_is_noticed_when_a_run_resumes(
    registry: Registry, photos: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Interrupts(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        finetune("net", photos, output=output, registry=registry, **OPTIONS)
    os.utime(next((photos / "train" / "red").iterdir()), ns=(1, 1))
    with pytest.raises(OptionError, match=r"was started with data fingerprint"):
        finetune("net", photos, output=output, registry=registry, resume=True, **OPTIONS)


def test_an_image_that_changes_during_a_run_stops_it(
    registry: Registry, photos: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touch(_callbacks: RunCallbacks) -> None:
        for path in (photos / "train").glob("*/*"):
            os.utime(path, ns=(1, 1))

    monkeypatch.setattr(RunCallbacks, "on_step", touch)
    with pytest.raises(DataError, match=r"the file has changed\. It was there when the run began"):
        finetune("net", photos, output=output, registry=registry, **OPTIONS)


def test_a_batch_without_readable_images_stops_the_run(registry: Registry, photos: Path, output: Path) -> None:
    for path in (photos / "train" / "red").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"none of 1 images of a batch .*png': a text file, not an image in"):
        finetune("net", photos, output=output, registry=registry, **{**OPTIONS, "batch_size": 1})


def test_val_is_chosen_by_the_names(registry: Registry, photos: Path, tmp_path: Path) -> None:
    def train(name: str) -> Mapping[str, Any]:
        run = finetune("net", photos / "train", output=tmp_path / name, registry=registry, **OPTIONS)
        counts = run.facts["data"]["images"]
        assert counts == {"train": 20, "val": 4, "test": 0}
        return describe(tmp_path / name)

    first = train("first")
    for path in (photos / "train").glob("*/*"):
        os.utime(path, ns=(1, 1))
    assert train("second") == first


def test_features_are_not_cached(registry: Registry, photos: Path, output: Path, own_cache: Path) -> None:
    progress = RecordingProgress()
    finetune("net", photos, output=output, registry=registry, progress=progress, **{**OPTIONS, "train": "head"})
    reason = "the images are examined during the first epoch"
    assert f"note: frozen features are computed in every epoch: {reason}" in progress.lines
    assert not (own_cache / "features").exists()
