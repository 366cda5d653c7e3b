"""A server of a run in this process, and a client that reads its answers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from threading import Thread
from typing import Any

from zoo.progress import Progress, Silent
from zoo.registry.registry import Registry
from zoo.runs.classifier import Classifier


@dataclass(frozen=True)
class Answered:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def parse(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Served:
    port: int

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answered:
        """Send a request. In the names of headers, underscores stand for hyphens."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return Answered(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def predict(self, image: Any, query: str = "") -> Answered:
        return self.ask("POST", f"/predict{query}", image)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)


@contextmanager
def serving(
    classifier: Classifier, registry: Registry, *names: str, progress: Progress | None = None
) -> Iterator[Served]:
    """Serve a run as `zoo.runs.serve.server.serve` does, in a thread."""
    from zoo.runs.serve.app import build_app
    from zoo.runs.serve.server import build_server, listen
    from zoo.runs.serve.worker import Worker

    listener = listen("127.0.0.1", 0, names)  # The server closes it.
    worker = Worker(classifier, registry)
    server = build_server(build_app(classifier, worker, names, progress or Silent()))
    thread = Thread(target=server.run, args=([listener.socket],), daemon=True)
    thread.start()
    try:
        yield Served(listener.socket.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(30)
        worker.close()
        assert not thread.is_alive()
