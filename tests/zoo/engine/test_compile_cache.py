from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from zoo.engine.compile_cache import BELOW, VARIABLE, keeping_artefacts
from zoo.files.cache import list_entries


def test_they_are_one_entry_of_the_cache_for_each_version_of_torch(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with keeping_artefacts():
        folder = Path(os.environ[VARIABLE])
        (folder / "ab").mkdir()
        (folder / "ab" / "a.so").write_bytes(b"x" * 5000)
    assert VARIABLE not in os.environ
    assert folder.parent == own_cache / "compiled"
    (entry,) = list_entries("compiled")
    assert (entry.path, entry.describe()) == (folder, folder.name)
    assert entry.size >= 5000


@pytest.mark.parametrize("given", [None, "mine"])
def test_nothing_that_torch_sets_for_it_is_left(
    given: str | None, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv(BELOW, raising=False)
    if given:
        monkeypatch.setenv(BELOW, given)
    with keeping_artefacts():
        os.environ.setdefault(BELOW, str(own_cache))
    assert os.environ.get(BELOW) == given


def test_a_folder_that_the_user_named_is_used(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with keeping_artefacts():
        assert os.environ[VARIABLE] == str(tmp_path)
    assert os.environ[VARIABLE] == str(tmp_path)
    assert not (own_cache / "compiled").exists()


def test_a_folder_that_torch_named_is_not_used(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    its_own = f"{tempfile.gettempdir()}/torchinductor_somebody"
    monkeypatch.setenv(VARIABLE, its_own)
    with keeping_artefacts():
        assert Path(os.environ[VARIABLE]).is_relative_to(own_cache)
    assert os.environ[VARIABLE] == its_own


def test_where_the_cache_cannot_be_written_they_are_kept_for_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    with keeping_artefacts():
        folder = Path(os.environ[VARIABLE])
        (folder / "a.so").touch()
    assert not folder.exists()
