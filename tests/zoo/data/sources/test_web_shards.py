"""Shards at web addresses, fetched from a server on loopback."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from made_shards import write_shard
from zoo.data.image_bytes import read_image
from zoo.data.listing import Listing
from zoo.data.source import list_images
from zoo.data.sources.web_archive import parse_web
from zoo.errors import DataError, DownloadError
from zoo.registry.data_options import DataOptions

NAMES = ("train-00.tar", "train-01.tar", "val-00.tar")
PATTERN = "/a/{train-00,train-01,val-00}.tar"


@pytest.fixture
def shards(tmp_path: Path) -> dict[str, bytes]:
    """The content of three shards."""
    for number, name in enumerate(NAMES):
        samples = {f"{label}{number}": {"jpg": f"{label}{number}".encode(), "cls": label.encode()} for label in "ab"}
        write_shard(tmp_path / "shards" / name, samples)
    return {name: (tmp_path / "shards" / name).read_bytes() for name in NAMES}


@pytest.fixture
def url(site: Any, shards: dict[str, bytes]) -> str:
    """The address of all three shards."""
    for name, content in shards.items():
        site.put(f"/a/{name}", content)
    address: str = site.url(PATTERN)
    return address


@pytest.fixture
def list_(cache: Path, names: Any, progress: Any) -> Any:
    assert cache
    return lambda value: list_images(value, DataOptions.parse(), registry=names, progress=progress)


def rows_of(listing: Listing) -> list[tuple[str, str, str, bytes]]:
    return [(file.split, file.class_name, file.name, read_image(file)) for file in listing.files]


def digest_of(shards: dict[str, bytes]) -> str:
    """Return what `sha256sum *.tar | sha256sum` prints."""
    lines = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(shards.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def test_fetched_shards_are_read_as_those_on_this_disk(
    url: str, list_: Any, tmp_path: Path, shards: dict[str, bytes]
) -> None:
    fetched, local = list_(url), list_(tmp_path / "shards")
    assert rows_of(fetched) == rows_of(local)
    assert len(fetched.files) == 6
    assert fetched.source == {"url": url, "sha256": digest_of(shards)}


def test_each_shard_is_fetched_once(url: str, list_: Any, site: Any, shards: dict[str, bytes]) -> None:
    for value in (url, url, f"{url}#sha256={digest_of(shards)}"):
        list_(value)
    assert len(site.requests) == 6  # Each shard is fetched once, and its version is checked once.


def test_the_measured_sha256_is_shown(url: str, list_: Any, progress: Any, shards: dict[str, bytes]) -> None:
    list_(url)
    assert any(line.startswith("note:") and f"{url}#sha256={digest_of(shards)}" in line for line in progress.lines)


def test_other_shards_than_the_sha256_says_are_refused(url: str, list_: Any) -> None:
    with pytest.raises(DataError, match=f"the SHA-256 [0-9a-f]{{64}}, not {'0' * 64}; to fetch them again, remove"):
        list_(f"{url}#sha256={'0' * 64}")


def test_after_an_interruption_only_the_missing_shards_are_fetched(
    url: str, list_: Any, site: Any, shards: dict[str, bytes]
) -> None:
    site.put("/a/val-00.tar", b"<html>please log in</html>")
    with pytest.raises(DataError, match=r"val-00.tar' is not a complete shard"):
        list_(url)
    site.put("/a/val-00.tar", shards["val-00.tar"])
    assert len(list_(url).files) == 6
    assert [request.path[3:] for request in site.requests] == [*NAMES, "val-00.tar", *NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_every_shard_is_read_to_its_end_before_it_is_kept(
    url: str, list_: Any, site: Any, shards: dict[str, bytes], name: str
) -> None:
    site.put(f"/a/{name}", shards[name][:2048])
    with pytest.raises(DataError, match=f"{name}' is not a complete shard"):
        list_(url)
    site.put(f"/a/{name}", shards[name])
    assert len(list_(url).files) == 6


@pytest.mark.parametrize("header", ["ETag", "Last-Modified", "Content-Length"])
def test_a_shard_that_changed_on_the_server_before_the_last_one_was_fetched_is_fetched_again(
    url: str, list_: Any, site: Any, shards: dict[str, bytes], header: str
) -> None:
    first = "/a/train-00.tar"
    site.headers[first] = {header: "old"} if header != "Content-Length" else {}
    site.put("/a/val-00.tar", b"the shards are being published")
    with pytest.raises(DataError, match=r"val-00.tar' is not a complete shard"):
        list_(url)
    site.headers[first] = {header: "new"} if header != "Content-Length" else {}
    site.put(first, shards["train-00.tar"] + bytes(0 if site.headers[first] else 512))
    site.put("/a/val-00.tar", shards["val-00.tar"])
    with pytest.raises(DataError, match=r"1 of 3 shards changed on the server .*: 'train-00.tar'; try again"):
        list_(url)
    assert len(list_(url).files) == 6


def test_a_server_that_reports_another_etag_for_the_same_time_has_the_same_shard(
    url: str, list_: Any, site: Any, shards: dict[str, bytes]
) -> None:
    date = {"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
    site.headers = {f"/a/{name}": {**date, "ETag": "one"} for name in NAMES}
    site.put("/a/val-00.tar", b"no shard")
    with pytest.raises(DataError, match="not a complete shard"):
        list_(url)
    site.headers = {f"/a/{name}": {**date, "ETag": "two"} for name in NAMES}
    site.put("/a/val-00.tar", shards["val-00.tar"])
    assert len(list_(url).files) == 6


def test_the_stored_versions_are_removed_when_all_shards_are_there(url: str, list_: Any, cache: Path) -> None:
    list_(url)
    (folder,) = (cache / "data").iterdir()
    assert {path.name for path in folder.iterdir()} == {*NAMES, "SHA256SUMS"}


def test_a_shard_that_the_server_lacks_is_an_error(list_: Any, site: Any, url: str) -> None:
    with pytest.raises(DownloadError, match=r"train-02.tar: .*404"):
        list_(site.url("/a/train-{00..02}.tar"))
    assert url


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("https://host/{a,b}/train-{0..3}.tar", "in the name of a .tar file only"),
        ("https://host/train-{0..3}.tar.gz", "in the name of a .tar file only"),
        ("https://host/photos-{0..3}.zip", "in the name of a .tar file only"),
        ("https://host/train-0.tar?part={0..3}", "in the name of a .tar file only"),
        ("https://me:secret@host/train-{0..3}.tar", "user name or a password"),
    ],
)
def test_unusable_patterns_are_refused_before_anything_is_fetched(value: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_web(value)


@pytest.mark.parametrize("range_", ["3..0", "0..999999999"])
def test_an_unusable_range_is_refused_before_anything_is_fetched(list_: Any, site: Any, range_: str) -> None:
    with pytest.raises(DataError, match="range"):
        list_(site.url(f"/a/train-{{{range_}}}.tar"))
    assert site.requests == []


def test_a_query_is_that_of_every_shard(list_: Any, site: Any, shards: dict[str, bytes], url: str) -> None:
    assert len(list_(f"{url}?v=1").files) == 6
    assert {request.partition("?")[2] for request in map(str, site.requests)} != {""}
    assert shards


def test_shards_are_not_run_as_commands(list_: Any) -> None:
    with pytest.raises(DataError, match="no source pipe:"):
        list_("pipe:curl https://host/train-000.tar")
