from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from torch import Tensor

from zoo.engine.features.feature_store import check_room, find_rows, store_rows
from zoo.errors import CacheError, OptionError
from zoo.files.atomic import atomic_write
from zoo.files.cache import list_entries, make_key, read_about
from zoo.files.limits import FREE_BYTES, PARTIAL_SECONDS
from zoo.files.partial import PREFIX

ABOUT: dict[str, Any] = {"backbone": "acme/net", "images": ["a", "b"], "view": None}
ROWS = torch.arange(12, dtype=torch.float32).reshape(4, 3)


def refuse(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def in_batches(rows: Tensor, size: int = 3) -> Iterator[Tensor]:
    yield from rows.split(size)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_rows_are_read_as_they_were_written(dtype: torch.dtype) -> None:
    rows = ROWS.to(dtype)
    assert find_rows(ABOUT) is None
    kept = store_rows(ABOUT, len(rows), in_batches(rows))
    assert torch.equal(kept, rows)
    found = find_rows(ABOUT)
    assert found is not None
    assert found.dtype == dtype
    assert torch.equal(found, rows)


def test_safetensors_can_read_the_file(own_cache: Path) -> None:
    store_rows(ABOUT, 4, in_batches(ROWS))
    (path,) = own_cache.rglob("*.safetensors")
    with safe_open(path, framework="pt") as file:
        assert torch.equal(file.get_tensor("rows"), ROWS)


@pytest.mark.parametrize("change", [{"view": 0}, {"images": ["b", "a"]}, {"backbone": "acme/nets"}, {"more": 1}])
def test_rows_with_a_different_description_are_not_found(change: dict[str, Any]) -> None:
    store_rows(ABOUT, 4, in_batches(ROWS))
    assert find_rows({**ABOUT, **change}) is None


@given(st.dictionaries(st.text(), st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text()))))
def test_the_key_does_not_depend_on_the_order_of_the_description(about: dict[str, Any]) -> None:
    assert make_key(about) == make_key(dict(reversed(about.items())))


@pytest.mark.parametrize("damage", [b"", b"nonsense" * 9])
def test_a_damaged_file_is_ignored_and_replaced(own_cache: Path, damage: bytes) -> None:
    store_rows(ABOUT, 4, in_batches(ROWS))
    (path,) = own_cache.rglob("*.safetensors")
    path.write_bytes(damage)
    assert find_rows(ABOUT) is None
    assert torch.equal(store_rows(ABOUT, 4, in_batches(ROWS)), ROWS)


@pytest.mark.parametrize("place", [-1, -17])
def test_a_flipped_bit_in_the_rows_is_noticed(own_cache: Path, place: int) -> None:
    store_rows(ABOUT, len(ROWS), ROWS.split(2))
    (path,) = (own_cache / "features").glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    lines: list[str] = []
    assert find_rows(ABOUT, lines.append) is None
    assert lines == [f"note: cached features are damaged and will be recomputed: {path}: the checksum does not match"]
    assert not path.exists()


def test_a_truncated_file_is_ignored(own_cache: Path) -> None:
    store_rows(ABOUT, 4, in_batches(ROWS))
    (path,) = own_cache.rglob("*.safetensors")
    os.truncate(path, path.stat().st_size - 4)
    assert find_rows(ABOUT) is None


def test_a_named_pipe_is_replaced_and_not_opened(own_cache: Path) -> None:
    store_rows(ABOUT, 4, in_batches(ROWS))
    path = next((own_cache / "features").iterdir())
    path.unlink()
    os.mkfifo(path)
    assert find_rows(ABOUT) is None
    store_rows(ABOUT, 4, in_batches(ROWS))
    assert path.is_file()


def test_interrupted_writing_leaves_no_file(own_cache: Path) -> None:
    def interrupt() -> Iterator[Tensor]:
        yield ROWS[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store_rows(ABOUT, 4, interrupt())
    assert find_rows(ABOUT) is None
    assert not [path for path in own_cache.rglob("*") if path.is_file()]


def test_the_least_recently_used_rows_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    big = torch.zeros(4, 1000)
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "40000")
    for number in (1, 2):
        store_rows({"number": number}, 4, in_batches(big))
    for age, entry in enumerate(list_entries("features"), 1):
        os.utime(entry.path, (1000 - age, 1000 - age))
    assert find_rows({"number": 1}) is not None  # used now, so the other one is older
    store_rows({"number": 3}, 4, in_batches(big))
    assert sorted(about["number"] for entry in list_entries("features") if (about := read_about(entry.path))) == [1, 3]


def test_files_that_another_process_is_writing_are_not_removed(
    monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "2000")
    with atomic_write(own_cache / "features" / "other.safetensors") as partial:
        partial.parent.mkdir(parents=True)
        partial.write_bytes(bytes(1990))
        store_rows(ABOUT, 4, in_batches(ROWS))
        assert partial.exists()


def test_old_partial_files_are_removed(own_cache: Path) -> None:
    folder = own_cache / "features"
    folder.mkdir(parents=True)
    abandoned, recent = (folder / f"{PREFIX}99999999-0f-{name}" for name in ("abandoned", "recent"))
    for path in (abandoned, recent):
        path.write_bytes(bytes(10))
    os.utime(abandoned, (0, time.time() - PARTIAL_SECONDS.default - 60))
    store_rows(ABOUT, 4, in_batches(ROWS))
    assert not abandoned.exists()
    assert recent.exists()


def test_old_rows_are_removed_before_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        store_rows({"number": number}, 4, in_batches(ROWS))
        os.utime(next(entry.path for entry in list_entries("features")), (number, number))
    size = list_entries("features")[0].size
    usage = shutil.disk_usage("/")._replace(free=FREE_BYTES.default + ROWS.nbytes - size - 1)  # two of them have to go
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: usage)
    store_rows({"number": 3}, 4, in_batches(ROWS))
    assert [find_rows({"number": number}) is None for number in range(4)] == [True, True, False, False]


@pytest.mark.parametrize("owned", ["utime", "unlink"])
def test_a_file_of_another_user_is_read_but_not_touched(
    owned: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_rows(ABOUT, 4, in_batches(ROWS))
    (path,) = own_cache.rglob("*.safetensors")
    if owned == "unlink":
        path.write_bytes(b"damaged")
    monkeypatch.setattr(*((os, "utime", refuse) if owned == "utime" else (Path, "unlink", refuse)))
    found = find_rows(ABOUT)
    assert path.exists()
    assert found is None if owned == "unlink" else torch.equal(found, ROWS)  # type: ignore[arg-type]  # it is not None


def test_rows_with_the_same_description_are_replaced() -> None:
    before = store_rows(ABOUT, 4, in_batches(ROWS))
    assert torch.equal(store_rows(ABOUT, 4, in_batches(ROWS + 1)), ROWS + 1)
    assert torch.equal(before, ROWS)  # still mapped


def test_old_rows_that_cannot_be_removed_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    store_rows(ABOUT, 4, in_batches(ROWS))
    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setenv("ZOO_CACHE_LIMIT", str(ROWS.nbytes + 1))
    with pytest.raises(CacheError, match=r"features cannot be written: Permission denied"):
        store_rows({"other": 1}, 4, in_batches(ROWS))


def test_a_folder_without_permission_is_an_error_before_anything_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    check_room(1)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(CacheError, match=r"features cannot be written: Permission denied"):
        check_room(1)


def test_rows_above_the_limit_are_an_error_with_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "47")
    with pytest.raises(CacheError, match="the features need 48 bytes, but ZOO_CACHE_LIMIT allows only 47"):
        store_rows(ABOUT, 4, in_batches(ROWS))


def test_a_limit_that_is_not_a_number_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "20G")
    with pytest.raises(OptionError, match="ZOO_CACHE_LIMIT must be a whole number of bytes, at least 0, got '20G'"):
        store_rows(ABOUT, 4, in_batches(ROWS))


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file"))
    with pytest.raises(CacheError, match="cannot be written: Not a directory"):
        store_rows(ABOUT, 4, in_batches(ROWS))


def test_the_header_contains_the_description() -> None:
    store_rows(ABOUT, 4, in_batches(ROWS))
    (entry,) = list_entries("features")
    assert read_about(entry.path) == ABOUT
    assert entry.size > ROWS.nbytes
