"""Malicious, damaged and valid archives."""

from __future__ import annotations

import io
import random
import shutil
import stat
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.data.sources import archive as archive_module
from zoo.data.sources.archive import extract_archive, is_archive_name
from zoo.errors import DataError

GOOD = {"top/ant/1.jpg": b"one", "top/bee/2.jpg": b"two" * 1000, "top/empty.txt": b""}
COMPRESSIONS = {"gz": "gz", "z2": "bz2", "xz": "xz"}
ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"


def make_zip(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members.items():
            file.writestr(zipfile.ZipInfo(name), data, compression)
    return path


def make_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]  # any mode
        for name, data in members.items():
            file.addfile(tar_member(name, len(data)), io.BytesIO(data))
    return path


def make_zst(path: Path, members: dict[str, bytes]) -> Path:
    zstd = pytest.importorskip(ZSTD)
    path.write_bytes(zstd.compress(make_tar(path, members).read_bytes()))
    return path


def tar_member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, linkname: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = size, kind, linkname
    return member


def snapshot(folder: Path) -> dict[str, bytes | None]:
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}


@pytest.mark.parametrize("suffix", archive_module.ARCHIVE_SUFFIXES)
def test_every_kind_of_archive_is_unpacked(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photos{suffix}"
    if suffix == ".zip":
        make_zip(path, GOOD)
    elif suffix.endswith("zst"):
        make_zst(path, GOOD)
    else:
        make_tar(path, GOOD, f"w:{COMPRESSIONS.get(suffix[-2:], '')}")
    extract_archive(path, tmp_path / "out")
    files = {name: data for name, data in snapshot(tmp_path / "out").items() if data is not None}
    assert files == GOOD
    assert is_archive_name(path.name.upper())


def zip_with(**changes: object) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        info = zipfile.ZipInfo("link")
        for field, value in changes.items():
            setattr(info, field, value)
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("ok.jpg", b"fine")
            file.writestr(info, b"/etc/passwd")

    return make


def tar_with(*members: tarfile.TarInfo) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with tarfile.open(path, "w") as file:
            file.addfile(tar_member("ok.jpg", 4), io.BytesIO(b"fine"))
            for member in members:
                file.addfile(member, io.BytesIO(b"x" * member.size))

    return make


NAMES = ["../evil.jpg", "a/../../evil.jpg", "/tmp/evil.jpg", "C:/evil.jpg", "a/c:evil.jpg", "..\\evil.jpg", "a\\b.jpg"]
EVIL: dict[str, tuple[Callable[[Path], object], str]] = {
    **{f"zip {name}": (lambda path, n=name: make_zip(path, {"ok.jpg": b"", n: b"x"}), "member") for name in NAMES},
    **{f"tar {name}": (tar_with(tar_member(name, 1)), "member") for name in NAMES},
    "zip symlink": (zip_with(external_attr=(stat.S_IFLNK | 0o777) << 16), "a link or a device"),
    "zip fifo": (zip_with(external_attr=(stat.S_IFIFO | 0o777) << 16), "a link or a device"),
    "zip twice": (lambda path: make_zip(path, {"a.jpg": b"1", "./a.jpg": b"2"}), "occurs twice"),
    "zip file as folder": (lambda path: make_zip(path, {"a": b"1", "a/b.jpg": b"2"}), "cannot unpack"),
    "tar symlink": (tar_with(tar_member("l", kind=tarfile.SYMTYPE, linkname="ok.jpg")), "a link or a device"),
    "tar symlink out": (tar_with(tar_member("l", kind=tarfile.SYMTYPE, linkname="..")), "a link or a device"),
    "tar hard link": (tar_with(tar_member("l", kind=tarfile.LNKTYPE, linkname="ok.jpg")), "a link or a device"),
    "tar fifo": (tar_with(tar_member("p", kind=tarfile.FIFOTYPE)), "a link or a device"),
    "tar character device": (tar_with(tar_member("d", kind=tarfile.CHRTYPE)), "a link or a device"),
    "tar block device": (tar_with(tar_member("d", kind=tarfile.BLKTYPE)), "a link or a device"),
    "tar twice": (tar_with(tar_member("ok.jpg", 3)), "occurs twice"),
}


@pytest.mark.parametrize("case", EVIL)
def test_unsafe_members_are_rejected_and_nothing_is_left(tmp_path: Path, case: str) -> None:
    make, reason = EVIL[case]
    path = tmp_path / "box" / ("evil.zip" if case.startswith("zip") else "evil.tar")
    path.parent.mkdir()
    make(path)
    before = snapshot(tmp_path)
    with pytest.raises(DataError, match=reason) as caught:
        extract_archive(path, tmp_path / "box" / "deep" / "out")
    assert str(path) in str(caught.value)
    assert not (tmp_path / "box" / "deep" / "out").exists()
    shutil.rmtree(tmp_path / "box" / "deep")
    assert snapshot(tmp_path) == before


def test_a_zip_name_with_a_nul_is_rejected_and_not_truncated(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "nul.zip", {"good.jpgXevil": b"x"})
    path.write_bytes(path.read_bytes().replace(b"good.jpgXevil", b"good.jpg\0evil"))
    with pytest.raises(DataError, match="NUL"):
        extract_archive(path, tmp_path / "out")


def test_control_characters_in_a_name_are_escaped_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        extract_archive(make_zip(tmp_path / "a.zip", {"../\x1b[2J\nevil": b""}), tmp_path / "out")
    assert str(caught.value).isprintable()


def test_file_modes_of_members_are_ignored(tmp_path: Path) -> None:
    member = tar_member("a.jpg", 1)
    member.mode = 0o6777
    tar_with(member)(tmp_path / "a.tar")
    extract_archive(tmp_path / "a.tar", tmp_path / "out")
    assert not (tmp_path / "out" / "a.jpg").stat().st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IXUSR)


def test_a_damaged_header_does_not_silently_end_the_archive(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "a.tar", {"1.jpg": b"x" * 512, "2.jpg": b"y"})
    data = bytearray(path.read_bytes())
    assert data[1024:1029] == b"2.jpg"
    data[1024] = 0x33
    path.write_bytes(data)
    with tarfile.open(path) as file:
        assert file.getnames() == ["1.jpg"]  # The standard library stops at the damaged header.
    with pytest.raises(DataError, match="damaged"):
        extract_archive(path, tmp_path / "out")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst"])
def test_a_truncated_archive_is_an_error(tmp_path: Path, kind: str) -> None:
    members = {"a.jpg": random.Random(0).randbytes(30_000)}
    path = tmp_path / f"cut.{kind}"
    if kind == "zip":
        make_zip(path, members)
    elif kind == "tar.zst":
        make_zst(path, members)
    else:
        make_tar(path, members, f"w:{kind[4:]}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match="damaged"):
        extract_archive(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_flipped_bit_in_a_zip_is_an_error(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"a.jpg": b"x" * 100}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"xxx", b"xyx", 1))
    with pytest.raises(DataError, match="damaged"):
        extract_archive(path, tmp_path / "out")


def test_a_web_page_saved_as_an_archive_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "page.zip"
    path.write_text("<html>Sign in</html>" * 100)
    with pytest.raises(DataError, match="not a supported archive"):
        extract_archive(path, tmp_path / "out")


def test_an_encrypted_zip_is_an_error_with_advice(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "secret.zip", {"a.jpg": b"x"})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="encrypted; unpack the archive yourself"):
        extract_archive(path, tmp_path / "out")
