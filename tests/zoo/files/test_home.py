from __future__ import annotations

from pathlib import Path

import pytest

from zoo.files.home import expand_home


def test_a_tilde_is_the_home_directory_only_if_there_is_such_a_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_home("~/photos") == tmp_path / "photos"
    assert expand_home("~no-such-user/photos") == Path("~no-such-user/photos")
    assert expand_home("~~") == Path("~~")
    assert expand_home(Path("a/~b")) == Path("a/~b")
