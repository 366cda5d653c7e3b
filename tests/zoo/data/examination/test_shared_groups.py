"""Groups in more than one split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from zoo.data.dataset import open_images
from zoo.registry.data_options import DataOptions

Plant = Callable[[Path, Mapping[str, int]], Path]


def find_warnings(folder: Path, rows: list[tuple[str, str]], names: Any, progress: Any) -> list[str]:
    lines = [f"x/{n}.png,{'ab'[n % 2]},{split},{group}" for n, (split, group) in enumerate(rows)]
    (folder / "t.csv").write_text("\n".join(["path,label,split,group", *lines]), encoding="utf-8")
    open_images(folder / "t.csv", DataOptions(), registry=names, progress=progress)
    return [line for line in progress.lines if "group" in line and line.startswith("warning")]


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("limit", ["0", "100"])
def test_groups_in_train_and_another_split_are_counted(
    tmp_path: Path, plant: Plant, names: Any, progress: Any, *, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setenv("ZOO_MAX_EXAMINED_IMAGES", limit)
    plant(tmp_path, {"x": 10})
    groups = {"train": ("p", "q", "r", "s"), "val": ("p", "q", "t", ""), "test": ("q", "u")}
    rows = [(split, group) for split, some in groups.items() for group in some]
    assert find_warnings(tmp_path, rows, names, progress) == [
        "warning: 2 val groups also have images in train, so val accuracy is too optimistic",
        "warning: 1 test group also has images in train or val, so test accuracy is too optimistic",
    ]


@pytest.mark.usefixtures("cache")
def test_separate_groups_and_images_without_a_group_are_not_reported(
    tmp_path: Path, plant: Plant, names: Any, progress: Any
) -> None:
    plant(tmp_path, {"x": 8})
    rows = [("train", "p"), ("train", "p"), ("val", "q"), ("val", "q"), *[(s, "") for s in ("train", "val") * 2]]
    assert find_warnings(tmp_path, rows, names, progress) == []
