"""Asks a web server for a file: which addresses are allowed, what is sent, which redirects are followed.

Only https is spoken, and plain http to this machine itself. A token goes to the server that it was made for and to no
other. ``hf://owner/name/file`` is the newest version of a file on the Hugging Face Hub (or on ``HF_ENDPOINT``).
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO, NoReturn
from urllib import request as urllib
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit

from zoo.errors import DownloadError

#: Seconds that a server may be silent.
TIMEOUT = 30.0
CHUNK = 1 << 18

_DIGEST = re.compile(r'"?([0-9a-f]{64})"?')
_RANGE = re.compile(r"bytes (\d+)-")


class TransferFailed(Exception):
    """No file came, or not all of it; ``again`` says whether another try may help.

    It never leaves zoo.files.download, which knows what to do about it and makes a DownloadError of it.
    """

    def __init__(self, reason: str, *, again: bool = False) -> None:
        super().__init__(reason)
        self.again = again


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server sends of a file."""

    body: HTTPResponse
    #: Offset in bytes of what is sent: the one that was asked for, or 0 where the server sends everything.
    start: int
    #: Bytes that are sent, where the server tells.
    length: int | None
    #: Hex SHA-256 of the whole file, where the Hub tells.
    sha256: str | None

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes as they arrive. Raises TransferFailed when fewer come than were announced."""
        left = self.length
        while chunk := self._read(CHUNK if left is None else min(CHUNK, left)):
            left = None if left is None else left - len(chunk)
            yield chunk
        if left:
            raise TransferFailed(f"the transfer was cut off {left:,} bytes before the end", again=True)

    def _read(self, most: int) -> bytes:
        try:  # read1 returns what has arrived: a slow server must not look like a stalled one
            return self.body.read1(most) if most else b""
        except (OSError, HTTPException) as error:
            raise TransferFailed(f"the transfer broke off ({_words(error)})", again=True) from error


def ask(url: str, start: int) -> Answer:
    """Ask for the file at ``url`` from byte ``start`` on; the caller closes the answer's body.

    A server that knows no ranges, or has no such range, is asked for everything: look at ``start`` of the answer.
    Raises TransferFailed, and DownloadError for what is no address.
    """
    redirects = _Redirects()
    try:
        body = _opener(redirects).open(_request(url, start), timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code == 416 and start:
            return ask(url, 0)
        _refuse_status(error)
    except (OSError, HTTPException, ValueError) as error:
        _refuse_connection(error)
    return _answer(url, start, body, redirects)


def web_address(url: str) -> str:
    """Return the https address of ``url``, which may be ``hf://owner/name/file``. Raises DownloadError."""
    if not url.startswith("hf://"):
        return url
    owner, name, file = split_hub_url(url)
    return f"{_hub()}/{quote(owner)}/{quote(name)}/resolve/main/{quote(file)}"


def file_name(url: str) -> str:
    """Return the last part of the path of ``url``, as torch.hub names its files: not unquoted."""
    return re.split(r"[?#]", url, maxsplit=1)[0].rpartition("/")[2]


def split_hub_url(url: str) -> tuple[str, str, str]:
    """Return owner, name and file (a relative path) of ``hf://owner/name/file``. Raises DownloadError."""
    parts = url.removeprefix("hf://").split("/")
    if len(parts) < 3 or any(part in ("", ".", "..") or "\\" in part for part in parts):
        raise DownloadError(f"Cannot fetch {url}: an address on the Hub reads hf://owner/name/file")
    return parts[0], parts[1], "/".join(parts[2:])


class _Redirects(urllib.HTTPRedirectHandler):
    """Follows redirects, but leaves the token behind and never goes from https to http."""

    def __init__(self) -> None:
        self.linked: str | None = None

    def redirect_request(  # noqa: PLR0913, PLR0917  # urllib's signature
        self, req: urllib.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.Request | None:
        # For a large file the Hub names the digest in the answer that sends us on to the storage, not in the last one.
        self.linked = self.linked or headers.get("X-Linked-Etag")
        try:
            _check_redirect(req.full_url, newurl)
        except TransferFailed:
            fp.close()
            raise
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and _origin(request.full_url) != _origin(req.full_url):
            request.remove_header("Authorization")
        return request


def _opener(redirects: _Redirects) -> urllib.OpenerDirector:
    opener = urllib.OpenerDirector()  # not build_opener, which would also open file: and ftp:
    for part in (urllib.ProxyHandler, urllib.HTTPHandler, urllib.HTTPSHandler, urllib.UnknownHandler):
        opener.add_handler(part())
    opener.add_handler(urllib.HTTPErrorProcessor())
    opener.add_handler(urllib.HTTPDefaultErrorHandler())
    opener.add_handler(redirects)
    return opener


def _request(url: str, start: int) -> urllib.Request:
    address = web_address(url)
    _check_scheme(address)
    request = urllib.Request(address, headers={"User-Agent": f"zoo/{_version()}"})  # noqa: S310  # checked above
    if start:
        request.add_header("Range", f"bytes={start}-")
    if url.startswith("hf://") and (token := os.environ.get("HF_TOKEN")):
        request.add_header("Authorization", f"Bearer {token}")
    return request


def _answer(url: str, start: int, body: HTTPResponse, redirects: _Redirects) -> Answer:
    begin = _begin(body)
    if begin not in {0, start}:
        body.close()
        if start:
            return ask(url, 0)
        raise TransferFailed(f"the server sends something else than the file (HTTP {body.status})")
    length = body.headers.get("Content-Length")
    digest = _DIGEST.fullmatch(redirects.linked or body.headers.get("X-Linked-Etag") or "")
    linked = digest[1] if digest and url.startswith("hf://") else None
    return Answer(body, begin, int(length) if length and length.isdecimal() else None, linked)


def _begin(body: HTTPResponse) -> int | None:
    """Return the offset of the first byte that is sent, None where the answer is not understood."""
    if body.status == 200:
        return 0
    sent = _RANGE.match(body.headers.get("Content-Range") or "")
    return int(sent[1]) if body.status == 206 and sent else None


def _refuse_status(error: HTTPError) -> NoReturn:
    known = {
        401: "the server wants to know who asks; set HF_TOKEN if the file is on the Hub",
        403: "the server does not give this file to everybody; if it is on the Hub, accept its terms and set HF_TOKEN",
        404: "there is no such file; it may have moved",
        410: "the file was removed by its owners",
    }
    reason = known.get(error.code, str(error.reason).strip().splitlines()[0] if error.reason else "")
    again = error.code >= 500 or error.code in (408, 429)
    raise TransferFailed(f"HTTP {error.code}: {reason}", again=again) from error


def _refuse_connection(error: Exception) -> NoReturn:
    cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
    again = False
    if isinstance(cause, ssl.SSLError):
        reason = f"no secure connection ({_words(cause)}); a proxy may be in between, or the clock wrong"
    elif isinstance(cause, ConnectionRefusedError):
        reason = "the connection was refused; the server may be down, or a proxy needed (HTTPS_PROXY)"
    elif isinstance(cause, (ConnectionError, TimeoutError)):
        again = True
        reason = f"the connection broke ({_words(cause)})"
    else:
        reason = f"the server cannot be reached ({_words(cause)}); this machine may be offline"
    raise TransferFailed(reason, again=again) from error


def _check_redirect(old: str, new: str) -> None:
    if urlsplit(old).scheme == "https" and urlsplit(new).scheme != "https":
        raise TransferFailed(f"the server redirects to {new}, which is not https")
    _check_scheme(new)


def _check_scheme(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname)):
        return
    if parts.scheme == "http":
        raise TransferFailed(f"{address} is plain http, which anybody on the way can change; only https is fetched")
    raise TransferFailed(f"{address} is neither https://... nor hf://owner/name/file")


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _origin(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port


def _hub() -> str:
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def _words(error: Exception) -> str:
    """What went wrong, without an error number and on one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


def _version() -> str:
    from importlib.metadata import PackageNotFoundError

    from zoo.files.versions import read_version

    try:
        return read_version("zoo")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0"
