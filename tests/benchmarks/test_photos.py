"""All peers use the same images."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from photos import HEIGHT, WIDTH, prepare


def list_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.jpg")}


@pytest.mark.breadth
def test_generated_photos_are_reproducible_and_all_different(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    counts = [prepare(tmp_path / name, None, 4, Path(sys.executable)) for name in ("first", "second")]
    assert counts == [{"train": 4, "val": 2}] * 2
    first, second = (list_files(tmp_path / name) for name in ("first", "second"))
    assert first == second
    assert len({*first.values()}) == 6
    with Image.open(next((tmp_path / "first").rglob("*.jpg"))) as image:
        assert image.size == (WIDTH, HEIGHT)


def test_generated_photos_have_the_file_size_of_real_photos(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    prepare(tmp_path / "images", None, 2, Path(sys.executable))
    assert all(40_000 < len(photo) < 200_000 for photo in list_files(tmp_path / "images").values())


def test_only_the_jpegs_are_copied_and_the_classes_are_balanced(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for kind in ("ants", "bees"):
            (tmp_path / "own" / split / kind).mkdir(parents=True)
            for name in ("1.jpg", "2.JPEG", "3.gif", "4.jpg"):
                (tmp_path / "own" / split / kind / name).write_bytes(b"")
    assert prepare(tmp_path / "all", tmp_path / "own", None, Path(sys.executable)) == {"train": 6, "val": 6}
    assert prepare(tmp_path / "some", tmp_path / "own", 4, Path(sys.executable)) == {"train": 4, "val": 2}
    assert len(list((tmp_path / "some" / "train" / "bees").iterdir())) == 2


def test_a_folder_with_different_images_is_refused(tmp_path: Path) -> None:
    for kind in ("ants", "bees"):
        for split in ("train", "val"):
            (tmp_path / "own" / split / kind).mkdir(parents=True)
            (tmp_path / "own" / split / kind / "1.jpg").write_bytes(b"")
    prepare(tmp_path / "images", tmp_path / "own", None, Path(sys.executable))
    prepare(tmp_path / "images", tmp_path / "own", None, Path(sys.executable))
    with pytest.raises(ValueError, match="different images"):
        prepare(tmp_path / "images", tmp_path / "own", 2, Path(sys.executable))
