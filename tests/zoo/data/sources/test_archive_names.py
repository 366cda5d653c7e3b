"""Names in archives whose encoding is not declared, and archives whose compression Python may not support."""

from __future__ import annotations

import io
import struct
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest

from zoo.data.sources.archive import extract_archive
from zoo.errors import DataError

ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"


def make_zip(path: Path, name: bytes) -> Path:
    """Write a .zip archive whose only member has a name of these bytes, without the flag for UTF-8."""
    placeholder = "x" * len(name)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{placeholder}/1.jpg", b"photo")
    path.write_bytes(path.read_bytes().replace(placeholder.encode(), name))
    return path


def list_names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg")]


@pytest.mark.parametrize(
    ("name", "encoding"), [("蚂蚁", "gbk"), ("蜜蜂", "shift_jis"), ("Vögel", "cp850"), ("жук", "cp866")]
)
def test_zip_names_in_an_undeclared_encoding_are_refused(tmp_path: Path, name: str, encoding: str) -> None:
    path = make_zip(tmp_path / "a.zip", name.encode(encoding))
    with pytest.raises(DataError, match="not in UTF-8; unpack the archive with the encoding of its names"):
        extract_archive(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_zip_names_in_utf_8_are_read_with_and_without_the_flag(tmp_path: Path) -> None:
    extract_archive(make_zip(tmp_path / "mac.zip", "蚂蚁".encode()), tmp_path / "mac")
    assert list_names(tmp_path / "mac") == ["蚂蚁/1.jpg"]
    with zipfile.ZipFile(tmp_path / "flag.zip", "w") as file:
        file.writestr("蚂蚁/1.jpg", b"photo")
    extract_archive(tmp_path / "flag.zip", tmp_path / "flag")
    assert list_names(tmp_path / "flag") == ["蚂蚁/1.jpg"]


@pytest.mark.parametrize("raw", ["蚂蚁".encode("gbk"), b"????"])
def test_a_zip_name_in_the_unicode_path_field_is_read_if_its_checksum_is_right(tmp_path: Path, raw: bytes) -> None:
    for folder, checksum in (("good", zlib.crc32(raw)), ("bad", zlib.crc32(raw) ^ 1)):
        content = struct.pack("<BL", 1, checksum) + "蚂蚁.jpg".encode()
        with zipfile.ZipFile(tmp_path / f"{folder}.zip", "w") as file:
            member = zipfile.ZipInfo("x" * len(raw))
            member.extra = struct.pack("<HHL", 0x5555, 4, 0) + struct.pack("<HH", 0x7075, len(content)) + content
            file.writestr(member, b"photo")
        path = tmp_path / f"{folder}.zip"
        path.write_bytes(path.read_bytes().replace(b"x" * len(raw), raw))
    extract_archive(tmp_path / "good.zip", tmp_path / "good")
    assert list_names(tmp_path / "good") == ["蚂蚁.jpg"]
    try:
        extract_archive(tmp_path / "bad.zip", tmp_path / "bad")
    except DataError as error:
        assert "not in UTF-8" in str(error)  # noqa: PT017  # depends on the name outside the field
    else:
        assert [path.name for path in (tmp_path / "bad").iterdir()] == [raw.decode()]


def test_a_unicode_path_cannot_lead_outside_the_folder(tmp_path: Path) -> None:
    content = struct.pack("<BL", 1, zlib.crc32(b"a.jpg")) + b"../a.jpg"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        member = zipfile.ZipInfo("a.jpg")
        member.extra = struct.pack("<HH", 0x7075, len(content)) + content
        file.writestr(member, b"photo")
    with pytest.raises(DataError):
        extract_archive(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "a.jpg").exists()


def test_tar_names_in_another_encoding_are_refused(tmp_path: Path) -> None:
    for encoding in ("utf-8", "gbk"):
        path = tmp_path / f"{encoding}.tar"
        with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding=encoding) as file:
            member = tarfile.TarInfo("蚂蚁/1.jpg")
            member.size = 5
            file.addfile(member, io.BytesIO(b"photo"))
    extract_archive(tmp_path / "utf-8.tar", tmp_path / "good")
    assert list_names(tmp_path / "good") == ["蚂蚁/1.jpg"]
    with pytest.raises(DataError, match="not in UTF-8; unpack the archive with"):
        extract_archive(tmp_path / "gbk.tar", tmp_path / "out")


@pytest.mark.parametrize("name", ["BZ-photos/1.jpg", "(µ/1.jpg"])
def test_a_plain_tar_is_not_mistaken_for_a_compressed_one(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT) as file:
        file.addfile(tarfile.TarInfo(name))
    extract_archive(tmp_path / "a.tar", tmp_path / "out")
    assert list_names(tmp_path / "out") == [name]


def test_zstd_without_its_package_is_an_error_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tar.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20))
    monkeypatch.setitem(sys.modules, ZSTD, None)
    with pytest.raises(DataError, match=r"compressed with zstd; install zoo-backbones\[zstd\], or unpack it yourself"):
        extract_archive(tmp_path / "a.tar.zst", tmp_path / "out")


def test_a_decompression_bomb_in_zstd_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zstd = pytest.importorskip(ZSTD)
    monkeypatch.setenv("ZOO_MAX_UNPACKED_BYTES", "1000000")
    with zstd.open(tmp_path / "a.tar.zst", "wb") as stream, tarfile.open(fileobj=stream, mode="w|") as file:
        member = tarfile.TarInfo("1.jpg")
        member.size = 50_000_000
        file.addfile(member, io.BytesIO(bytes(member.size)))
    with pytest.raises(DataError, match="it unpacks to at least"):
        extract_archive(tmp_path / "a.tar.zst", tmp_path / "out")
