"""One file is read from an archive; archives with odd names, links or bombs are refused."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from zoo.errors import WeightsError
from zoo.files.limits import MEMBERS
from zoo.files.member import extract_member

CONTENT = b"weights" * 1000


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, *members: tuple[str, bytes, bytes], mode: str = "w:gz") -> Path:
    """Write a .tar archive whose members have a name, a type and a content, which is the target of a link."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]  # the mode is a variable
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind == tarfile.REGTYPE:
                member.size = len(content)
            else:
                member.linkname = content.decode()
            archive.addfile(member, io.BytesIO(content))
    return path


def refusal(archive: Path, member: str = "nets/a.pth") -> str:
    with pytest.raises(WeightsError) as caught:
        extract_member(archive, member, archive.parent / "out")
    message = str(caught.value)
    assert message.startswith(f"cannot read {member!r} from the archive {archive.name}: ")
    assert "\n" not in message
    return message


def test_only_the_member_of_a_zip_archive_is_written(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.bin", {"../escape": b"x", "/absolute": b"x", "nets/a.pth": CONTENT, "b": b"x"})
    extract_member(archive, "nets/a.pth", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.bin", "out"]
    assert not (tmp_path.parent / "escape").exists()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("name", ["nets/a.pth", "./nets/a.pth"])
def test_the_member_of_a_tar_archive_is_written(tmp_path: Path, mode: str, name: str) -> None:
    others = ("../escape", tarfile.REGTYPE, b"x"), ("link", tarfile.SYMTYPE, b"/etc/passwd")
    archive = write_tar(tmp_path / "a", *others, (name, tarfile.REGTYPE, CONTENT), mode=mode)
    extract_member(archive, "nets/a.pth", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert not (tmp_path.parent / "escape").exists()


def test_a_missing_member_is_refused_with_the_names_that_exist(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", dict.fromkeys(("b", "c", "folder/", "d", "e"), b""))
    assert refusal(archive).endswith("it has no such member, only 'b', 'c', 'd', ...")
    assert refusal(write_tar(tmp_path / "a.tar")).endswith("it has no such member, only no files")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_member_of_a_tar_archive_that_is_not_a_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    archive = write_tar(tmp_path / "a.tar", ("nets/a.pth", kind, b"/etc/passwd"))
    assert "the member is a link, a folder or a device" in refusal(archive)
    assert not (tmp_path / "out").exists()


def test_a_link_in_a_zip_archive_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("nets/a.pth")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert "the member is a link" in refusal(tmp_path / "a.zip")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("nets/a.pth", b"one")
        archive.writestr("nets/a.pth", b"two")
    assert "the member occurs twice" in refusal(tmp_path / "a.zip")
    member = ("nets/a.pth", tarfile.REGTYPE, b"one")
    assert "the member occurs twice" in refusal(write_tar(tmp_path / "a.tar", member, member))


def test_a_member_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_MAX_UNPACKED_BYTES", "100000")
    bomb = bytes(2**22)
    message = refusal(write_zip(tmp_path / "a.zip", {"nets/a.pth": bomb}))
    assert "it unpacks to at least" in message
    assert "ZOO_MAX_UNPACKED_BYTES" in message
    # The bytes before the member count as well, because tar archives must be decompressed in order.
    members = ("bomb", tarfile.REGTYPE, bomb), ("nets/a.pth", tarfile.REGTYPE, b"x")
    assert "it unpacks to at least" in refusal(write_tar(tmp_path / "a.tar", *members))


def test_an_archive_with_too_many_members_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MEMBERS.variable, "10")
    monkeypatch.setenv("ZOO_MAX_MEMBERS_PER_KIB", "1")
    names = [f"{number}" for number in range(30)]
    assert "it has at least 30 members" in refusal(write_zip(tmp_path / "a.zip", dict.fromkeys(names, b"")))
    members = [(name, tarfile.REGTYPE, b"") for name in names]
    assert "it has at least 11 members" in refusal(write_tar(tmp_path / "a.tar", *members))


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x03\x04 cut", b"\x1f\x8b cut"])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    assert "it is damaged or not a .zip or .tar archive" in refusal(tmp_path / "a.zip")


def test_an_archive_that_is_cut_is_refused(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", ("nets/a.pth", tarfile.REGTYPE, CONTENT), mode="w")
    archive.write_bytes(archive.read_bytes()[:-9000])
    assert "it is damaged" in refusal(archive)


def test_a_tar_archive_whose_member_ends_long_after_the_file_is_refused_at_once(tmp_path: Path) -> None:
    member = tarfile.TarInfo("b")
    member.size = 2**60
    (tmp_path / "a.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + b"x" * 2000)
    assert "unexpected end of data" in refusal(tmp_path / "a.tar")
