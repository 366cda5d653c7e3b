"""Read the headers of an untrusted .tar archive. Damaged or excessively large ones are errors, and so is a cut file."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

from zoo.files.limits import TAR_HEADER_BYTES

if TYPE_CHECKING:
    from typing import Self

#: Maximum number of extended headers before a member. Real archives have up to four.
MAX_CHAIN = 8

_BAD_HEADER = (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError)  # type: ignore[attr-defined]  # no types
_NO_HEADER = tarfile.EmptyHeaderError  # type: ignore[attr-defined]  # no types
_CHUNK = 2**20
_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class HeaderRefused(tarfile.ReadError):
    """A header exceeds a limit. The message is a clause without a period."""


class _Member(tarfile.TarInfo):
    """A tar member that rejects headers that are damaged or too large; tarfile would silently stop at damaged ones."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Return the member that the header ``buf`` describes."""
        try:
            member = super().frombuf(buf, encoding, errors)
        except _BAD_HEADER as error:
            raise tarfile.ReadError(str(error)) from error
        if member.type in _EXTENDED and member.size > TAR_HEADER_BYTES.read():
            raise HeaderRefused(f"a header has {TAR_HEADER_BYTES.explain(member.size)}")
        return member

    @classmethod
    def fromtarfile(cls, tarfile: SafeTar) -> Self:  # type: ignore[override]  # the only kind of archive that has it
        """Return the next member. For each extended header, tarfile calls this method again to read what follows."""
        tarfile.chain += 1
        try:
            tarfile.check_chain()
            return super().fromtarfile(tarfile)
        except _NO_HEADER as error:
            tarfile.check_cut(error)
            raise
        finally:
            tarfile.chain -= 1


class SafeTar(tarfile.TarFile):
    """A tar archive that rejects long chains of extended headers, for which tarfile would exceed the stack."""

    tarinfo = _Member
    #: Number of headers that are being read for the next member.
    chain = 0
    members: list[tarfile.TarInfo]
    firstmember: tarfile.TarInfo | None

    def next(self) -> tarfile.TarInfo | None:
        """Return the next member, or None at the end.

        Raises:
            ReadError: If the file is damaged, or ends within the member before.
        """
        # A stream has no seekable(). To skip a member of 2**60 bytes, tarfile reads long after the end of the stream.
        is_stream = self.fileobj is not None and not hasattr(self.fileobj, "seekable")
        if is_stream and self.firstmember is None:  # The first member was already read, but not its content.
            while (left := self.offset - 1 - self.fileobj.tell()) > 0:
                if not self.fileobj.read(min(left, _CHUNK)):
                    raise tarfile.ReadError("unexpected end of data")
        return super().next()

    def check_cut(self, error: Exception) -> None:
        """Raise ReadError if the file ends after a member, where tarfile would silently stop."""
        if self.offset:
            raise tarfile.ReadError("it has no end-of-archive marker, so its end is probably missing") from error

    def check_end(self) -> None:
        """Read what follows the end-of-archive marker, after the last member, so that checksums are checked, too.

        Raises:
            ReadError: If something other than padding follows, such as a second archive.
        """
        assert self.fileobj is not None
        while chunk := self.fileobj.read(_CHUNK):
            if chunk.count(0) < len(chunk):
                raise tarfile.ReadError("more data follows its end-of-archive marker; is it two archives in one?")

    def check_chain(self) -> None:
        """Raise HeaderRefused if a member has too many extended headers."""
        if self.chain > MAX_CHAIN + 1:
            raise HeaderRefused(f"a member has more than {MAX_CHAIN} extended headers")
