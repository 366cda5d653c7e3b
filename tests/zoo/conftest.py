"""A web server on loopback that can behave like a bad network."""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

#: Value of SO_LINGER that makes close() send a reset.
RESET = struct.pack("ii", 1, 0)


class Request(NamedTuple):
    path: str
    headers: Mapping[str, str]


@dataclass
class Site:
    """The files of the server, its faults, and the requests that it received."""

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    #: Target address and additional headers, by path.
    redirects: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    #: Faults, one per request: ``cut:N`` and ``reset:N`` after N bytes, ``status:N``, ``length:N``,
    #: ``chunked``, ``shifted`` (a wrong range), ``hold:N`` (waits for ``go_on`` after N bytes), ``ok``.
    faults: list[str] = field(default_factory=list)
    knows_ranges: bool = True
    go_on: threading.Event = field(default_factory=threading.Event)
    requests: list[Request] = field(default_factory=list)
    #: Number of bytes of files that were sent.
    sent: int = 0
    #: Number of requests that wait for ``go_on``.
    held: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

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
        """Close without shutting the connection down if a reset is wanted."""
        lingers = request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == RESET
        (self.close_request if lingers else super().shutdown_request)(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing, because tests disconnect on purpose."""


class Answering(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Print nothing."""

    def do_GET(self) -> None:
        site = self.server.site
        site.requests.append(Request(self.path, dict(self.headers)))
        kind, _, value = (site.faults.pop(0) if site.faults else "ok").partition(":")
        path = self.path.partition("?")[0]
        if kind == "status":
            self.send_error(int(value))
        elif path in site.redirects:
            address, headers = site.redirects[path]
            self._start(302, {"Location": address, "Content-Length": "0", **headers})
        elif path not in site.files:
            self.send_error(404)
        else:
            self._send(site.files[path], kind, int(value or 0))

    def _send(self, content: bytes, kind: str, value: int) -> None:
        start = self._asked_start() if self.server.site.knows_ranges else 0
        if start and start >= len(content):
            self.send_error(416)
            return
        start = start + 1 if kind == "shifted" else start
        headers = {"Content-Length": str(value if kind == "length" else len(content) - start)}
        if kind == "chunked":
            headers = {}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._start(206 if start else 200, headers)
        self._write(content[start:], kind, value)

    def _asked_start(self) -> int:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(asked[1]) if asked else 0

    def _write(self, rest: bytes, kind: str, value: int) -> None:
        site = self.server.site
        first = rest[:value] if kind in {"cut", "reset", "hold"} else rest
        site.sent += len(first)  # counted first, because the client may finish before this thread continues
        self.wfile.write(first)
        if kind == "reset":  # closing without lingering sends a reset
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        if kind == "hold":
            site.held.release()
            site.go_on.wait(30)
            site.sent += len(rest) - value
            self.wfile.write(rest[value:])

    def _start(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _open_site() -> Iterator[Site]:
    with Server(("127.0.0.1", 0), Answering) as server:
        server.site = Site(port=server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.site
        server.site.go_on.set()
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
