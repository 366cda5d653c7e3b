"""Unpack an untrusted archive.

The standard library's own filter has been bypassed through links (CVE-2025-4517), and it does not stop decompression
bombs. This module therefore writes only regular files and folders, rejects links and devices, rejects names that point
outside the folder, and counts the bytes that are actually written. If anything fails, the unpacked folder is removed.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NoReturn

from zoo.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")

#: Maximum number of members in an archive; ImageNet has 1.4 million.
MAX_MEMBERS = 2_000_000
#: Maximum ratio of unpacked to packed size. Photos hardly shrink when packed; only simple graphics come close to it.
MAX_RATIO = 100
#: Unpacked size in bytes that is allowed even for the smallest archive.
ALWAYS_ALLOWED = 100 * 2**20
#: Maximum size in bytes of a tar's extended header, which tarfile reads into memory at once.
MAX_HEADER = 2**20

_CHUNK = 2**20
_BAD_HEADER = (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError)  # type: ignore[attr-defined]  # no types
_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_DRIVE = re.compile(r"[A-Za-z]:")
_OPENERS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, NotImplementedError, ValueError)


def is_archive_name(name: str) -> bool:
    """Return whether a file name has a suffix of an archive that :func:`extract_archive` can read."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def extract_archive(archive: Path, folder: Path) -> None:
    """Unpack a .zip or .tar archive (plain, gzip, bzip2 or xz) into ``folder``, which must not exist.

    Raises:
        DataError: If it is not an archive, is damaged or encrypted, unpacks to too many bytes, or has an unsafe member.
    """
    folder.mkdir(parents=True)
    try:
        with _explained(archive):
            _extract(archive, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _extract(archive: Path, folder: Path) -> None:
    with archive.open("rb") as file:
        magic = file.read(2)
    sink = _Sink(archive, folder)
    if magic == b"PK":
        _extract_zip(archive, sink)
    else:
        with _OPENERS.get(magic, open)(archive, "rb") as stream:
            _extract_tar(_Counted(stream, sink), sink)


def _extract_zip(archive: Path, sink: _Sink) -> None:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            name = member.orig_filename  # Unlike ``filename``, this is not truncated at a NUL.
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
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_TarMember) as opened:
        for member in opened:
            if member.isdir():
                sink.add_folder(member.name)
            elif member.isreg() and not member.issparse() and (source := opened.extractfile(member)):
                sink.add_file(member.name, source)
            else:
                sink.refuse(member.name, "is a link or a device")


class _Sink:
    """The folder that an archive is unpacked to. It rejects unsafe names, and too many bytes or members."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self._archive = archive
        self._folder = folder
        self._limit = max(ALWAYS_ALLOWED, MAX_RATIO * archive.stat().st_size)
        self._written = 0
        self._members = 0

    def add_folder(self, name: str) -> None:
        """Create a folder unless it exists."""
        self._place(name).mkdir(parents=True, exist_ok=True)

    def add_file(self, name: str, source: IO[bytes]) -> None:
        """Write a file, which must not exist."""
        path = self._place(name)
        path.parent.mkdir(parents=True, exist_ok=True)
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
        if count > self._limit:
            raise DataError(
                f"cannot unpack {str(self._archive)!r}: it unpacks to more than {self._limit // 2**20} MiB, over"
                f" {MAX_RATIO} times its own size; archives of photos never expand that much. If you trust it, unpack"
                " it yourself and use the folder."
            )

    def refuse(self, name: str, reason: str) -> NoReturn:
        """Raise DataError because of a member."""
        raise DataError(f"cannot unpack {str(self._archive)!r}: its member {name[:200]!r} {reason}.")

    def _place(self, name: str) -> Path:
        self._members += 1
        if self._members > MAX_MEMBERS:
            self.refuse(name, f"exceeds the limit of {MAX_MEMBERS} members")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if "\0" in name or "\\" in name:
            self.refuse(name, "has a NUL or a backslash in its name")
        if name.startswith("/") or ".." in parts or any(_DRIVE.match(part) for part in parts):
            self.refuse(name, "would be written outside the folder")
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


class _TarMember(tarfile.TarInfo):
    """A tar member that rejects headers that are damaged or too large; tarfile would silently stop at damaged ones."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Return the member that the header ``buf`` describes."""
        try:
            member = super().frombuf(buf, encoding, errors)
        except _BAD_HEADER as error:
            raise tarfile.ReadError(str(error)) from error
        if member.type in _EXTENDED and member.size > MAX_HEADER:
            raise tarfile.ReadError(f"a header has {member.size} bytes, more than {MAX_HEADER}")
        return member


@contextmanager
def _explained(archive: Path) -> Iterator[None]:
    failed = f"cannot unpack {str(archive)!r}"
    try:
        yield
    except _DAMAGE as error:
        raise DataError(f"{failed}: it is damaged or not a supported archive ({error}); download it again.") from error
    except OSError as error:
        raise DataError(f"{failed}: {error.strerror or error}.") from error
