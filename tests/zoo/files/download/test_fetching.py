"""A downloaded file is complete and correct, regardless of network errors."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fetching import CONTENT, DIGEST, get, left_in
from recording_progress import RecordingProgress
from zoo.errors import DownloadError
from zoo.files import download
from zoo.files.cache import cache_folder
from zoo.files.download import fetch, is_offline, sha256_of
from zoo.files.limits import DOWNLOAD_TRIES
from zoo.progress import Advance

Site = Any  # The class is in conftest.py, which cannot be imported.

#: Settings for properties whose examples share the server of the fixture.
EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Recorder(RecordingProgress):
    """A progress display that records what it receives, and raises KeyboardInterrupt after ``interrupt_at`` bytes."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        super().__init__()
        self.bars: list[tuple[str, int | None]] = []
        self.steps = 0
        self._interrupt_at = interrupt_at

    @contextmanager
    def track(self, title: str, total: int | None) -> Iterator[Advance]:
        self.bars.append((title, total))
        self.steps = 0
        yield self._advance

    def _advance(self, steps: int) -> None:
        self.steps += steps
        if self._interrupt_at is not None and self.steps >= self._interrupt_at:
            raise KeyboardInterrupt


def error_of(url: str, target: Path, *, sha256: str | None = DIGEST, size: int | None = None) -> str:
    with pytest.raises(DownloadError) as caught:
        get(url, target, sha256=sha256, size=size)
    message = str(caught.value)
    assert message.startswith(f"Cannot fetch {url}: ")
    assert f"save the file yourself as {target}" in message
    assert "\n" not in message
    assert not target.exists()
    return message


def test_a_file_is_fetched_and_reported(site: Site, target: Path) -> None:
    progress = Recorder()
    url = site.put("/a/file.bin", CONTENT)
    assert fetch(url, target, sha256=DIGEST, size=len(CONTENT), progress=progress) == target
    assert target.read_bytes() == CONTENT
    assert progress.lines == [f"fetching {url}"]
    assert (progress.bars, progress.steps) == ([("fetching file.bin", len(CONTENT))], len(CONTENT))
    assert left_in(target.parent) == {"file.bin"}


def test_an_existing_file_is_not_fetched_again(site: Site, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target.parent.mkdir()
    target.write_bytes(b"complete")
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    assert get(site.put("/file", CONTENT), target) == b"complete"
    assert site.requests == []


def test_offline_no_request_is_sent(site: Site, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    message = error_of(site.put("/file", CONTENT), target)
    assert "ZOO_OFFLINE is set" in message
    assert "Unset ZOO_OFFLINE, or" in message
    assert site.requests == []
    assert not target.parent.exists()


@pytest.mark.parametrize(("value", "offline"), [(None, False), ("", False), ("0", False), ("1", True), ("yes", True)])
def test_zoo_offline_decides_whether_requests_are_sent(
    monkeypatch: pytest.MonkeyPatch, value: str | None, *, offline: bool
) -> None:
    if value is not None:
        monkeypatch.setenv("ZOO_OFFLINE", value)
    assert is_offline() is offline


def test_environment_variables_determine_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ZOO_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert cache_folder() == Path.home() / ".cache" / "zoo"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "zoo"
    monkeypatch.setenv("ZOO_CACHE", "~/own")
    assert cache_folder() == Path.home() / "own"
    assert left_in(tmp_path) == set()


@pytest.mark.parametrize("digits", [8, 20, 64])
def test_the_first_digits_of_the_digest_are_enough(site: Site, target: Path, digits: int) -> None:
    assert get(site.put("/file", CONTENT), target, sha256=DIGEST[:digits].upper()) == CONTENT


def test_the_wrong_file_is_an_error_with_both_digests(site: Site, target: Path) -> None:
    message = error_of(site.put("/file", CONTENT + b"x"), target)
    assert DIGEST in message
    assert hashlib.sha256(CONTENT + b"x").hexdigest() in message
    assert left_in(target.parent) == set()
    assert len(site.requests) == 1


def test_the_wrong_size_is_an_error(site: Site, target: Path) -> None:
    message = error_of(site.put("/file", CONTENT), target, sha256=None, size=len(CONTENT) + 1)
    assert "it has 10,240 bytes, not 10,241" in message


def test_a_missing_file_is_an_error(site: Site, target: Path) -> None:
    assert "HTTP 404: there is no such file" in error_of(site.url("/nowhere"), target)
    assert len(site.requests) == 1
    assert left_in(target.parent) == set()


@pytest.mark.parametrize("fault", ["status:500", "status:503", "reset:0", "cut:100", "reset:5000"])
def test_temporary_errors_are_retried(site: Site, target: Path, fault: str) -> None:
    site.faults = [fault, fault]
    assert get(site.put("/file", CONTENT), target) == CONTENT
    assert len(site.requests) == 3


def test_permanent_errors_are_not_retried_forever(site: Site, target: Path) -> None:
    site.faults = ["status:500"] * 9
    assert "HTTP 500" in error_of(site.put("/file", CONTENT), target)
    assert len(site.requests) == DOWNLOAD_TRIES.default


def test_a_transfer_that_is_always_cut_off_is_an_error(site: Site, target: Path) -> None:
    site.faults = ["cut:100"] * 5
    assert "cut off 10,140 bytes before the end" in error_of(site.put("/file", CONTENT), target, sha256=None)
    assert left_in(target.parent) == set()


def test_a_server_may_omit_the_length(site: Site, target: Path) -> None:
    site.faults = ["chunked"]
    assert get(site.put("/file", CONTENT), target) == CONTENT


def test_without_a_digest_every_attempt_starts_from_scratch(site: Site, target: Path) -> None:
    site.faults = ["cut:100"]
    assert get(site.put("/file", CONTENT), target, sha256=None) == CONTENT
    assert site.ranges == [None, None]


def test_the_next_attempt_resumes_where_the_last_one_stopped(site: Site, target: Path) -> None:
    site.faults = ["cut:100", "cut:200"]
    assert get(site.put("/file", CONTENT), target) == CONTENT
    assert site.ranges == [None, "bytes=100-", "bytes=300-"]
    assert site.sent == len(CONTENT)


def test_an_interrupted_download_is_resumed(site: Site, target: Path) -> None:
    content = CONTENT * 500
    digest = hashlib.sha256(content).hexdigest()
    url = site.put("/file", content)
    with pytest.raises(KeyboardInterrupt):
        fetch(url, target, sha256=digest, size=None, progress=Recorder(interrupt_at=1000))
    part = target.with_name("file.bin.part")
    assert left_in(target.parent) == {part.name}
    begun = part.stat().st_size
    assert 0 < begun < len(content)
    progress = Recorder()
    fetch(url, target, sha256=digest, size=None, progress=progress)
    assert target.read_bytes() == content
    assert site.ranges == [None, f"bytes={begun}-"]
    assert progress.bars == [("fetching file", len(content))]
    assert progress.steps == len(content)


def test_a_partial_file_of_another_version_costs_one_more_attempt(site: Site, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("file.bin.part").write_bytes(b"what was published before")
    assert get(site.put("/file", CONTENT), target) == CONTENT
    assert site.ranges == ["bytes=25-", None]
    assert left_in(target.parent) == {"file.bin"}


def test_a_file_on_the_hub_is_checked_against_the_hubs_digest(
    site: Site, other_site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", site.url(""))
    storage = other_site.put("/storage", CONTENT)
    site.redirects = {"/o/n/resolve/main/file": (storage, {"X-Linked-Etag": f'"{"0" * 64}"'})}
    assert f"its SHA-256 is {DIGEST}, not {'0' * 64}" in error_of("hf://o/n/file", target, sha256=None)
    site.redirects = {"/o/n/resolve/main/file": (storage, {"X-Linked-Etag": f'"{DIGEST}"'})}
    other_site.faults = ["cut:100"]
    assert get("hf://o/n/file", target, sha256=None) == CONTENT
    assert other_site.ranges[-2:] == [None, "bytes=100-"]


def test_a_file_on_the_hub_without_a_digest_is_never_resumed(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", site.url(""))
    site.put("/o/n/resolve/main/file", CONTENT)
    target.parent.mkdir()
    target.with_name("file.bin.part").write_bytes(b"what was published before")
    assert get("hf://o/n/file", target, sha256=None) == CONTENT
    assert site.ranges == ["bytes=25-", None]


def test_a_file_that_is_too_large_for_the_disk_is_not_downloaded(site: Site, target: Path) -> None:
    site.faults = [f"length:{10**18}"]
    message = error_of(site.put("/file", CONTENT), target)
    assert f"the disk is full: {target.parent} needs 1,000,000,000,000,000,000 bytes more and has " in message
    assert "ZOO_CACHE" in message


def test_on_a_full_disk_the_partial_file_is_kept(site: Site, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def append_little(file: FileIO, chunk: bytes) -> None:
        file.write(chunk[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(download, "_append", append_little)
        assert "needs 10,140 bytes more and has" in error_of(site.put("/file", CONTENT), target)
    assert get(site.url("/file"), target) == CONTENT
    assert site.ranges == [None, "bytes=100-"]


def test_a_folder_that_is_not_writable_is_an_error(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"no folder")
    message = error_of(site.put("/file", CONTENT), tmp_path / "file" / "target")
    assert f"{tmp_path / 'file'} cannot be written to" in message
    assert site.requests == []


@EXAMPLES
@given(
    begun=st.integers(0, len(CONTENT)),
    cuts=st.lists(st.tuples(st.sampled_from(["cut", "reset"]), st.integers(0, len(CONTENT))), max_size=2),
    supports_ranges=st.booleans(),
    damaged=st.booleans(),
)
def test_the_same_bytes_arrive_wherever_the_transfer_is_interrupted(
    site: Site, begun: int, cuts: list[tuple[str, int]], *, supports_ranges: bool, damaged: bool
) -> None:
    site.supports_ranges = supports_ranges
    site.faults = [f"{kind}:{at}" for kind, at in cuts]
    site.sent = 0
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "file.bin"
        target.with_name("file.bin.part").write_bytes(bytes(begun) if damaged else CONTENT[:begun])
        is_valid = not (damaged and any(CONTENT[:begun]))
        assert get(site.put("/file", CONTENT), target) == CONTENT
        assert left_in(target.parent) == {"file.bin"}
        if is_valid and supports_ranges and begun < len(CONTENT) and not any(kind == "reset" for kind, _ in cuts):
            assert site.sent == len(CONTENT) - begun
    site.faults = []


def test_sha256_of_hashes_the_bytes_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    assert sha256_of(tmp_path / "file") == DIGEST
