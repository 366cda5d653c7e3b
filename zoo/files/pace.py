"""A minimum speed for servers, because a server that sends a byte now and then would otherwise never time out.

The speed is measured where bytes arrive from the network, so it also applies to headers, redirects and the framing of
chunks. Time that zoo itself needs, for example to write to the disk, does not count.
"""

from __future__ import annotations

import io
import time
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING, Any
from urllib import request as urllib

from zoo.files.limits import STALL_SECONDS

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Number of bytes that must arrive within the limit.
LEAST_BYTES = 1 << 16


class _Paced(io.RawIOBase):
    """The bytes of a connection; reading raises TimeoutError if they arrive too slowly."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._received, self._waited = 0, 0.0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read what has arrived. Raises TimeoutError."""
        started = time.monotonic()
        count = int(self._raw.readinto(buffer) or 0)
        self._received += count
        self._waited += time.monotonic() - started
        if self._received >= LEAST_BYTES:
            self._received, self._waited = 0, 0.0
        elif count and self._waited > STALL_SECONDS.read():
            raise TimeoutError(
                f"it sent only {self._received:,} bytes in {STALL_SECONDS.read():,} seconds; to wait longer, set "
                f"{STALL_SECONDS.variable} to a larger number"
            )
        return count

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()
        super().close()


class _PacedResponse(HTTPResponse):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        stream: Any = self.fp
        self.fp = io.BufferedReader(_Paced(stream.detach()))


class _PacedOpener(urllib.AbstractHTTPHandler):
    def do_open(self, http_class: Any, req: urllib.Request, **options: Any) -> HTTPResponse:
        """Send a request over a connection whose responses have a minimum speed."""
        paced: type[HTTPConnection] = type("Paced", (http_class,), {"response_class": _PacedResponse})
        return super().do_open(paced, req, **options)


class PacedHTTP(_PacedOpener, urllib.HTTPHandler):
    """Open http URLs."""


class PacedHTTPS(_PacedOpener, urllib.HTTPSHandler):
    """Open https URLs."""
