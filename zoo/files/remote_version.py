"""Which version of a file a server has: its length, its ETag and its modification time, as far as the server says.

The version of a fetched file is stored beside it, so that a later change on the server can be noticed.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from email.message import Message
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RemoteVersion:
    """What a server says about the version of a file."""

    #: Number of bytes.
    length: int | None
    etag: str | None = None
    #: The header ``Last-Modified``.
    modified: str | None = None

    @classmethod
    def of_headers(cls, headers: Message, length: int | None) -> RemoteVersion:
        """Return the version that the headers of a response describe."""
        return cls(length, headers.get("ETag"), headers.get("Last-Modified"))

    def differs(self, other: RemoteVersion) -> bool:
        """Return whether the file certainly changed.

        Servers that share the work may report different ETags or times for the same file, so one equal value suffices.
        """
        if None not in (self.length, other.length) and self.length != other.length:
            return True
        pairs = ((self.etag, other.etag), (self.modified, other.modified))
        known = [one == two for one, two in pairs if one and two]
        return bool(known) and not any(known)

    def save(self, target: Path) -> None:
        """Store the version beside the file ``target``. Raises OSError."""
        _place(target).write_text(json.dumps(asdict(self)), encoding="ascii")


def read_version_of(target: Path) -> RemoteVersion:
    """Return the stored version of a fetched file, or only its length if no version is stored. Raises OSError."""
    with suppress(FileNotFoundError, ValueError, TypeError):  # The user may have saved the file there.
        return RemoteVersion(**json.loads(_place(target).read_bytes()))
    return RemoteVersion(target.stat().st_size)


def forget_version_of(target: Path) -> None:
    """Remove the stored version of a file. Raises OSError."""
    _place(target).unlink(missing_ok=True)


def _place(target: Path) -> Path:
    return target.with_name(f"{target.name}.version")
