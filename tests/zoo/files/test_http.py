"""Requests to a web server, and which responses are accepted."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

from zoo.files import http as web
from zoo.files.http import TransferFailed, open_url

Site = Any  # The class is in conftest.py, which cannot be imported.

DIGEST = "0123456789abcdef" * 4


def content_of(url: str, start: int = 0) -> bytes:
    response = open_url(url, start)
    with response.body:
        return b"".join(response.chunks())


def reason_of(url: str, start: int = 0) -> TransferFailed:
    with pytest.raises(TransferFailed) as caught:
        content_of(url, start)
    return caught.value


def test_a_response_has_the_length_of_the_file(site: Site) -> None:
    response = open_url(site.put("/file", b"abc"), 0)
    with response.body:
        assert (response.start, response.length, list(response.chunks())) == (0, 3, [b"abc"])
    assert site.requests[0].headers["User-Agent"].startswith("zoo/")
    assert "Range" not in site.requests[0].headers


def test_the_rest_of_a_file_is_requested_by_its_offset(site: Site) -> None:
    response = open_url(site.put("/file", b"abcdef"), 2)
    with response.body:
        assert (response.start, response.length, list(response.chunks())) == (2, 4, [b"cdef"])


@pytest.mark.parametrize("start", [3, 4])
def test_a_range_past_the_end_returns_the_full_file(site: Site, start: int) -> None:
    assert content_of(site.put("/file", b"abc"), start) == b"abc"
    assert site.ranges == [f"bytes={start}-", None]


def test_a_range_that_was_not_requested_is_not_used(site: Site) -> None:
    site.faults = ["shifted"]
    response = open_url(site.put("/file", b"abcdef"), 2)
    with response.body:
        assert (response.start, b"".join(response.chunks())) == (0, b"abcdef")


@pytest.mark.parametrize(("fault", "words"), [("cut:2", "cut off 4 bytes before"), ("reset:2", "interrupted")])
def test_an_interrupted_transfer_can_be_retried(site: Site, fault: str, words: str) -> None:
    site.faults = [fault]
    failure = reason_of(site.put("/file", b"abcdef"))
    assert words in str(failure)
    assert failure.can_retry


@pytest.mark.parametrize(("status", "can_retry"), [(401, False), (403, False), (404, False), (429, True), (503, True)])
def test_only_temporary_errors_can_be_retried(site: Site, status: int, *, can_retry: bool) -> None:
    site.faults = [f"status:{status}"]
    failure = reason_of(site.put("/file", b"abc"))
    assert f"HTTP {status}: " in str(failure)
    assert failure.can_retry is can_retry


def test_a_success_without_a_file_is_an_error(site: Site) -> None:
    site.faults = ["status:204"]
    assert "HTTP 204" in str(reason_of(site.put("/file", b"abc")))


def test_a_refused_connection_is_an_error(site: Site) -> None:
    with socket.socket() as unused:  # The port is bound, but nothing listens on it.
        unused.bind(("127.0.0.1", 0))
        site.port = unused.getsockname()[1]
        failure = reason_of(site.url("/file"))
    assert "refused" in str(failure)
    assert not failure.can_retry


def test_a_server_without_tls_is_an_error(site: Site) -> None:
    assert "no secure connection" in str(reason_of(site.put("/file", b"abc").replace("http:", "https:")))


def test_an_unknown_host_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_address: object, **_options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert "cannot be reached (Name or service not known); this machine may be offline" in str(
        reason_of("https://x.test/f")
    )


def test_plain_http_is_allowed_only_on_this_machine() -> None:
    assert "plain http" in str(reason_of("http://example.com/file"))
    assert "plain http" in str(reason_of("http://127.0.0.1.example.com/file"))


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/file", "file:///etc/passwd", "data:text/plain,abc", "/etc/passwd", ""]
)
def test_other_schemes_are_rejected(url: str) -> None:
    assert "neither https://" in str(reason_of(url))


@pytest.mark.parametrize("url", ["https://[::1", "https://127.0.0.1:port/file", "http://127.0.0.1:0/a b", "https:///x"])
def test_an_invalid_address_is_an_error(url: str) -> None:
    assert str(reason_of(url))


def test_a_redirect_to_a_forbidden_address_is_not_followed(site: Site, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    for address, words in (
        (secret.as_uri(), "is not allowed"),
        ("ftp://127.0.0.1/file", "neither https://"),
        ("http://example.com/file", "plain http"),
    ):
        site.redirects = {"/file": (address, {})}
        assert words in str(reason_of(site.url("/file")))


def test_a_redirect_from_https_to_http_is_not_followed() -> None:
    with pytest.raises(TransferFailed, match="not https"):
        web._check_redirect("https://example.com/file", "http://127.0.0.1/file")


def test_an_endless_redirect_is_an_error(site: Site) -> None:
    site.redirects = {"/file": (site.url("/file"), {})}
    assert "infinite loop" in str(reason_of(site.url("/file")))


def test_the_token_is_sent_only_to_the_hub(site: Site, other_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", site.url("/"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    site.redirects = {
        "/o/old/resolve/main/a%20b.bin": ("/o/new/resolve/main/a%20b.bin", {}),
        "/o/new/resolve/main/a%20b.bin": (other_site.url("/moved"), {"X-Linked-Etag": f'"{DIGEST}"'}),
    }
    other_site.redirects = {"/moved": (other_site.put("/storage", b"abc"), {"X-Linked-Etag": "f" * 64})}
    response = open_url("hf://o/old/a b.bin", 0)
    with response.body:
        assert (b"".join(response.chunks()), response.sha256) == (b"abc", DIGEST)
    assert [request.headers.get("Authorization") for request in site.requests] == ["Bearer hf_secret"] * 2
    assert [request.headers.get("Authorization") for request in other_site.requests] == [None, None]
    content_of(site.put("/file", b"abc"))
    assert "Authorization" not in site.requests[-1].headers


@pytest.mark.parametrize("stated", ['"0123456789012345678901234567890123456789"', "nonsense", None])
def test_only_a_sha256_is_used_as_the_hubs_digest(
    site: Site, other_site: Site, monkeypatch: pytest.MonkeyPatch, stated: str | None
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", site.url(""))
    headers = {} if stated is None else {"X-Linked-Etag": stated}
    site.redirects = {"/o/n/resolve/main/f": (other_site.put("/storage", b"abc"), headers)}
    response = open_url("hf://o/n/f", 0)
    response.body.close()
    assert response.sha256 is None


def test_the_digest_of_another_server_is_ignored(site: Site, other_site: Site) -> None:
    site.redirects = {"/file": (other_site.put("/storage", b"abc"), {"X-Linked-Etag": DIGEST})}
    response = open_url(site.url("/file"), 0)
    response.body.close()
    assert response.sha256 is None


def test_an_error_without_a_message_is_described_by_its_type() -> None:
    assert "TimeoutError" in str(web._explain_connection(URLError(TimeoutError())))
