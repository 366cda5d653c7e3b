"""Request a file from a web server: allowed URLs, headers and redirects.

Only https is allowed, except that plain http is allowed to this machine itself. The token in ``HF_TOKEN`` is sent only
to the Hub.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPMessage, HTTPResponse
from importlib.metadata import PackageNotFoundError
from typing import IO
from urllib import request as urllib
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from zoo.files.pace import PacedHTTP, PacedHTTPS
from zoo.files.remote_version import RemoteVersion
from zoo.files.urls import web_address
from zoo.files.versions import read_version

#: Seconds to wait for data from a silent server.
TIMEOUT = 30.0
CHUNK = 1 << 18

_DIGEST = re.compile(r'"?([0-9a-f]{64})"?')
_RANGE = re.compile(r"bytes (\d+)-")


class TransferFailed(Exception):
    """A failed or incomplete transfer; ``can_retry`` says whether another attempt may succeed.

    It is never raised outside zoo.files.download and zoo.files.fetch_bytes, which retry or raise a DownloadError.
    """

    def __init__(
        self, reason: str, *, can_retry: bool = False, is_outage: bool = False, headers: Message | None = None
    ) -> None:
        super().__init__(reason)
        self.can_retry = can_retry
        #: Whether the server could not be reached or could not answer, so that nothing is known about the file.
        self.is_outage = is_outage
        #: The headers of the server's refusal, which may say when to try again.
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Response:
    """A server's response to a request for a file."""

    body: HTTPResponse
    #: Offset in bytes at which the body begins: the requested one, or 0 if the server sends the full file.
    start: int
    #: Number of bytes in the body, or None if the server does not report it.
    length: int | None
    #: SHA-256 of the full file in hex, or None if the file is not on the Hub or the Hub does not report it.
    sha256: str | None
    #: What the server says about the version of the full file.
    version: RemoteVersion

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes as they arrive. Raises TransferFailed if the body ends early."""
        left = sys.maxsize if self.length is None else self.length
        try:  # read1 returns as soon as any bytes have arrived, so a slow server does not look stalled.
            while left and (chunk := self.body.read1(min(CHUNK, left))):
                left -= len(chunk)
                yield chunk
        except (OSError, HTTPException) as error:
            reason = f"the transfer was interrupted ({_describe(error)})"
            raise TransferFailed(reason, can_retry=True, is_outage=True) from error
        if left and self.length is not None:
            raise TransferFailed(
                f"the transfer was cut off {left:,} bytes before the end", can_retry=True, is_outage=True
            )


def open_url(url: str, start: int) -> Response:
    """Request the file at ``url``, beginning at byte ``start``. The caller closes the body of the response.

    If the server does not support the range, the full file is requested, so check ``start`` of the response.
    Raises TransferFailed, or DownloadError if ``url`` is not a valid address.
    """
    redirects = _Redirects()
    try:
        body = urllib.build_opener(redirects, PacedHTTP, PacedHTTPS).open(_build_request(url, start), timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code == 416 and start:
            return open_url(url, 0)
        raise _explain_status(error) from error
    except (OSError, HTTPException, ValueError) as error:
        raise _explain_connection(error) from error
    first = _read_offset(body)
    if first not in {0, start}:
        body.close()
        if start:
            return open_url(url, 0)
        raise TransferFailed(f"the server did not send the file (HTTP {body.status})")
    digest = _DIGEST.fullmatch(redirects.digest or body.headers.get("X-Linked-Etag") or "")
    version = RemoteVersion.of_headers(body.headers, None if body.length is None else first + body.length)
    return Response(body, first, body.length, digest[1] if digest and url.startswith("hf://") else None, version)


class _Redirects(urllib.HTTPRedirectHandler):
    """A redirect handler that never sends the token to another server and never switches from https to http."""

    def __init__(self) -> None:
        self.digest: str | None = None

    def redirect_request(  # noqa: PLR0913, PLR0917  # urllib's signature
        self, req: urllib.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.Request | None:
        # For a large file, the Hub sends the digest with the redirect to its storage, not with the file itself.
        self.digest = self.digest or headers.get("X-Linked-Etag")
        try:
            _check_redirect(req.full_url, newurl)
        except TransferFailed:
            fp.close()
            raise
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and urlsplit(request.full_url)[:2] != urlsplit(req.full_url)[:2]:
            request.remove_header("Authorization")
        return request


def _name_client() -> str:
    try:
        return f"zoo/{read_version('zoo')}"
    except PackageNotFoundError:  # zoo runs from a source tree that is not installed
        return "zoo"


def _build_request(url: str, start: int) -> urllib.Request:
    address = web_address(url)
    _check_scheme(address)
    request = urllib.Request(address, headers={"User-Agent": _name_client()})  # noqa: S310  # checked above
    if start:
        request.add_header("Range", f"bytes={start}-")
    if url.startswith("hf://") and (token := os.environ.get("HF_TOKEN")):
        request.add_header("Authorization", f"Bearer {token}")
    return request


def _read_offset(body: HTTPResponse) -> int | None:
    """Return the offset of the first byte of the body, or None if the response is invalid."""
    if body.status == 200:
        return 0
    sent = _RANGE.match(body.headers.get("Content-Range") or "")
    return int(sent[1]) if body.status == 206 and sent else None


def _explain_status(error: HTTPError) -> TransferFailed:
    known = {
        401: "the server requires authentication; if the file is on the Hub, set HF_TOKEN",
        403: "access is denied; if the file is on the Hub, accept its terms and set HF_TOKEN",
        404: "there is no such file; it may have moved",
        410: "the file was removed by its owners",
    }
    reason = known.get(error.code) or str(error.reason).partition("\n")[0]
    can_retry = error.code >= 500 or error.code in (408, 429)
    return TransferFailed(
        f"HTTP {error.code}: {reason}", can_retry=can_retry, is_outage=can_retry, headers=error.headers
    )


def _explain_connection(error: Exception) -> TransferFailed:
    cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
    reason = _describe(cause)
    if isinstance(cause, ssl.SSLError):
        return TransferFailed(
            f"no secure connection ({reason}); check for a proxy and the system clock",
            is_outage=not isinstance(cause, ssl.SSLCertVerificationError),
        )
    if isinstance(cause, ConnectionRefusedError):
        reason = "the connection was refused; the server may be down, or you need a proxy (HTTPS_PROXY)"
        return TransferFailed(reason, is_outage=True)
    if isinstance(cause, (ConnectionError, TimeoutError)):
        return TransferFailed(f"the connection was lost ({reason})", can_retry=True, is_outage=True)
    # An address that is not valid raises errors of other types.
    is_outage = isinstance(cause, OSError) and not isinstance(cause, URLError)
    return TransferFailed(f"the server cannot be reached ({reason}); this machine may be offline", is_outage=is_outage)


def _check_redirect(old: str, new: str) -> None:
    if urlsplit(old).scheme == "https" and urlsplit(new).scheme != "https":
        raise TransferFailed(f"the server redirects to {new}, which is not https")
    _check_scheme(new)


def _check_scheme(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname)):
        return
    if parts.scheme == "http":
        raise TransferFailed(f"{address} is plain http, which can be changed in transit; use https")
    raise TransferFailed(f"{address} is neither https://... nor hf://owner/name/file")


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _describe(error: Exception) -> str:
    """Return a one-line description of an error, without the error number."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
