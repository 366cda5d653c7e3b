"""`weights.fetched` tells a server that cannot be reached from a file that is wrong."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from safetensors.torch import save
from torch import zeros

from zoo.plugin import BackboneSpec, WeightsSpec
from zoo.plugin.fields import checks_deferred
from zoo.registry.registry import open_registry
from zoo.testing.backbone_under_test import BackboneUnderTest
from zoo.testing.checks.weights import fetched
from zoo.testing.results.result import CannotCheck, CheckFailed

CONTENT = save({"weight": zeros(2)})


class Handler(BaseHTTPRequestHandler):
    """Sends one file, and refuses everything else."""

    def do_GET(self) -> None:
        status = {"/net.safetensors": 200, "/busy.safetensors": 503}.get(self.path, 404)
        content = CONTENT if status == 200 else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        """Print nothing."""


@pytest.fixture(autouse=True)
def one_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with an empty cache, and try each file once."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ZOO_MAX_DOWNLOAD_TRIES", "1")
    monkeypatch.delenv("ZOO_OFFLINE", raising=False)


@pytest.fixture
def address() -> Iterator[str]:
    """The address of a server that has the file ``net.safetensors``."""
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def closed() -> str:
    """The address of a port at which no server listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def publish(*urls: str, sha256: str | None = None) -> BackboneUnderTest:
    """Return a backbone with weights at these addresses."""
    spec: BackboneSpec = open_registry().resolve("tiny").backbone
    with checks_deferred():  # a plugin's addresses begin with https
        weights = tuple(
            WeightsSpec(tag=f"V{number}", url=url, license="MIT", sha256=sha256) for number, url in enumerate(urls, 1)
        )
        return BackboneUnderTest("tiny", replace(spec, weights=weights))


def test_a_file_with_the_pinned_digest_is_accepted(address: str) -> None:
    fetched(publish(f"{address}/net.safetensors", sha256=hashlib.sha256(CONTENT).hexdigest()))


def test_a_refused_connection_cannot_be_checked(closed: str) -> None:
    with pytest.raises(CannotCheck, match=r"weights V1 are not on this machine: .*the connection was refused"):
        fetched(publish(f"{closed}/net.safetensors"))


def test_a_server_without_an_address_cannot_be_checked() -> None:
    with pytest.raises(CannotCheck, match=r"weights V1 are not on this machine: .*the server cannot be reached"):
        fetched(publish("https://weights.invalid/net.safetensors"))


def test_a_server_that_is_too_busy_cannot_be_checked(address: str) -> None:
    with pytest.raises(CannotCheck, match=r"weights V1 are not on this machine: .*HTTP 503"):
        fetched(publish(f"{address}/busy.safetensors"))


def test_a_missing_file_is_a_failure(address: str) -> None:
    with pytest.raises(CheckFailed, match=r"weights V1: .*HTTP 404: there is no such file.*; fix url"):
        fetched(publish(f"{address}/absent.safetensors"))


def test_a_file_with_another_digest_is_a_failure(address: str) -> None:
    with pytest.raises(CheckFailed, match=r"weights V1: .*its SHA-256 is .*, not 0000"):
        fetched(publish(f"{address}/net.safetensors", sha256="0" * 64))


def test_an_address_that_is_not_valid_is_a_failure() -> None:
    with pytest.raises(CheckFailed, match=r"weights V1: .*fix url"):
        fetched(publish("https://weights.invalid:port/net.safetensors"))


def test_weights_that_cannot_be_fetched_do_not_hide_a_failure(address: str, closed: str) -> None:
    with pytest.raises(CheckFailed, match=r"weights V2: .*HTTP 404"):
        fetched(publish(f"{closed}/net.safetensors", f"{address}/absent.safetensors"))
    with pytest.raises(CannotCheck, match=r"weights V1 are not on .* \(and 1 more\)"):
        fetched(publish(f"{closed}/net.safetensors", f"{closed}/other.safetensors"))
