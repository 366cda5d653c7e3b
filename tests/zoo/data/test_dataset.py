"""Finding, examining and splitting images."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zoo.data.dataset import Images, open_images
from zoo.errors import DataError
from zoo.registry.data_options import DataOptions

Plant = Callable[[Path, Mapping[str, int]], Path]
Open = Callable[..., Images]


@pytest.fixture
def open_(names: Any, progress: Any) -> Open:
    return lambda value, **options: open_images(value, DataOptions.parse(**options), registry=names, progress=progress)


def names_of(images: Images, split: str, root: Path) -> list[str]:
    return [sample.path.relative_to(root).as_posix() for sample in getattr(images, split)]


def test_given_splits_are_used_with_the_labels_of_train(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"train/ant": 1, "train/bee": 1, "train/cow": 1, "val/cow": 2, "test/bee": 1})
    images = open_(tmp_path)
    assert images.classes == ("ant", "bee", "cow")
    assert [sample.label for sample in images.train] == [0, 1, 2]
    assert [sample.label for sample in images.val] == [2, 2]
    assert [sample.label for sample in images.test] == [1]
    assert images.origin == str(tmp_path)
    assert images.left_out == ()


def test_without_splits_a_fifth_of_each_class_is_used_for_val(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 10, "bee": 20})
    images = open_(tmp_path)
    assert [sum(s.label == label for s in images.val) for label in (0, 1)] == [2, 4]
    assert {s.path for s in (*images.train, *images.val)} == set(tmp_path.glob("*/*.png"))
    assert not {s.path for s in images.train} & {s.path for s in images.val}
    assert images.test == ()


def test_val_is_split_off_from_train_and_test_is_kept(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"train/ant": 5, "train/bee": 5, "test/ant": 3})
    images = open_(tmp_path)
    assert (len(images.train), len(images.val), len(images.test)) == (8, 2, 3)
    assert all("train" in sample.path.parts for sample in images.val)


def test_copies_of_an_image_stay_in_one_split(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 6, "bee": 6})
    for path in sorted(tmp_path.glob("*/*.png")):
        shutil.copy(path, path.with_name(f"copy-of-{path.name}"))
    images = open_(tmp_path)
    assert len(images.val) == 4
    assert not {s.digest for s in images.train} & {s.digest for s in images.val}


def draw(path: Path, seed: int, side: int) -> None:
    """Write a drawing with large details, in any size."""
    values = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).resize((side, side), Image.Resampling.BICUBIC).save(path, quality=80)


@pytest.mark.parametrize("options", [{}, {"split": "0.5,0.3,0.2"}])
def test_images_that_look_the_same_stay_in_one_split(tmp_path: Path, open_: Open, options: dict[str, str]) -> None:
    for number in range(20):
        name = ("ant", "bee")[number % 2]
        for side in (128, 160, 200):
            draw(tmp_path / name / f"{number}-{side}.jpg", number, side)
    images = open_(tmp_path, **options)
    splits = [{sample.file.name.partition("-")[0] for sample in split} for split in (images.train, images.val)]
    assert all(splits)
    assert not splits[0] & splits[1]
    assert not [finding for finding in images.findings if finding.kind.code == "near-leak"]


def test_the_fingerprint_and_the_split_do_not_depend_on_the_location(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path / "a", {"ant": 10, "bee": 10})
    (tmp_path / "b").mkdir()
    for path in sorted((tmp_path / "a").rglob("*.png"), reverse=True):  # The files are written in a different order.
        target = tmp_path / "b" / "deeper" / path.relative_to(tmp_path / "a")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (tmp_path / "b" / "deeper" / "notes.txt").touch()
    first, second = open_(tmp_path / "a"), open_(tmp_path / "b")
    assert first.fingerprint == second.fingerprint
    assert names_of(first, "val", tmp_path / "a") == names_of(second, "val", tmp_path / "b" / "deeper")
    assert [s.digest for s in first.train] == [s.digest for s in second.train]


def test_every_change_of_the_data_changes_the_fingerprint(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 10, "bee": 10})
    seen = [open_(tmp_path).fingerprint, open_(tmp_path, seed=1).fingerprint]
    (tmp_path / "ant" / "0.png").rename(tmp_path / "ant" / "zero.png")
    seen.append(open_(tmp_path).fingerprint)
    (tmp_path / "ant" / "1.png").rename(tmp_path / "bee" / "moved.png")
    seen.append(open_(tmp_path).fingerprint)
    (tmp_path / "ant" / "2.png").write_bytes((tmp_path / "ant" / "3.png").read_bytes())
    seen.append(open_(tmp_path).fingerprint)
    (tmp_path / "ant").rename(tmp_path / "aunt")
    seen.append(open_(tmp_path).fingerprint)
    assert len(set(seen)) == len(seen)


def test_unreadable_images_are_left_out_and_reported(tmp_path: Path, open_: Open, plant: Plant, progress: Any) -> None:
    plant(tmp_path, {"train/ant": 3, "train/bee": 3, "val/ant": 2})
    content = (tmp_path / "train/ant/0.png").read_bytes()
    (tmp_path / "train/ant/cut.png").write_bytes(content[:-100])
    (tmp_path / "train/bee/page.jpg").write_text("<html>")
    (tmp_path / "val/ant/empty.jpg").touch()
    (tmp_path / "val/ant/notes.txt").touch()
    images = open_(tmp_path)
    assert (len(images.train), len(images.val)) == (6, 2)
    found = {item.path.name: item.reason for item in images.left_out}
    assert found.keys() == {"cut.png", "page.jpg", "empty.jpg", "notes.txt"}
    assert found["empty.jpg"] == "the file is empty"
    report = next(line for line in progress.lines if line.startswith("skipped 4 files"))
    assert "cut.png" in report
    assert report.endswith("and 1 more")
    assert progress.tracked == {"examining images": (11, 11)}


def test_the_users_files_are_not_changed(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 2, "bee": 2})
    (tmp_path / "ant" / "bad.jpg").write_text("<html>")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*.*")}
    open_(tmp_path)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*.*")} == before


def test_a_class_without_readable_images_is_an_error_with_the_reason(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 2, "bee": 0})
    (tmp_path / "bee" / "page.jpg").write_text("<html>")
    with pytest.raises(DataError, match=r"'bee' \(.*page\.jpg.*not an image in a supported format"):
        open_(tmp_path)


def test_a_val_without_readable_images_is_an_error(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"train/ant": 2, "train/bee": 2, "val/ant": 0})
    (tmp_path / "val" / "ant" / "page.jpg").write_text("<html>")
    with pytest.raises(DataError, match="no readable images for val"):
        open_(tmp_path)


def test_classes_of_one_image_cannot_be_split(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 1, "bee": 1})
    with pytest.raises(DataError, match="no readable images for val"):
        open_(tmp_path)


@pytest.mark.parametrize(("groups", "split"), [(1, None), (2, "0.6,0.2,0.2")])
def test_too_few_groups_are_an_error_that_counts_them(
    tmp_path: Path, open_: Open, plant: Plant, groups: int, split: str | None
) -> None:
    plant(tmp_path, {"x": 12})
    rows = "".join(f"x/{n}.png,{'ab'[n // groups % 2]},{n % groups}\n" for n in range(12))
    (tmp_path / "t.csv").write_text(f"path,label,group\n{rows}", encoding="utf-8")
    with pytest.raises(DataError, match=rf"its images are in {groups} groups?, and a group is never divided"):
        open_(tmp_path / "t.csv", **({"split": split} if split else {}))


def test_copies_in_several_splits_or_classes_are_reported(
    tmp_path: Path, open_: Open, plant: Plant, progress: Any
) -> None:
    plant(tmp_path, {"train/ant": 3, "train/bee": 3, "val/ant": 2, "val/bee": 2})
    shutil.copy(tmp_path / "train/ant/0.png", tmp_path / "val/ant/leak.png")
    shutil.copy(tmp_path / "train/bee/1.png", tmp_path / "train/ant/copy.png")
    open_(tmp_path)
    assert "warning: 1 val image also appears in train, so val accuracy is too optimistic" in progress.lines
    assert "warning: 2 train images have copies in different classes, so train labels are unreliable" in progress.lines


def test_data_without_problems_is_described_in_one_line(
    tmp_path: Path, open_: Open, plant: Plant, progress: Any
) -> None:
    plant(tmp_path, {"train/ant": 2, "train/bee": 2, "val/ant": 1, "val/bee": 1})
    open_(tmp_path)
    assert progress.lines == [f"{tmp_path} -> 4 train, 2 val images of 2 classes: ant, bee"]


def test_classes_are_shown_in_the_order_of_their_numbers(
    tmp_path: Path, open_: Open, plant: Plant, progress: Any
) -> None:
    plant(tmp_path, {"c10": 2, "c2": 2, "c1": 2})
    assert open_(tmp_path).classes == ("c1", "c10", "c2")
    assert progress.lines[-1].endswith(" images of 3 classes: c1, c2, c10")


def test_classes_that_a_split_does_not_measure_are_named(
    tmp_path: Path, open_: Open, plant: Plant, progress: Any
) -> None:
    plant(tmp_path, {"ants": 5, "bees": 5, "cats": 1})
    open_(tmp_path)
    assert "warning: no val images of 'cats'" in progress.lines


def test_classes_whose_names_differ_only_in_case_are_named(
    tmp_path: Path, open_: Open, plant: Plant, progress: Any
) -> None:
    plant(tmp_path, {"Cat": 2, "cat": 2, "dog": 2})
    images = open_(tmp_path)
    assert images.classes == ("Cat", "cat", "dog")
    assert "note: the classes 'Cat' and 'cat' differ only in case" in progress.lines


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root can read every file")
def test_a_file_without_read_permission_is_left_out(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path, {"ant": 3, "bee": 3})
    (tmp_path / "ant" / "0.png").chmod(0)
    assert [item.reason for item in open_(tmp_path).left_out] == ["Permission denied"]


def test_the_real_photos_of_ants_and_bees_are_found(hymenoptera: Path, open_: Open) -> None:
    images = open_(hymenoptera)
    assert images.classes == ("ants", "bees")
    assert (len(images.train), len(images.val)) == (245, 153)
    assert not images.left_out
    assert [sample.path.name for sample in images.train if sample.path.suffix == ".gif"] == ["imageNotFound.gif"]


def write_weights(path: Path, folder: Path, weights: Mapping[str, float]) -> Path:
    """Write a table of the images of a folder; each image has the weight of the first key that its path contains."""
    lines = ["path,label,split,sample_weight"]
    for image in sorted(folder.rglob("*.png")):
        name = image.relative_to(folder).as_posix()
        weight = next((weight for key, weight in weights.items() if key in name), 1)
        lines.append(f"{image},{image.parent.name},{name.partition('/')[0]},{weight}")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def open_weighted(tmp_path: Path, open_: Open, plant: Plant) -> Callable[..., Images]:
    """A function that opens the same images with the given weights."""
    plant(tmp_path / "photos", {"train/ant": 3, "train/bee": 3, "val/ant": 2, "val/bee": 2})
    return lambda weights: open_(write_weights(tmp_path / "table.csv", tmp_path / "photos", weights))


def test_training_images_of_weight_0_are_left_out(open_weighted: Open) -> None:
    images = open_weighted({"train/ant/0": 0, "train/bee/2": 0, "train/bee/1": 0.5, "val/ant": 0})
    assert [sample.file.loss_weight for sample in images.train] == [1, 1, 1, 0.5]
    assert len(images.val) == 4
    assert [(item.path.name, item.reason) for item in images.left_out] == [
        ("0.png", "its weight is 0"),
        ("2.png", "its weight is 0"),
    ]


@pytest.mark.parametrize(
    ("weights", "classes"), [({"train/ant": 0}, "'ant'"), ({"train": 0}, "'ant', 'bee'"), ({"": 0}, "'ant', 'bee'")]
)
def test_a_class_whose_training_images_all_have_weight_0_is_an_error(
    open_weighted: Open, weights: Mapping[str, float], classes: str
) -> None:
    with pytest.raises(DataError, match=f"all training images of {classes} have the weight 0; give some of them"):
        open_weighted(weights)


def test_weights_change_the_fingerprint_but_weights_of_1_do_not(
    tmp_path: Path, open_: Open, open_weighted: Open
) -> None:
    plain = open_(tmp_path / "photos").fingerprint
    table = write_weights(tmp_path / "ones.csv", tmp_path / "photos", {})
    text = table.read_text(encoding="utf-8")
    table.write_text("\n".join(line.rpartition(",")[0] for line in text.splitlines()), encoding="utf-8")
    images = open_(table)
    samples = [(split, sample) for split in ("train", "val") for sample in getattr(images, split)]
    rows = sorted(f"{split}\0{s.path.parent.name}\0{s.path.as_posix()}\0{s.digest.hex()}" for split, s in samples)
    expected = sha256("\0\0".join(rows).encode()).hexdigest()  # as before there were weights
    assert images.fingerprint == open_weighted({}).fingerprint == expected
    changed = [open_weighted(weights).fingerprint for weights in ({"train/ant/0": 2}, {"train/ant/0": 3}, {"ant": 2})]
    assert len({plain, open_weighted({}).fingerprint, *changed}) == 5


def test_images_of_weight_0_are_left_out_before_the_split(tmp_path: Path, open_: Open, plant: Plant) -> None:
    plant(tmp_path / "photos", {"ant": 10, "bee": 10})
    weighted = write_weights(tmp_path / "weighted.csv", tmp_path / "photos", {"ant/3": 0, "bee/7": 0, "ant/4": 0.5})
    lines = [line.split(",") for line in weighted.read_text(encoding="utf-8").splitlines()]
    kept = [line for line in lines if line[3] != "0"]
    for path, rows in ((weighted, lines), (tmp_path / "kept.csv", kept)):
        path.write_text("\n".join(",".join((*row[:2], row[3])) for row in rows), encoding="utf-8")
    images, others = open_(weighted), open_(tmp_path / "kept.csv")
    assert (images.train, images.val, images.fingerprint) == (others.train, others.val, others.fingerprint)
    assert len(images.train) + len(images.val) == 18
