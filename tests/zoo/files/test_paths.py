from __future__ import annotations

import os
from pathlib import Path

import pytest

from zoo.errors import OptionError
from zoo.files.paths import expand_user, read_file


def test_an_empty_path_is_refused_because_it_would_mean_the_current_folder() -> None:
    with pytest.raises(OptionError, match="a path is empty"):
        expand_user("")


def test_only_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"content")
    assert read_file(tmp_path / "file", 3) == b"con"
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="it is not a file"):
            read_file(path)
