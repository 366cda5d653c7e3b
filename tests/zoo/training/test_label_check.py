"""Labels are checked with the features of all images, and no file is changed."""

from __future__ import annotations

import hashlib
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file
from torch import Tensor

from zoo.data.examination import kinds
from zoo.errors import DataError, OptionError
from zoo.progress import Silent
from zoo.registry.registry import Registry
from zoo.training import label_check
from zoo.training.finetune import finetune
from zoo.training.label_check import LabelCheck, check_labels
from zoo.training.label_ranking import LabelRanking, rank_labels
from zoo.training.label_sheet import draw_doubts


class Recorder(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def weights(source: dict[str, Tensor], tmp_path: Path) -> str:
    save_file(source, tmp_path / "weights.safetensors")
    return str(tmp_path / "weights.safetensors")


@pytest.fixture
def check(registry: Registry, weights: str) -> Any:
    def check(data: Any, **options: Any) -> LabelCheck:
        options = {"weights": weights, "workers": 0, "device": "cpu", **options}
        return check_labels(data, backbone="net", registry=registry, **options)

    return check


def move_first(root: Path, split: str) -> Path:
    """Move an image of a split to a different class, and return its new path."""
    one, other = sorted(path for path in (root / split).iterdir())
    first = min(one.iterdir())
    return first.rename(other / f"moved{first.suffix}")


def digest_all(root: Path) -> dict[Path, tuple[str, int]]:
    return {
        path: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_wrong_label_is_the_most_doubtful_one(check: Any, photos: Path, split: str) -> None:
    moved = move_first(photos, split)
    doubt, *others = check(photos).ranking.doubts
    assert doubt.sample.path == moved
    assert doubt.sample.file.split == split
    assert doubt.label == moved.parent.name != doubt.suggested
    assert doubt.suggested_probability > doubt.probability
    assert len(others) == 33


def test_a_wrong_label_is_a_finding_that_is_a_warning(check: Any, photos: Path) -> None:
    moved = move_first(photos, "train")
    examination = check(photos).examination
    (found,) = (finding for finding in examination.findings if finding.kind is kinds.DOUBTFUL_LABEL)
    assert found.path == str(moved)
    assert f"than {moved.parent.name!r}" in found.detail
    assert not examination.is_clean


def test_the_ranking_ends_with_the_least_doubtful_label(check: Any, photos: Path) -> None:
    doubts = [doubt.suggested_probability - doubt.probability for doubt in check(photos).ranking.doubts]
    assert all(one >= other - 1e-6 for one, other in pairwise(doubts))


def test_a_flat_folder_is_checked_too(check: Any, photos: Path) -> None:
    moved = move_first(photos, "train")
    assert check(photos / "train").ranking.doubts[0].sample.path == moved


def test_checking_twice_gives_the_same_ranking(check: Any, photos: Path) -> None:
    assert check(photos).ranking == check(photos).ranking


def test_a_class_with_two_images_is_checked_with_two_folds(check: Any, few_photos: Path) -> None:
    assert check(few_photos / "train").ranking.folds == 2


def test_no_file_changes(check: Any, photos: Path) -> None:
    move_first(photos, "train")
    before = digest_all(photos)
    draw_doubts(check(photos))
    assert digest_all(photos) == before


def test_a_run_on_the_same_images_uses_the_same_features(
    check: Any, photos: Path, registry: Registry, weights: str, tmp_path: Path
) -> None:
    check(photos)
    progress = Recorder()
    options = {"weights": weights, "workers": 0, "device": "cpu", "epochs": 1}
    finetune("net", photos, output=tmp_path / "run", registry=registry, progress=progress, **options)
    assert "features of 34 images: cached by an earlier run" in progress.lines


@pytest.mark.breadth
def test_a_mirrored_copy_in_another_split_is_a_near_leak(tmp_path: Path, assets: Path) -> None:
    (root := tmp_path / "insects").mkdir()
    for split in ("train", "val"):
        for name in ("ants", "bees"):
            shutil.copytree(assets / "data" / "hymenoptera_data" / "val" / name, root / split / name)
    for path in (root / "val").rglob("*.jpg"):
        path.unlink()
    paths = sorted((root / "train").rglob("*.jpg"))
    for path in paths[::20]:
        ImageOps.mirror(Image.open(path)).save(root / "val" / path.parent.name / path.name)
    options = {"weights": str(assets / "weights" / "torchvision_squeezenet1_1.safetensors")}
    found = check_labels(root, backbone="torchvision/squeezenet1_1", **options).examination.findings
    leaks = {
        (Path(finding.path or "").name, Path(finding.detail).name)
        for finding in found
        if finding.kind is kinds.NEAR_LEAK
    }
    assert leaks >= {(path.name, path.name) for path in paths[::20]}


def test_random_weights_are_refused(check: Any, photos: Path) -> None:
    with pytest.raises(OptionError, match="must not be none"):
        check(photos, weights="none")


def test_a_single_class_is_refused(check: Any, photos: Path) -> None:
    shutil.rmtree(min((photos / "train").iterdir()))
    shutil.rmtree(min((photos / "val").iterdir()))
    with pytest.raises(DataError, match="at least two classes, but the data has only the class"):
        check(photos)


def test_a_class_with_one_image_is_refused(check: Any, few_photos: Path, tmp_path: Path) -> None:
    root = shutil.copytree(few_photos / "train", tmp_path / "few")
    min(min(root.iterdir()).iterdir()).unlink()
    with pytest.raises(DataError, match="has 1 different image; add images"):
        check(root)


def test_more_images_than_are_examined_are_refused(check: Any, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_MAX_EXAMINED_IMAGES", "33")
    with pytest.raises(DataError, match="34 images, but ZOO_MAX_EXAMINED_IMAGES allows only 33"):
        check(photos)


def test_an_option_of_training_is_refused(check: Any, photos: Path) -> None:
    with pytest.raises(OptionError, match="`epochs` does not change the check of labels"):
        check(photos, epochs=3)


def test_several_processes_are_refused(check: Any, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="single process"):
        check(photos)


def test_the_sheet_shows_both_labels_of_the_most_doubtful_images(check: Any, photos: Path) -> None:
    moved = move_first(photos, "train")
    checked = check(photos)
    sheet = draw_doubts(checked)
    lines = sheet.rows[0].captions[0]
    assert lines[0].startswith(f"label: {moved.parent.name} (")
    assert lines[1].startswith(f"suggested: {checked.ranking.doubts[0].suggested} (")
    assert lines[2] == f"train: {moved.name}"
    assert sum(len(row.images) for row in sheet.rows) == 20
    assert moved.name in sheet.page


def test_probes_that_are_no_better_than_a_guess_are_pointed_out(check: Any, tmp_path: Path) -> None:
    for name, count in (("blue", 12), ("red", 8)):  # All images have the same pixels.
        (tmp_path / "gray" / name).mkdir(parents=True)
        for number in range(count):
            (text := PngInfo()).add_text("title", f"{name} {number}")
            Image.new("RGB", (48, 40), "gray").save(tmp_path / "gray" / name / f"{number}.png", pnginfo=text)
    progress = Recorder()
    assert check(tmp_path / "gray", progress=progress).ranking.accuracy == pytest.approx(0.6)
    assert "but 60.0% of the images have the label 'blue'" in "\n".join(progress.lines)


def test_good_probes_are_not_pointed_out(check: Any, photos: Path) -> None:
    progress = Recorder()
    check(photos, progress=progress)
    assert not any("say nothing" in line for line in progress.lines)


def test_near_copies_reach_the_ranking_as_clusters(check: Any, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = min((photos / "train").rglob("*.png"))
    copy = path.with_name("copy.png")
    Image.open(path).resize((48, 40), Image.Resampling.BICUBIC).save(copy)
    found: list[dict[bytes, bytes]] = []

    def note(*args: Any, clusters: dict[bytes, bytes], **options: Any) -> LabelRanking:
        found.append(clusters)
        return rank_labels(*args, clusters=clusters, **options)

    monkeypatch.setattr(label_check, "rank_labels", note)
    check(photos)
    one, other = (hashlib.sha256(each.read_bytes()).digest() for each in (path, copy))
    assert found[0][one] == found[0][other]
