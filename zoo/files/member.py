"""Read one file from an untrusted .zip or .tar archive.

Nothing else of the archive is written, and the names in it are only compared. The bytes and members that are read on
the way are counted, because a small archive can unpack to any size.
"""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from zoo.errors import DataError, WeightsError
from zoo.files.compressed import ZIP, open_decompressed, read_magic
from zoo.files.limits import MEMBERS, MEMBERS_PER_KIB, UNPACKED_BYTES, UNPACKED_RATIO
from zoo.files.safe_tar import HeaderRefused, SafeTar
from zoo.files.zip_names import decode_name

_CHUNK = 2**20
#: Number of similar names that a message lists.
_SHOWN = 3


def extract_member(archive: Path, member: str, target: Path) -> None:
    """Write one member of a .zip or .tar archive (plain, gzip, bzip2, xz or zstd) to a file.

    Args:
        archive: The archive, whatever its name.
        member: Path of the file in the archive, with slashes.
        target: Where to write it. If anything fails, a part of the file may remain there.

    Raises:
        WeightsError: If it is not an archive or is damaged, or if the member is missing, occurs twice, is encrypted, is
            not a file or exceeds a limit of `zoo.files.limits`.
        OSError: If the target cannot be written.
    """
    found = _Found(archive, member, target)
    with _explained(archive, member):
        if read_magic(archive).startswith(ZIP):
            _read_zip(archive, found)
        else:
            with open_decompressed(archive) as stream:
                _read_tar(_Counted(stream, found), found)
        if not found.is_written:
            known = ", ".join(repr(name[:100]) for name in found.names[:_SHOWN]) or "no files"
            found.refuse(f"it has no such member, only {known}{', ...' if len(found.names) > _SHOWN else ''}")


def _read_zip(archive: Path, found: _Found) -> None:
    with zipfile.ZipFile(archive) as opened:
        found.check_members(len(opened.infolist()))
        for member in opened.infolist():
            try:
                name = decode_name(member)
            except UnicodeDecodeError:
                continue  # The name of the wanted member is known, so it is a different one.
            if not found.is_wanted(name):
                continue
            if member.flag_bits & 1:
                found.refuse("the member is encrypted")
            if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
                found.refuse("the member is a link, a folder or a device")
            with opened.open(member) as source:
                found.write(source)


def _read_tar(stream: _Counted, found: _Found) -> None:
    with SafeTar.open(fileobj=stream, mode="r|") as opened:
        for number, member in enumerate(opened, 1):
            opened.members.clear()  # Otherwise, tarfile keeps all members in memory.
            found.check_members(number)
            if not found.is_wanted(member.name):
                continue
            source = opened.extractfile(member) if member.isreg() and not member.issparse() else None
            if source is None:
                found.refuse("the member is a link, a folder or a device")
            found.write(source)
        opened.check_end()


@dataclass
class _Found:
    """The member that is looked for, and what has been read so far."""

    archive: Path
    member: str
    target: Path
    is_written: bool = False

    def __post_init__(self) -> None:
        self.names: list[str] = []
        self._size = self.archive.stat().st_size

    def is_wanted(self, name: str) -> bool:
        """Return whether a member has the wanted name; remember some of the other names for the message."""
        if name.removeprefix("./") == self.member:
            return True
        if len(self.names) <= _SHOWN and not name.endswith("/"):
            self.names.append(name)
        return False

    def write(self, source: IO[bytes]) -> None:
        """Write the member, which must occur only once."""
        if self.is_written:
            self.refuse("the member occurs twice")
        written = 0
        with self.target.open("wb") as file:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                self.check_size(written)
                file.write(chunk)
        self.is_written = True

    def check_size(self, count: int) -> None:
        """Raise WeightsError if ``count`` unpacked bytes exceed the limit for this archive."""
        if count > max(UNPACKED_BYTES.read(), UNPACKED_RATIO.read() * self._size):
            self.refuse(f"it unpacks to at least {UNPACKED_BYTES.explain(count, is_complete=False)}")

    def check_members(self, count: int) -> None:
        """Raise WeightsError if ``count`` files and folders exceed the limit for this archive."""
        if count > max(MEMBERS.read(), MEMBERS_PER_KIB.read() * self._size // 1024):
            self.refuse(f"it has at least {MEMBERS.explain(count, is_complete=False)}")

    def refuse(self, reason: str) -> NoReturn:
        """Raise WeightsError because of the archive or the member."""
        raise WeightsError(f"cannot read {self.member!r} from the archive {self.archive.name}: {reason}")


class _Counted(io.RawIOBase):
    """A stream for tarfile that counts all decompressed bytes, including headers and padding."""

    def __init__(self, stream: IO[bytes], found: _Found) -> None:
        self._stream = stream
        self._found = found
        self._count = 0

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes."""
        data = self._stream.read(size)
        self._count += len(data)
        self._found.check_size(self._count)
        return data


@contextmanager
def _explained(archive: Path, member: str) -> Iterator[None]:
    failed = f"cannot read {member!r} from the archive {archive.name}"
    try:
        yield
    except (WeightsError, MemoryError):
        raise
    except HeaderRefused as error:
        raise WeightsError(f"{failed}: {error}") from error
    except DataError as error:
        raise WeightsError(f"{failed}: it is compressed with zstd; install zoo-backbones[zstd]") from error
    except Exception as error:  # The libraries raise many kinds of exceptions on damaged archives.
        if isinstance(error, OSError) and error.strerror:
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(f"{failed}: it is damaged or not a .zip or .tar archive ({reason})") from error
