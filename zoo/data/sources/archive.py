"""Unpack an untrusted archive.

The standard library's own filter has been bypassed through links (CVE-2025-4517), and it does not stop decompression
bombs. This module therefore writes only regular files and folders, rejects links and devices, rejects names that point
outside the folder, and counts the bytes that are actually written. If anything fails, the unpacked folder is removed.
"""

from __future__ import annotations

import io
import re
import shutil
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, NoReturn

from zoo.errors import DataError, ZooError
from zoo.files.compressed import ZIP, open_decompressed, read_magic
from zoo.files.limits import DEPTH, MEMBERS, MEMBERS_PER_KIB, UNPACKED_BYTES, UNPACKED_RATIO
from zoo.files.safe_tar import HeaderRefused, SafeTar
from zoo.files.zip_names import decode_name

if TYPE_CHECKING:
    from pathlib import Path

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")

_CHUNK = 2**20
_ENCODED = "has a name that is not in UTF-8; unpack the archive with the encoding of its names and use the folder"
_DRIVE = re.compile(r"[A-Za-z]:")


def is_archive_name(name: str) -> bool:
    """Return whether a file name has a suffix of an archive that :func:`extract_archive` can read."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def extract_archive(archive: Path, folder: Path) -> None:
    """Unpack a .zip or .tar archive (plain, gzip, bzip2, xz or zstd) into ``folder``, which must not exist.

    Raises:
        DataError: If it is not an archive, is damaged or encrypted, has an unsafe member, or exceeds a limit of
            `zoo.files.limits`.
    """
    folder.mkdir(parents=True)
    try:
        with _explained(archive):
            _extract(archive, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _extract(archive: Path, folder: Path) -> None:
    sink = _Sink(archive, folder)
    if read_magic(archive).startswith(ZIP):
        _extract_zip(archive, sink)
    else:
        with open_decompressed(archive) as stream:
            _extract_tar(_Counted(stream, sink), sink)


def _extract_zip(archive: Path, sink: _Sink) -> None:
    with zipfile.ZipFile(archive) as opened:
        sink.check_members(len(opened.infolist()))
        for member in opened.infolist():
            name = sink.decode(member)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.flag_bits & 1:
                sink.refuse(name, "is encrypted; unpack the archive yourself and use the folder")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                sink.refuse(name, "is a link or a device")
            if name.endswith("/"):
                sink.add_folder(name)
            else:
                with opened.open(member) as source:
                    sink.add_file(name, source)


def _extract_tar(stream: _Counted, sink: _Sink) -> None:
    with SafeTar.open(fileobj=stream, mode="r|") as opened:
        for member in opened:
            opened.members.clear()  # Otherwise, tarfile keeps all members in memory.
            if member.isdir():
                sink.add_folder(member.name)
            elif member.isreg() and not member.issparse() and (source := opened.extractfile(member)):
                sink.add_file(member.name, source)
            else:
                sink.refuse(member.name, "is a link or a device")
        opened.check_end()


class _Sink:
    """The folder that an archive is unpacked to. It rejects unsafe names, and too many bytes or members."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self._archive = archive
        self._folder = folder
        self._size = archive.stat().st_size
        self._written = 0
        self._members = 0

    def add_folder(self, name: str) -> None:
        """Create a folder unless it exists."""
        path = self._place(name)
        if path.is_dir():
            self._count_member()  # A name may be repeated many times.
        self._make_folder(path)

    def add_file(self, name: str, source: IO[bytes]) -> None:
        """Write a file, which must not exist."""
        path = self._place(name)
        self._count_member()
        self._make_folder(path.parent)
        try:
            file = path.open("xb")
        except FileExistsError:
            self.refuse(name, "occurs twice")
        with file:
            while chunk := source.read(_CHUNK):
                self._written += len(chunk)
                self.check_size(self._written)
                file.write(chunk)

    def check_size(self, count: int) -> None:
        """Raise DataError if ``count`` unpacked bytes exceed the limit for this archive."""
        if count > max(UNPACKED_BYTES.read(), UNPACKED_RATIO.read() * self._size):
            self._refuse_size(
                f"it unpacks to at least {UNPACKED_BYTES.explain(count, is_complete=False)}. Archives of photos never"
                f" expand to over {UNPACKED_RATIO.read()} times their own size"
            )

    def check_members(self, count: int) -> None:
        """Raise DataError if ``count`` files and folders exceed the limit for this archive."""
        if count > max(MEMBERS.read(), MEMBERS_PER_KIB.read() * self._size // 1024):
            self._refuse_size(
                f"it has at least {MEMBERS.explain(count, is_complete=False)}. Archives of photos never have over"
                f" {MEMBERS_PER_KIB.read()} members per KiB"
            )

    def _count_member(self) -> None:
        self._members += 1
        self.check_members(self._members)

    def _make_folder(self, path: Path) -> None:
        """Create a folder and its parents. Each counts as a member, because one name can create many of them."""
        missing = []
        while path != self._folder and not path.is_dir():
            missing.append(path)
            path = path.parent
        for folder in reversed(missing):
            self._count_member()
            folder.mkdir()

    def _refuse_size(self, reason: str) -> NoReturn:
        raise DataError(
            f"cannot unpack {str(self._archive)!r}: {reason}. You can also unpack it yourself and use the folder."
        )

    def decode(self, member: zipfile.ZipInfo) -> str:
        """Return the name of a member of a .zip archive."""
        try:
            return decode_name(member)
        except UnicodeDecodeError:
            self.refuse(member.orig_filename, _ENCODED)

    def refuse(self, name: str, reason: str) -> NoReturn:
        """Raise DataError because of a member."""
        raise DataError(f"cannot unpack {str(self._archive)!r}: its member {name[:200]!r} {reason}.")

    def _place(self, name: str) -> Path:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if "\0" in name or "\\" in name:
            self.refuse(name, "has a NUL or a backslash in its name")
        if not name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in name):
            self.refuse(name, _ENCODED)  # tarfile decodes other bytes as these letters
        if name.startswith("/") or ".." in parts or any(_DRIVE.match(part) for part in parts):
            self.refuse(name, "would be written outside the folder")
        if len(parts) > DEPTH.read():
            self.refuse(name, f"has {DEPTH.explain(len(parts))}")
        return self._folder.joinpath(*parts)


class _Counted(io.RawIOBase):
    """A stream for tarfile that counts all decompressed bytes, including headers and padding."""

    def __init__(self, stream: IO[bytes], sink: _Sink) -> None:
        self._stream = stream
        self._sink = sink
        self._count = 0

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes."""
        data = self._stream.read(size)
        self._count += len(data)
        self._sink.check_size(self._count)
        return data


@contextmanager
def _explained(archive: Path) -> Iterator[None]:
    failed = f"cannot unpack {str(archive)!r}"
    try:
        yield
    except (ZooError, MemoryError):
        raise
    except HeaderRefused as error:
        raise DataError(f"{failed}: {error}.") from error
    except Exception as error:  # The libraries raise many kinds of exceptions on damaged archives.
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"{failed}: {error.strerror}.") from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{failed}: it is damaged or not a supported archive ({reason}); download it again.") from error
