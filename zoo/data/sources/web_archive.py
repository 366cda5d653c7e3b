"""An archive or shards on the web: ``https://host/photos.zip#sha256=HEX``, where the SHA-256 is optional."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from zoo.data.sources.entries import IMAGE_SUFFIXES
from zoo.data.sources.shard_names import is_pattern
from zoo.data.sources.table_rows import is_table_name
from zoo.errors import DataError

_SHA256 = re.compile(r"sha256=([0-9a-f]{64})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class WebArchive:
    """The URL of an archive, or of shards with braces in the file name, and what they must match."""

    url: str
    #: SHA-256 in hex, 64 digits; None if the user gave none.
    sha256: str | None


def is_web(value: str) -> bool:
    """Return whether a value is a web URL."""
    return value.lower().startswith(("https://", "http://"))


def parse_web(value: str) -> WebArchive:
    """Parse the URL of an archive without fetching anything.

    Raises:
        DataError: If it names no file, a table, an image or a password, or if what follows ``#`` is not a SHA-256.
    """
    if "@" in value.split("/")[2]:  # No message may repeat the password, so this comes first.
        raise DataError("cannot use a URL with a user name or a password; download the archive yourself and pass it.")
    url, mark, fragment = value.partition("#")
    digest = _SHA256.fullmatch(fragment)
    if mark and not digest:
        raise DataError(f"cannot use {value!r}: after #, write sha256= and the 64 hex digits of the archive's SHA-256.")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise DataError(f"cannot use {value!r}: it is not a URL ({error}).") from error
    if not parts.hostname or not parts.path.strip("/") or not value.isprintable() or " " in value:
        raise DataError(f"cannot use {value!r}: it is not the URL of an archive, such as https://host/photos.zip.")
    file = parts.path.rpartition("/")[2]
    if "{" in url and (not is_pattern(Path(file)) or "{" in url.replace(file, "", 1)):
        raise DataError(f"cannot use {value!r}: braces stand for several shards, in the name of a .tar file only.")
    name = parts.path.lower()
    if is_table_name(name) or name.endswith(tuple(IMAGE_SUFFIXES)):
        raise DataError(f"cannot use {value!r}: only archives can be fetched; download it yourself.")
    return WebArchive(url, digest[1].lower() if digest else None)
