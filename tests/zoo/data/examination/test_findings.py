"""Every kind of odd image is reported with its path, and nothing else is."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zoo.data.examination.check import Examination, examine_source
from zoo.data.examination.findings import count_findings
from zoo.data.examination.kinds import KINDS
from zoo.progress import Silent
from zoo.registry.data_options import DataOptions


def draw(seed: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Generate an image with details of all sizes."""
    values = np.random.default_rng(seed).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    return Image.fromarray(values).resize(size, Image.Resampling.BICUBIC)


def plant(root: Path) -> Path:
    """Write ordinary images of two classes to train, val and test."""
    for number, split in enumerate(("train", "val", "test")):
        for class_name in ("ant", "bee"):
            folder = root / split / class_name
            folder.mkdir(parents=True)
            for place in range(3):
                draw(100 * number + 10 * (class_name == "bee") + place).save(folder / f"{place}.png")
    return root


def save_rotated(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(1001).save(path, "JPEG", exif=exif)


def save_animated(path: Path) -> None:
    draw(1002).save(path, "WEBP", save_all=True, append_images=[draw(1003)], lossless=True)


#: One odd file of each kind, and how to write it.
ODD: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "wrong-suffix": ("png.jpg", lambda path: draw(1000).save(path, "PNG")),
    "rotated": ("rotated.jpg", save_rotated),
    "animated": ("animated.webp", save_animated),
    "cmyk": ("cmyk.jpg", lambda path: draw(1004).convert("CMYK").save(path)),
    "palette": ("palette.png", lambda path: draw(1005).quantize(64).save(path)),
    "alpha": ("alpha.png", lambda path: draw(1006).convert("RGBA").save(path)),
    "16-bit": (
        "deep.png",
        lambda path: Image.fromarray(np.asarray(draw(1007).convert("L")).astype("u2") * 16).save(path),
    ),
    "tiny": ("tiny.png", lambda path: draw(1008, (40, 31)).save(path)),
    "huge": ("huge.jpg", lambda path: draw(1009, (10_000, 5_001)).save(path, quality=30)),
    "black": ("black.png", lambda path: Image.new("RGB", (96, 64), (3, 3, 3)).save(path)),
    "white": ("white.png", lambda path: Image.new("RGB", (96, 64), (252, 252, 252)).save(path)),
    "flat": ("flat.png", lambda path: Image.new("RGB", (96, 64), (20, 120, 220)).save(path)),
}
#: Files that cannot be used.
BAD: dict[str, bytes] = {
    "empty.jpg": b"",
    "text.png": b"not an image",
    "page.jpg": b"<!DOCTYPE html><html></html>",
    "truncated.jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01",
    "notes.txt": b"notes",
}


def check(root: Path, names: Any) -> Examination:
    return examine_source(str(root), DataOptions(), registry=names, progress=Silent())


def list_found(found: Examination) -> list[tuple[str, str | None, str]]:
    """List kind, split and path below the split, or class, of each finding."""
    return [
        (f.kind.code, f.split, "/".join(Path(f.path).parts[-2:]) if f.path else str(f.class_name))
        for f in found.findings
    ]


def digest_tree(root: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        digest.update(str(path).encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()


def test_ordinary_images_have_no_findings(tmp_path: Path, names: Any) -> None:
    found = check(plant(tmp_path), names)
    assert found.findings == ()
    assert found.images == {"train": 6, "val": 6, "test": 6}
    assert found.is_clean


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_all_odd_files_of_a_split_are_reported_and_unchanged(tmp_path: Path, names: Any, split: str) -> None:
    folder = plant(tmp_path) / split / "ant"
    for name, save in ODD.values():
        save(folder / name)
    for name, data in BAD.items():
        (folder / name).write_bytes(data)
    before = digest_tree(tmp_path)
    found = check(tmp_path, names)
    assert digest_tree(tmp_path) == before
    expected = {("skipped", None, f"ant/{name}") for name in BAD}
    expected |= {(kind, split, f"ant/{name}") for kind, (name, _) in ODD.items()}
    assert sorted(list_found(found), key=str) == sorted(expected, key=str)
    assert found.images[split] == 6 + len(ODD)


def test_copies_are_reported_by_the_harm_that_they_do(tmp_path: Path, names: Any) -> None:
    train = plant(tmp_path) / "train"
    shutil.copy(train / "ant" / "0.png", tmp_path / "test" / "ant" / "leak.png")
    shutil.copy(train / "ant" / "1.png", train / "ant" / "twin.png")
    shutil.copy(train / "ant" / "2.png", train / "bee" / "conflict.png")
    assert list_found(check(tmp_path, names)) == [
        ("leak", "test", "ant/leak.png"),
        ("conflict", "train", "ant/2.png"),
        ("conflict", "train", "bee/conflict.png"),
        ("duplicate", "train", "ant/twin.png"),
        ("duplicate", "train", "bee/conflict.png"),
    ]


def test_copies_in_another_size_and_format_are_reported_as_near(tmp_path: Path, names: Any) -> None:
    train = plant(tmp_path) / "train"
    Image.open(train / "ant" / "0.png").resize((192, 128)).save(tmp_path / "val" / "ant" / "leak.jpg")
    Image.open(train / "ant" / "1.png").save(train / "ant" / "twin.webp", quality=70)
    Image.open(train / "ant" / "2.png").save(train / "bee" / "conflict.jpg", quality=70)
    found = [item for item in list_found(check(tmp_path, names)) if item[0].startswith("near")]
    assert found == [
        ("near-leak", "val", "ant/leak.jpg"),
        ("near-conflict", "train", "ant/2.png"),
        ("near-conflict", "train", "bee/conflict.jpg"),
        ("near-duplicate", "train", "ant/twin.webp"),
        ("near-duplicate", "train", "bee/conflict.jpg"),
    ]


def test_a_test_image_that_chose_the_best_epoch_is_a_leak(tmp_path: Path, names: Any) -> None:
    val = plant(tmp_path) / "val" / "ant"
    shutil.copy(val / "0.png", tmp_path / "test" / "ant" / "leak.png")
    Image.open(val / "1.png").save(tmp_path / "test" / "ant" / "near.webp", quality=70)
    assert list_found(check(tmp_path, names)) == [
        ("leak", "test", "ant/leak.png"),
        ("near-leak", "test", "ant/near.webp"),
    ]


def test_the_detail_of_a_copy_is_the_other_image(tmp_path: Path, names: Any) -> None:
    train = plant(tmp_path) / "train"
    shutil.copy(train / "ant" / "0.png", tmp_path / "test" / "bee" / "leak.png")
    details = [finding.detail for finding in check(tmp_path, names).findings]
    assert details == [
        str(train / "ant" / "0.png"),
        f"{tmp_path / 'test/bee/leak.png'} (bee)",
        f"{train / 'ant/0.png'} (ant)",
    ]


def test_a_class_that_a_split_lacks_and_a_rare_class_are_reported(tmp_path: Path, names: Any) -> None:
    plant(tmp_path)
    (tmp_path / "train" / "cat").mkdir()
    draw(2000).save(tmp_path / "train" / "cat" / "0.png")
    for number in range(27):
        draw(3000 + number).save(tmp_path / "train" / "ant" / f"more{number}.png")
    assert list_found(check(tmp_path, names)) == [
        ("missing-class", "val", "cat"),
        ("missing-class", "test", "cat"),
        ("imbalance", "train", "bee"),
        ("imbalance", "train", "cat"),
    ]


@pytest.mark.breadth
def test_findings_do_not_depend_on_what_was_decoded_before(tmp_path: Path, names: Any) -> None:
    for name, save in ODD.values():
        save(plant(tmp_path / name) / "train" / "ant" / name)
        assert check(tmp_path / name, names) == check(tmp_path / name, names)


def test_the_table_counts_each_kind_in_each_split(tmp_path: Path, names: Any) -> None:
    for split in ("train", "val"):
        ODD["alpha"][1](plant(tmp_path / split) / split / "ant" / "alpha.png")
    found = check(tmp_path / "val", names).findings
    assert {kind.code: counts for kind, counts in count_findings(found).items()} == {"alpha": {"val": 1}}


def test_data_that_cannot_be_trained_on_is_examined_too(tmp_path: Path, names: Any) -> None:
    (tmp_path / "ant").mkdir()
    draw(0).save(tmp_path / "ant" / "0.png")
    found = check(tmp_path, names)
    assert found.problem
    assert "only one class" in found.problem
    assert not found.is_clean


def test_every_kind_has_its_own_code() -> None:
    assert len({kind.code for kind in KINDS}) == len(KINDS) == 23
