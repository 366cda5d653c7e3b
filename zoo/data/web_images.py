"""Images on the web, which are fetched when they are decoded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

from zoo.data.channels import RGB
from zoo.data.decode import Decoded, decoded
from zoo.data.sources.archive import is_archive_name
from zoo.data.sources.entries import IMAGE_SUFFIXES
from zoo.data.sources.web_archive import is_web
from zoo.errors import DataError, DownloadError
from zoo.files.fetch_bytes import fetch_bytes
from zoo.files.limits import IMAGE_BYTES


@dataclass(frozen=True, slots=True)
class WebImage:
    """An image on the web. It has no label."""

    url: str

    @property
    def shown(self) -> str:
        """The URL for results and messages, without a user name and a password."""
        return hide_password(self.url)

    @property
    def path(self) -> Path:
        """The path in the URL, for messages."""
        return Path(re.split("[?#]", self.shown, maxsplit=1)[0].partition("://")[2])

    @contextmanager
    def decoded(self, bits: int | None = None, stopped: Event | None = None, channels: int = RGB) -> Iterator[Decoded]:
        """Return a context with the decoded image, like `zoo.data.decode.decoded`.

        Args:
            bits: Number of bits that the values of 16-bit images use.
            channels: Number of channels of the input.
            stopped: Set by another thread when the image is no longer needed, which ends the wait for the server.

        Raises:
            DataError: If the image cannot be fetched or decoded. The message is a clause that does not contain the URL.
        """
        with decoded(self._fetch(stopped), bits, channels) as image:
            yield image

    def _fetch(self, stopped: Event | None) -> bytes:
        try:
            parts = urlsplit(self.url)
        except ValueError as error:
            raise DataError(f"it is not a URL ({error})") from error
        if "@" in parts.netloc:
            raise DataError("a URL must not contain a user name or a password; download the image yourself")
        try:
            return fetch_bytes(self.url, IMAGE_BYTES, stopped)
        except DownloadError as error:
            raise DataError(f"cannot be fetched: {error}") from error


def hide_password(url: str) -> str:
    """Return a URL with asterisks in place of a user name and a password."""
    return re.sub(r"(?<=://)[^/?#]*@", "***@", url, count=1)


def is_web_image(value: object, *, is_certain: bool) -> bool:
    """Return whether a value is the URL of an image, judged by its suffix.

    Args:
        value: The value.
        is_certain: Whether a URL without a known suffix counts as that of an archive, not as that of an image.
    """
    if not isinstance(value, str) or not is_web(value):
        return False
    path = re.split("[?#]", value, maxsplit=1)[0].lower()
    return path.endswith(tuple(IMAGE_SUFFIXES)) if is_certain else not is_archive_name(path)
