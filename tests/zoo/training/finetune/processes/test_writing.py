"""Files that several processes write."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quick_runs import FILES
from worlds import get_results

WITH_BASELINE = {"train": "head", "baseline": "scratch", "save_every": 1}


@pytest.mark.parametrize(
    ("options", "output"),
    [
        (WITH_BASELINE, None),
        ({"train": "all"}, "run"),
        pytest.param(WITH_BASELINE, "run", marks=pytest.mark.breadth),
        pytest.param({"train": "all"}, None, marks=pytest.mark.breadth),
    ],
)
def test_only_the_first_process_writes_the_run_folder(
    train: Callable[..., Any],
    elsewhere: Callable[[int], Path],
    photos: Path,
    output: str | None,
    options: dict[str, Any],
) -> None:
    shutil.copytree(photos / "val", photos / "test")

    def work(rank: int) -> tuple[Path, list[str]]:
        folder = elsewhere(rank)
        path = train(output, epochs=1, **options).path
        return path, sorted(str(file.relative_to(folder)) for file in folder.rglob("*"))

    (path, files), *others = get_results(3, work)
    assert path == Path(output or "runs/net-photos-1")
    assert {str(path / name) for name in FILES} < set(files)
    assert others == [(path, [])] * 2
