"""Bad and odd files of every kind in data sources other than folders: each is reported by path and reason."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bad_files import BAD_FILES
from made_shards import write_shard
from odd_images import ODD_IMAGES, draw
from odd_trees import SPLITS
from zoo.data.examination.check import examine_source
from zoo.progress import Silent
from zoo.registry.data_options import DataOptions

pytestmark = pytest.mark.usefixtures("cache")


def plant(top: Path) -> Path:
    """Write bad and odd files to the class ant of each split, and two ordinary images to the class bee."""
    for order, split in enumerate(SPLITS):
        for class_name in ("ant", "bee"):
            (top / split / class_name).mkdir(parents=True)
        for place, (name, (_, make)) in enumerate({**ODD_IMAGES, **BAD_FILES}.items()):
            (top / split / "ant" / name).write_bytes(make(3 * place + order))
        for number in range(8):
            draw(10_000 + 8 * order + number).save(top / split / "bee" / f"{number}.png")
    return top


def make_table(top: Path) -> Path:
    paths = (path.relative_to(top) for path in sorted(top.glob("*/*/*")))
    rows = [f"{path},{path.parts[1]},{path.parts[0]}" for path in paths]
    table = top / "labels.csv"
    table.write_text("\n".join(["path,label,split", *rows, "gone.jpg,ant,train"]) + "\n", encoding="utf-8")
    return table


def make_zip(top: Path) -> Path:
    return Path(shutil.make_archive(str(top.parent / "photos"), "zip", top))


def make_tar(top: Path) -> Path:
    return Path(shutil.make_archive(str(top.parent / "photos"), "gztar", top))


def make_shards(top: Path) -> Path:
    """Pack each split into a shard. A key is the name of a file without periods."""
    for split in SPLITS:
        samples = {
            path.name.replace(".", "-"): {path.suffix[1:]: path.read_bytes(), "cls": path.parent.name.encode()}
            for path in sorted((top / split).glob("*/*"))
        }
        write_shard(top.parent / "shards" / f"{split}-000.tar", samples)
    return top.parent / "shards"


def find_name(path: str) -> str:
    """Return the name of the file from its path, which contains a key if the file is in a shard."""
    known = {name.replace(".", "-"): name for name in (*ODD_IMAGES, *BAD_FILES)}
    return known.get(Path(path).stem, Path(path).name)


@pytest.mark.skipif(os.name == "nt", reason="the paths in the table have slashes")
@pytest.mark.parametrize("make", [make_table, make_zip, make_tar, make_shards])
def test_each_file_is_reported(
    tmp_path: Path, names: Any, make: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.data.file_kinds.find_spec", lambda _: None)  # without pillow-heif
    source = make(plant(tmp_path / "photos"))
    found = examine_source(str(source), DataOptions(), registry=names, progress=Silent())
    skipped = [(find_name(str(item.path)), item.detail) for item in found.findings if item.kind.code == "skipped"]
    if make is make_table:
        skipped.remove(("gone.jpg", "there is no such file"))
    assert sorted(name for name, _ in skipped) == sorted([*BAD_FILES] * 3)
    assert [(name, reason) for name, reason in skipped if not reason.startswith(BAD_FILES[name][0])] == []
    others = [(item.kind.code, item.split, find_name(str(item.path))) for item in found.findings]
    expected = [(code, split, name) for split in SPLITS for name, (codes, _) in ODD_IMAGES.items() for code in codes]
    assert sorted(item for item in others if item[0] != "skipped") == sorted(expected)
    assert found.images == dict.fromkeys(SPLITS, len(ODD_IMAGES) + 8)
