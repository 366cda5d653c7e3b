"""Archives that would cost far more than their size suggests are refused, and every error names the archive."""

from __future__ import annotations

import io
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from zoo.data.sources.archive import extract_archive
from zoo.errors import DataError
from zoo.files.safe_tar import MAX_CHAIN


def make_tar(path: Path, names: Iterable[str], data: bytes = b"", mode: str = "w") -> Path:
    """Make a tar with a folder for each name that ends with a slash, and a file for each other name."""
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]  # any mode
        for name in names:
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            member.size = 0 if member.isdir() else len(data)
            file.addfile(member, io.BytesIO(data))
    return path


def make_zip(path: Path, names: Iterable[str], data: bytes = b"") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in names:
            file.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return path


def error_of(path: Path) -> str:
    """Return the message of the error, which names the archive in one line and leaves nothing behind."""
    folder = path.parent / "out"
    with pytest.raises(DataError) as caught:
        extract_archive(path, folder)
    assert not folder.exists()
    message = str(caught.value)
    assert message.startswith(f"cannot unpack {str(path)!r}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz"])
def test_unpacking_a_decompression_bomb_stops_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("ZOO_MAX_UNPACKED_BYTES", str(2**20))
    names, path = [f"{number}.bmp" for number in range(8)], tmp_path / f"bomb.{kind}"
    _ = make_zip(path, names, bytes(2**20)) if kind == "zip" else make_tar(path, names, bytes(2**20), f"w:{kind[4:]}")
    assert path.stat().st_size * 100 < 8 * 2**20
    message = error_of(path)
    assert "it unpacks to at least " in message
    assert "ZOO_MAX_UNPACKED_BYTES allows only 1,048,576" in message
    monkeypatch.setenv("ZOO_MAX_UNPACKED_BYTES", str(10 * 2**20))
    extract_archive(path, tmp_path / "out")
    assert len([*(tmp_path / "out").iterdir()]) == 8


def test_photos_may_unpack_to_more_than_the_size_that_is_always_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_MAX_UNPACKED_BYTES", "1000")
    photo = random.Random(0).randbytes(50_000)
    extract_archive(make_zip(tmp_path / "a.zip", ["a.jpg"], photo), tmp_path / "out")
    assert (tmp_path / "out" / "a.jpg").read_bytes() == photo


def test_a_small_archive_of_thousands_of_folders_is_refused_after_the_first_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_MAX_MEMBERS", "100")
    path = make_tar(tmp_path / "folders.tar.gz", (f"{number}/" for number in range(10_000)), mode="w:gz")
    allowed = 20 * path.stat().st_size // 1024
    assert 100 < allowed < 2_000
    assert f"it has at least {allowed + 1:,} members, but ZOO_MAX_MEMBERS allows only 100" in error_of(path)


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_large_archive_may_have_more_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[..., Path]
) -> None:
    names = [f"{number}.jpg" for number in range(8)]
    monkeypatch.setenv("ZOO_MAX_MEMBERS", "5")
    monkeypatch.setenv("ZOO_MAX_MEMBERS_PER_KIB", "1")
    path = make(tmp_path / "photos", names, random.Random(0).randbytes(8192))
    extract_archive(path, tmp_path / "photos-out")
    assert len([*(tmp_path / "photos-out").iterdir()]) == 8


def test_a_zip_with_too_many_members_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_MAX_MEMBERS", "5")
    monkeypatch.setenv("ZOO_MAX_MEMBERS_PER_KIB", "1")
    path = make_zip(tmp_path / "six.zip", [f"{number}.jpg" for number in range(6)])
    assert "it has at least 6 members, but ZOO_MAX_MEMBERS allows only 5" in error_of(path)


def test_folders_that_only_a_name_implies_count_as_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_zip(tmp_path / "deep.zip", ["a/b/c/d/1.jpg", "a/b/c/d/2.jpg"])
    monkeypatch.setenv("ZOO_MAX_MEMBERS", "6")
    extract_archive(path, tmp_path / "six")
    monkeypatch.setenv("ZOO_MAX_MEMBERS", "5")
    assert "it has at least 6 members" in error_of(path)


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("depth", [65, 2000])
def test_a_name_of_thousands_of_folders_is_refused(tmp_path: Path, kind: str, depth: int) -> None:
    make = make_zip if kind == "zip" else make_tar
    extract_archive(make(tmp_path / "fine", ["a/" * 63 + "1.jpg"]), tmp_path / "fine-out")
    message = error_of(make(tmp_path / f"deep.{kind}", ["a/" * (depth - 1) + "1.jpg"]))
    assert f"has {depth:,} folders, but ZOO_MAX_DEPTH allows only 64" in message


def chain(*kinds: bytes) -> bytes:
    """Make a tar with one file that has an extended header of each of these kinds."""
    bodies = {tarfile.GNUTYPE_LONGNAME: b"a.jpg\0", tarfile.GNUTYPE_LONGLINK: b"a\0"}
    blocks = []
    for kind in kinds:
        body, header = bodies[kind], tarfile.TarInfo("x")
        header.type, header.size = kind, len(body)
        blocks += [header.tobuf(tarfile.GNU_FORMAT), body.ljust(512, b"\0")]
    return b"".join([*blocks, tarfile.TarInfo("a.jpg").tobuf(), bytes(1024)])


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_thousands_of_chained_headers_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "chain.tar"
    path.write_bytes(chain(*[kind] * 3000))
    assert f"a member has more than {MAX_CHAIN} extended headers." in error_of(path)


def test_a_long_name_and_a_long_link_may_precede_a_member(tmp_path: Path) -> None:
    path = tmp_path / "chain.tar"
    path.write_bytes(chain(*[tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK] * (MAX_CHAIN // 2)))
    extract_archive(path, tmp_path / "out")
    assert (tmp_path / "out" / "a.jpg").is_file()


def test_a_huge_header_is_rejected_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "header.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as file:
        member = tarfile.TarInfo("a.jpg")
        member.pax_headers = {"comment": "x" * (2 * 2**20)}
        file.addfile(member)
    message = error_of(path)
    assert "a header has 2,097,169 bytes, but ZOO_MAX_TAR_HEADER_BYTES allows only 1,048,576" in message
    assert "damaged" not in message


def make_varied_tar(layout: int) -> bytes:
    """Make a tar with plain, long, extended and sparse headers."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=layout) as file:
        for name in ("a.jpg", "n" * 150, "é.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 600
            file.addfile(member, io.BytesIO(b"x" * 600))
        sparse = tarfile.TarInfo("sparse")
        sparse.type = tarfile.GNUTYPE_SPARSE
        file.addfile(sparse)
    return buffer.getvalue()


@pytest.mark.parametrize("layout", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_error_of_a_damaged_tar_is_one_line_that_names_the_archive(tmp_path: Path, layout: int) -> None:
    rng, data = random.Random(0), make_varied_tar(layout)
    headers = [place for place in range(0, len(data), 512) if data[place + 257 : place + 262] == b"ustar"]
    errors = 0
    for number in range(150):
        spoiled, header = bytearray(data), rng.choice(headers)
        for _ in range(rng.randint(1, 4)):
            spoiled[header + rng.randrange(512)] = rng.choice([0, 0x30, 0x37, 0x53, 0x80, 0xFF, rng.randrange(256)])
        spoiled[header + 148 : header + 156] = b" " * 8
        spoiled[header + 148 : header + 156] = b"%06o\0 " % sum(spoiled[header : header + 512])
        path = tmp_path / f"{number}.tar"
        path.write_bytes(spoiled[: rng.choice([len(spoiled), header + 512])])
        try:
            extract_archive(path, tmp_path / f"{number}")
        except DataError as error:
            errors += str(error).startswith(f"cannot unpack {str(path)!r}: ") and "\n" not in str(error)
        else:
            errors += 1
    assert errors == 150


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("make", [make_tar, make_zip])
@pytest.mark.parametrize("names", [["{}/"], ["{0}/{0}/"], ["{0}/", "{0}/{0}/"], ["{0}/{0}.jpg"], ["a/", "a/"]])
def test_each_file_and_folder_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[..., Path], names: list[str]
) -> None:
    repeated = [name.format(number) for number in range(100) for name in names]
    count = 100 * max(len(names), names[0].count("{"))
    path = make(tmp_path / "a.tar", repeated)
    monkeypatch.setenv("ZOO_MAX_MEMBERS", str(count))
    monkeypatch.setenv("ZOO_MAX_MEMBERS_PER_KIB", "1")
    extract_archive(path, tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    monkeypatch.setenv("ZOO_MAX_MEMBERS", str(count - 1))
    message = error_of(path)
    assert (
        f"it has at least {count} members, but ZOO_MAX_MEMBERS allows only {count - 1}; to allow more, set" in message
    )
