"""What is asked of a web server, and which answers are believed."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

from zoo.errors import DownloadError
from zoo.files import http as web
from zoo.files.http import TransferFailed, open_url, split_hub_url, web_address

Site = Any  # of conftest.py, which cannot be imported

DIGEST = "0123456789abcdef" * 4


def content_of(url: str, start: int = 0) -> bytes:
    response = open_url(url, start)
    with response.body:
        return b"".join(response.chunks())


def reason_of(url: str, start: int = 0) -> TransferFailed:
    with pytest.raises(TransferFailed) as caught:
        content_of(url, start)
    return caught.value


def test_a_file_comes_with_its_length(site: Site) -> None:
    response = open_url(site.put("/file", b"abc"), 0)
    with response.body:
        assert (response.start, response.length, list(response.chunks())) == (0, 3, [b"abc"])
    assert site.requests[0].headers["User-Agent"].startswith("zoo/")
    assert "Range" not in site.requests[0].headers


def test_the_rest_of_a_file_is_asked_for_by_its_offset(site: Site) -> None:
    response = open_url(site.put("/file", b"abcdef"), 2)
    with response.body:
        assert (response.start, response.length, list(response.chunks())) == (2, 4, [b"cdef"])


@pytest.mark.parametrize("start", [3, 4])
def test_a_range_behind_the_end_gives_the_whole_file(site: Site, start: int) -> None:
    assert content_of(site.put("/file", b"abc"), start) == b"abc"
    assert site.ranges == [f"bytes={start}-", None]


def test_a_range_that_nobody_asked_for_is_not_used(site: Site) -> None:
    site.faults = ["shifted"]
    response = open_url(site.put("/file", b"abcdef"), 2)
    with response.body:
        assert (response.start, b"".join(response.chunks())) == (0, b"abcdef")


@pytest.mark.parametrize(("fault", "words"), [("cut:2", "cut off 4 bytes before"), ("reset:2", "interrupted")])
def test_a_transfer_that_breaks_may_be_tried_again(site: Site, fault: str, words: str) -> None:
    site.faults = [fault]
    failure = reason_of(site.put("/file", b"abcdef"))
    assert words in str(failure)
    assert failure.can_retry


@pytest.mark.parametrize(("status", "again"), [(401, False), (403, False), (404, False), (429, True), (503, True)])
def test_only_a_passing_trouble_is_worth_another_try(site: Site, status: int, *, again: bool) -> None:
    site.faults = [f"status:{status}"]
    failure = reason_of(site.put("/file", b"abc"))
    assert f"HTTP {status}: " in str(failure)
    assert failure.can_retry is again


def test_a_success_that_is_no_file_is_refused(site: Site) -> None:
    site.faults = ["status:204"]
    assert "HTTP 204" in str(reason_of(site.put("/file", b"abc")))


def test_nobody_listens(site: Site) -> None:
    with socket.socket() as taken:  # bound, but not listening
        taken.bind(("127.0.0.1", 0))
        site.port = taken.getsockname()[1]
        failure = reason_of(site.url("/file"))
    assert "refused" in str(failure)
    assert not failure.can_retry


def test_a_server_that_speaks_no_tls(site: Site) -> None:
    assert "no secure connection" in str(reason_of(site.put("/file", b"abc").replace("http:", "https:")))


def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_address: object, **_options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert "cannot be reached (Name or service not known); this machine may be offline" in str(
        reason_of("https://x.test/f")
    )


def test_plain_http_is_only_for_this_machine() -> None:
    assert "plain http" in str(reason_of("http://example.com/file"))
    assert "plain http" in str(reason_of("http://127.0.0.1.example.com/file"))


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/file", "file:///etc/passwd", "data:text/plain,abc", "/etc/passwd", ""]
)
def test_other_schemes_are_refused(url: str) -> None:
    assert "neither https://" in str(reason_of(url))


@pytest.mark.parametrize("url", ["https://[::1", "https://127.0.0.1:port/file", "http://127.0.0.1:0/a b", "https:///x"])
def test_what_is_no_address_is_refused(url: str) -> None:
    assert str(reason_of(url))


def test_a_redirect_to_what_would_not_be_asked_is_not_followed(site: Site, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    for address, words in (
        (secret.as_uri(), "is not allowed"),
        ("ftp://127.0.0.1/file", "neither https://"),
        ("http://example.com/file", "plain http"),
    ):
        site.redirects = {"/file": (address, {})}
        assert words in str(reason_of(site.url("/file")))


def test_https_is_never_left_for_http() -> None:
    with pytest.raises(TransferFailed, match="not https"):
        web._check_redirect("https://example.com/file", "http://127.0.0.1/file")


def test_a_redirect_in_a_circle_ends(site: Site) -> None:
    site.redirects = {"/file": (site.url("/file"), {})}
    assert "infinite loop" in str(reason_of(site.url("/file")))


def test_the_token_goes_to_the_hub_and_nowhere_else(
    site: Site, other_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
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
def test_only_a_sha256_of_the_hub_counts_as_digest(
    site: Site, other_site: Site, monkeypatch: pytest.MonkeyPatch, stated: str | None
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", site.url(""))
    headers = {} if stated is None else {"X-Linked-Etag": stated}
    site.redirects = {"/o/n/resolve/main/f": (other_site.put("/storage", b"abc"), headers)}
    response = open_url("hf://o/n/f", 0)
    response.body.close()
    assert response.sha256 is None


def test_a_digest_that_another_server_states_does_not_count(site: Site, other_site: Site) -> None:
    site.redirects = {"/file": (other_site.put("/storage", b"abc"), {"X-Linked-Etag": DIGEST})}
    response = open_url(site.url("/file"), 0)
    response.body.close()
    assert response.sha256 is None


def test_the_hub_is_huggingface_co_where_nothing_else_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert web_address("hf://timm/net/a/b.bin") == "https://huggingface.co/timm/net/resolve/main/a/b.bin"
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.test/")
    assert web_address("hf://timm/net/b c.bin") == "https://mirror.test/timm/net/resolve/main/b%20c.bin"


@pytest.mark.parametrize("url", ["hf://o/n", "hf://o/n/", "hf://o//f", "hf://o/n/../f", "hf://../n/f", "hf://o/n/a\\b"])
def test_an_address_on_the_hub_cannot_leave_its_repository(url: str) -> None:
    with pytest.raises(DownloadError, match="hf://owner/name/file"):
        split_hub_url(url)


def test_an_error_without_words_has_a_name() -> None:
    assert "TimeoutError" in str(web._explain_connection(URLError(TimeoutError())))
