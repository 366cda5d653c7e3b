from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from zoo.engine.compile_cache import TRITON_VARIABLE, VARIABLE, keeping_artifacts
from zoo.files.cache import list_entries


def test_compiled_code_is_one_cache_entry_per_version_of_torch(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with keeping_artifacts():
        folder = Path(os.environ[VARIABLE])
        (folder / "ab").mkdir()
        (folder / "ab" / "a.so").write_bytes(b"x" * 5000)
    assert VARIABLE not in os.environ
    assert folder.parent == own_cache / "compiled"
    (entry,) = list_entries("compiled")
    assert (entry.path, entry.describe()) == (folder, folder.name)
    assert entry.size >= 5000


@pytest.mark.parametrize("given", [None, "mine"])
def test_the_environment_is_restored(given: str | None, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv(TRITON_VARIABLE, raising=False)
    if given:
        monkeypatch.setenv(TRITON_VARIABLE, given)
    with keeping_artifacts():
        os.environ.setdefault(TRITON_VARIABLE, str(own_cache))
    assert os.environ.get(TRITON_VARIABLE) == given


def test_a_folder_chosen_by_the_user_is_used(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with keeping_artifacts():
        assert os.environ[VARIABLE] == str(tmp_path)
    assert os.environ[VARIABLE] == str(tmp_path)
    assert not (own_cache / "compiled").exists()


def test_a_folder_chosen_by_torch_is_not_used(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    its_own = f"{tempfile.gettempdir()}/torchinductor_somebody"
    monkeypatch.setenv(VARIABLE, its_own)
    with keeping_artifacts():
        assert Path(os.environ[VARIABLE]).is_relative_to(own_cache)
    assert os.environ[VARIABLE] == its_own


def test_without_a_writable_cache_folder_a_temporary_folder_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    with keeping_artifacts():
        folder = Path(os.environ[VARIABLE])
        (folder / "a.so").touch()
    assert not folder.exists()
