"""Files of a large data set, which are found but not read before the first step."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unprivileged import obeying_permissions
from zoo.data.listing import ImageFile
from zoo.data.unexamined import find_files
from zoo.progress import Silent


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes and permissions")
def test_files_that_cannot_be_opened_are_left_out_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_MAX_IMAGE_BYTES", "9")
    for name, size in {"closed.png": 5, "good.png": 9, "large.png": 10}.items():
        (tmp_path / name).write_bytes(bytes(size))
    (tmp_path / "closed.png").chmod(0)
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    names = ["closed.png", "folder.png", "gone.png", "good.png", "large.png", "pipe.png"]
    files = [ImageFile(tmp_path, name, "train", "ant", name) for name in names]
    with obeying_permissions():
        good, bad = find_files(files, {"ant": 0}, Silent())
    assert [sample.file.name for sample in good] == ["good.png"]
    assert [(item.path.name, item.reason.partition(",")[0]) for item in bad] == [
        ("closed.png", "Permission denied"),
        ("folder.png", "it is not a file"),
        ("gone.png", "there is no such file"),
        ("large.png", "it has 10 bytes"),
        ("pipe.png", "it is not a file"),
    ]
