"""A web server on loopback that can simulate network errors, and a Hugging Face Hub on loopback."""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from loopback_hub import TOKEN, LoopbackHub, open_hub

#: Value of the socket option SO_LINGER with which closing sends a reset to the client.
RESET = struct.pack("ii", 1, 0)


class Request(NamedTuple):
    path: str
    headers: Mapping[str, str]


@dataclass
class Site:
    """The files and faults of a server, and the requests that it received."""

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    #: Address and additional headers of the redirect, by path.
    redirects: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    #: Faults, one for each request: ``cut:N`` and ``reset:N`` after N bytes, ``status:N``, ``length:N``, ``chunked``,
    #: ``endless`` (chunked, and repeats the file until the client leaves), ``busy:TEXT`` (503 with ``Retry-After``),
    #: ``shifted`` (sends a range that was not requested), ``hold:N`` (waits for ``released`` after N bytes),
    #: ``drip`` (sends a byte now and then), ``drip-headers`` (never ends its headers), ``ok``.
    faults: list[str] = field(default_factory=list)
    supports_ranges: bool = True
    #: Additional headers of a file, by path.
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)
    requests: list[Request] = field(default_factory=list)
    #: Number of bytes of files that were sent.
    sent: int = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def put(self, path: str, content: bytes) -> str:
        self.files[path] = content
        return self.url(path)

    @property
    def ranges(self) -> list[str | None]:
        return [request.headers.get("Range") for request in self.requests]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    site: Site

    def shutdown_request(self, request: Any) -> None:
        """Close the socket without a shutdown if a reset is wanted."""
        is_reset = request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == RESET
        (self.close_request if is_reset else super().shutdown_request)(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing, since tests let clients disconnect."""


class RequestHandler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: Any) -> None:  # the base class's name
        """Print nothing."""

    def do_GET(self) -> None:
        site = self.server.site
        site.requests.append(Request(self.path, dict(self.headers)))
        kind, _, value = (site.faults.pop(0) if site.faults else "ok").partition(":")
        path = self.path.partition("?")[0]
        if kind == "status":
            self.send_error(int(value))
        elif kind == "busy":
            self._start(503, {"Retry-After": value, "Content-Length": "0"})
        elif path in site.redirects:
            address, headers = site.redirects[path]
            self._start(302, {"Location": address, "Content-Length": "0", **headers})
        elif path not in site.files:
            self.send_error(404)
        else:
            self._send(site.files[path], kind, int(value or 0))

    def _send(self, content: bytes, kind: str, value: int) -> None:
        start = self._requested_start() if self.server.site.supports_ranges else 0
        if start and start >= len(content):
            self.send_error(416)
            return
        start = start + 1 if kind == "shifted" else start
        headers = {"Content-Length": str(value if kind == "length" else len(content) - start)}
        if kind in {"chunked", "endless"}:
            headers = {}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        headers |= self.server.site.headers.get(self.path.partition("?")[0], {})
        self._start(206 if start else 200, headers, is_endless=kind == "drip-headers")
        self._write(content[start:], kind, value)

    def _requested_start(self) -> int:
        requested = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(requested[1]) if requested else 0

    def _write(self, rest: bytes, kind: str, value: int) -> None:
        site = self.server.site
        while kind == "drip" and not site.released.wait(0.05):
            self.wfile.write(rest[:1])
        first = rest[:value] if kind in {"cut", "reset", "hold"} else rest
        site.sent += len(first)  # This comes first, because the client may be done before this thread continues.
        self.wfile.write(first)
        while kind == "endless" and not site.released.is_set():
            self.wfile.write(rest)  # It fails when the client has closed the connection.
            site.sent += len(rest)
        if kind == "reset":  # Closing the socket now sends a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        if kind == "hold":
            site.released.wait(30)
            site.sent += len(rest) - value
            self.wfile.write(rest[value:])

    def _start(self, status: int, headers: dict[str, str], *, is_endless: bool = False) -> None:
        self.send_response(status)
        self.flush_headers()
        while is_endless and not self.server.site.released.wait(0.05):
            self.wfile.write(b"x")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _open_site() -> Iterator[Site]:
    with Server(("127.0.0.1", 0), RequestHandler) as server:
        server.site = Site(port=server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.site
        server.site.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture(name="site")
def _site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    yield from _open_site()


@pytest.fixture(name="other_site")
def _other_site() -> Iterator[Site]:
    yield from _open_site()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A hub to which the user is logged in, with an empty cache folder of huggingface_hub."""
    constants = pytest.importorskip("huggingface_hub.constants")
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # a protocol of the Hub, besides LFS
    with open_hub() as opened:
        monkeypatch.setattr(constants, "ENDPOINT", opened.url)
        template = "{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{opened.url}/{template}")
        yield opened
