"""Read the headers of an untrusted .tar archive. Damaged headers and excessively large ones are errors."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

from zoo.files.limits import TAR_HEADER_BYTES

if TYPE_CHECKING:
    from typing import Self

#: Maximum number of extended headers before a member. Real archives have up to four.
MAX_CHAIN = 8

_BAD_HEADER = (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError)  # type: ignore[attr-defined]  # no types
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
        finally:
            tarfile.chain -= 1


class SafeTar(tarfile.TarFile):
    """A tar archive that rejects long chains of extended headers, for which tarfile would exceed the stack."""

    tarinfo = _Member
    #: Number of headers that are being read for the next member.
    chain = 0
    members: list[tarfile.TarInfo]

    def check_chain(self) -> None:
        """Raise HeaderRefused if a member has too many extended headers."""
        if self.chain > MAX_CHAIN + 1:
            raise HeaderRefused(f"a member has more than {MAX_CHAIN} extended headers")
