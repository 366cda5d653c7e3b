"""Tar archives whose members are all valid, but which are cut, joined or changed."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.data.sources.archive import extract_archive
from zoo.data.sources.shard_index import read_index
from zoo.errors import DataError

Reader = Callable[[Path], object]
READERS: dict[str, Reader] = {
    "archive": lambda path: extract_archive(path, path.parent / "out"),
    "shard": lambda path: read_index(path, None),
}


@pytest.fixture(params=READERS)
def read(request: pytest.FixtureRequest, cache: Path) -> Reader:
    assert cache
    return READERS[request.param]


def make_tar(*names: str, content: bytes = b"ant") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as opened:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize("members", [1, 2])
def test_an_archive_that_was_cut_after_a_member_is_an_error(tmp_path: Path, read: Reader, members: int) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(make_tar("ant/1.jpg", "ant/1.cls", "ant/2.jpg")[: members * 1024])
    with pytest.raises(DataError, match="it has no end-of-archive marker, so its end is probably missing"):
        read(path)


def test_two_archives_in_one_file_are_an_error(tmp_path: Path, read: Reader) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(make_tar("ant/1.jpg") + make_tar("bee/1.jpg"))
    with pytest.raises(DataError, match="more data follows its end-of-archive marker"):
        read(path)


@pytest.mark.parametrize("padding", [0, 512, 100_000])
def test_padding_after_the_marker_is_accepted(tmp_path: Path, read: Reader, padding: int) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(make_tar("ant/1.jpg")[:2048] + bytes(padding))
    read(path)


def test_an_archive_whose_checksum_does_not_match_is_an_error(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(make_tar("ant/1.jpg", content=b"pixels"), 0))
    content[content.index(b"pixels")] ^= 1
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"it is damaged or not .* \(CRC check failed .*\); download it again"):
        extract_archive(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
