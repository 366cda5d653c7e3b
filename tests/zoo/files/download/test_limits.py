"""A download stops at the size of the file, waits longer before each attempt, and obeys servers that ask to wait."""

from __future__ import annotations

import hashlib
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from fetching import CONTENT, DIGEST, get, left_in
from recording_progress import RecordingProgress
from zoo.errors import DownloadError
from zoo.files.download import fetch
from zoo.files.retry import read_retry_after

Site = Any  # The class is in conftest.py, which cannot be imported.

DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


def error_of(url: str, target: Path, *, size: int | None = None) -> str:
    with pytest.raises(DownloadError) as caught:
        get(url, target, size=size)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_server_that_sends_more_than_the_pinned_size_is_stopped_at_that_size(site: Site, target: Path) -> None:
    site.faults = ["endless"]
    message = error_of(site.put("/file", CONTENT), target, size=len(CONTENT))
    assert "it has more than 10,240 bytes; the file was changed after it was published" in message
    assert left_in(target.parent) == set()
    assert len(site.requests) == 1


def test_never_more_bytes_than_the_pinned_size_are_written(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    unlink = Path.unlink

    def record(path: Path, **options: bool) -> None:
        sizes.append(path.stat().st_size)
        unlink(path, **options)

    site.faults = ["endless"]
    monkeypatch.setattr(Path, "unlink", record)
    error_of(site.put("/file", CONTENT * 100), target, size=len(CONTENT) * 50)
    assert len(sizes) == 1
    assert sizes[0] <= len(CONTENT) * 50


def test_a_length_that_is_not_the_pinned_size_is_refused_before_the_transfer(site: Site, target: Path) -> None:
    site.faults = [f"length:{10**9}"]
    message = error_of(site.put("/file", CONTENT), target, size=len(CONTENT))
    assert "it has 1,000,000,000 bytes, not 10,240" in message
    assert left_in(target.parent) == set()


def test_a_server_that_reports_no_size_is_stopped_at_the_limit(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_MAX_DOWNLOAD_BYTES", "1000000")
    site.faults = ["endless"]
    message = error_of(site.put("/file", CONTENT), target)
    assert "ZOO_MAX_DOWNLOAD_BYTES allows only 1,000,000; to allow this, set ZOO_MAX_DOWNLOAD_BYTES to 1" in message
    assert left_in(target.parent) == set()
    site.faults = ["chunked"]
    assert get(site.url("/file"), target) == CONTENT


def test_the_length_that_the_server_reports_replaces_the_limit(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_MAX_DOWNLOAD_BYTES", "100")
    assert get(site.put("/file", CONTENT), target) == CONTENT


def test_each_wait_is_twice_as_long_and_is_reported(site: Site, target: Path, waits: list[float]) -> None:
    site.faults = ["status:503"] * 4
    progress = RecordingProgress()
    fetch(site.put("/file", CONTENT), target, sha256=DIGEST, size=None, progress=progress)
    assert waits == [1, 2, 4, 8]
    assert progress.lines[1] == "HTTP 503: Service Unavailable; trying again in 1 s (attempt 2 of 5)"
    assert progress.lines[4].endswith("trying again in 8 s (attempt 5 of 5)")


@pytest.mark.parametrize("asked", ["0", "7", "300"])
def test_the_wait_that_the_server_asks_for_is_obeyed(site: Site, target: Path, waits: list[float], asked: str) -> None:
    site.faults = [f"busy:{asked}"]
    assert get(site.put("/file", CONTENT), target) == CONTENT
    assert waits == [max(1, int(asked))]


def test_a_wait_that_is_too_long_is_an_error_at_once(site: Site, target: Path, waits: list[float]) -> None:
    site.faults = ["busy:301"]
    message = error_of(site.put("/file", CONTENT), target)
    assert "the server asks to wait 301 seconds, but ZOO_MAX_RETRY_SECONDS allows only 300" in message
    assert "set ZOO_MAX_RETRY_SECONDS to 301 or more, or try again later" in message
    assert waits == []
    assert len(site.requests) == 1


@pytest.mark.parametrize("fault", ["drip", pytest.param("drip-headers", marks=pytest.mark.breadth)])
def test_a_server_that_sends_a_byte_now_and_then_is_given_up(
    site: Site, target: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("ZOO_MAX_STALL_SECONDS", "1")
    monkeypatch.setenv("ZOO_MAX_DOWNLOAD_TRIES", "2")
    site.faults = [fault, fault]
    with pytest.raises(DownloadError, match=r"it sent only \d+ bytes in 1 seconds; to wait longer, set ZOO_MAX_STALL"):
        get(site.put("/file", CONTENT), target)
    assert waits == [1]


def test_the_number_of_attempts_is_adjustable(
    site: Site, target: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_MAX_DOWNLOAD_TRIES", "12")
    site.faults = ["status:500"] * 11
    assert get(site.put("/file", CONTENT), target) == CONTENT
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


@pytest.mark.parametrize(
    ("retry_after", "date", "seconds"),
    [
        ("120", None, 120),
        ("Wed, 21 Oct 2026 07:30:05 GMT", DATE, 125),
        ("Wed, 21 Oct 2026 07:30:05 -0000", DATE, 125),
        ("Wed, 21 Oct 2026 07:27:00 GMT", DATE, 0),
        ("Wed, 21 Oct 2020 07:27:00 GMT", None, 0),
        ("9" * 5000, None, 10**18 - 1),
        ("-5", DATE, 0),
        ("1.5", DATE, 0),
        ("soon", DATE, 0),
        ("\u0663", None, 0),
        ("", DATE, 0),
        (None, DATE, 0),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_time_of_the_servers_clock(
    retry_after: str | None, date: str | None, seconds: int
) -> None:
    headers = Message()
    for name, value in (("Retry-After", retry_after), ("Date", date)):
        if value is not None:
            headers[name] = value
    assert read_retry_after(headers) == seconds


def test_a_partial_file_of_a_larger_version_is_fetched_again(site: Site, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("file.bin.part").write_bytes(bytes(100))
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert get(site.put("/file", CONTENT), target, sha256=digest, size=len(CONTENT)) == CONTENT
    assert site.ranges == ["bytes=100-", None]
