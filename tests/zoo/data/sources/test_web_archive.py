"""Archives at web addresses, fetched from a server on loopback."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from zoo.data.dataset import Images, open_images
from zoo.data.source import locate
from zoo.data.sources.cached import RULES
from zoo.data.sources.web_archive import parse_web
from zoo.errors import DataError, DownloadError
from zoo.registry.data_options import DataOptions


def pack(shade: int = 0) -> bytes:
    """Return a .zip archive with four images of two classes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, name in enumerate(("ant/0.png", "ant/1.png", "bee/0.png", "bee/1.png")):
            image = io.BytesIO()
            Image.new("RGB", (4, 4), (shade, number, 0)).save(image, "PNG")
            archive.writestr(f"top/{name}", image.getvalue())
    return file.getvalue()


@pytest.fixture
def open_(cache: Path, names: Any, progress: Any) -> Any:
    assert cache
    return lambda value: open_images(value, DataOptions.parse(), registry=names, progress=progress)


def count(images: Images) -> int:
    return len(images.train) + len(images.val)


def test_an_archive_with_a_sha256_is_fetched_once_and_recorded(site: Any, open_: Any, cache: Path) -> None:
    content = pack()
    digest = hashlib.sha256(content).hexdigest()
    url = site.put("/a/photos.zip", content)
    for _ in range(2):
        images = open_(f"{url}?v=1#sha256={digest.upper()}")
        assert count(images) == 4
        assert images.classes == ("ant", "bee")
        assert images.source == {"url": f"{url}?v=1", "sha256": digest}
    assert len(site.requests) == 1
    assert [path.name for path in (cache / "data").iterdir()] == [f"{digest}-{RULES}"]


@pytest.mark.parametrize("name", ["a" * 400, "\u00e9t\u00e9", "\u732b" * 100])
def test_an_archive_may_have_a_long_or_non_ascii_name(site: Any, open_: Any, name: str) -> None:
    site.put(f"/{quote(name)}.zip", pack())
    assert count(open_(site.url(f"/{name}.zip"))) == 4


def test_a_local_copy_of_an_archive_shares_its_cached_folder(site: Any, open_: Any, tmp_path: Path) -> None:
    content = pack()
    (tmp_path / "photos.zip").write_bytes(content)
    first = open_(tmp_path / "photos.zip")
    assert first.source is None
    second = open_(f"{site.url('/photos.zip')}#sha256={hashlib.sha256(content).hexdigest()}")
    assert second.fingerprint == first.fingerprint
    assert site.requests == []


def test_without_a_sha256_the_measured_one_is_recorded_and_shown(site: Any, open_: Any, progress: Any) -> None:
    content = pack()
    digest = hashlib.sha256(content).hexdigest()
    url = site.put("/photos.zip", content)
    for _ in range(2):
        progress.lines.clear()
        assert open_(url).source == {"url": url, "sha256": digest}
        assert any(line.startswith("note:") and f"{url}#sha256={digest}" in line for line in progress.lines)
    assert len(site.requests) == 1
    assert count(open_(f"{url}#sha256={digest}")) == 4


def test_another_file_than_the_sha256_says_is_refused(site: Any, open_: Any, cache: Path) -> None:
    url = site.put("/photos.zip", pack(shade=9))
    with pytest.raises(DownloadError, match=r"its SHA-256 is .*, not "):
        open_(f"{url}#sha256={hashlib.sha256(pack()).hexdigest()}")
    assert list((cache / "data").iterdir()) == []


def test_an_error_page_instead_of_an_archive_is_not_kept(site: Any, open_: Any, cache: Path) -> None:
    url = site.put("/photos.zip", b"<html>please log in</html>")
    with pytest.raises(DataError, match="not a supported archive"):
        open_(url)
    assert list((cache / "data").iterdir()) == []
    site.put("/photos.zip", pack())
    assert count(open_(url)) == 4


def test_nothing_is_fetched_offline_unless_it_is_in_the_cache(
    site: Any, open_: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = site.put("/photos.zip", pack())
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(DownloadError, match="ZOO_OFFLINE is set"):
        open_(url)
    monkeypatch.delenv("ZOO_OFFLINE")
    open_(url)
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    assert count(open_(url)) == 4


def test_plain_http_is_refused_except_from_this_machine(cache: Path, names: Any, progress: Any) -> None:
    assert cache
    with pytest.raises(DownloadError, match="is plain http, which can be changed in transit; use https"):
        locate(parse_web("http://example.invalid/photos.zip"), registry=names, progress=progress)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("https://host/table.csv", "only archives can be fetched"),
        ("https://host/table.PARQUET?download=1", "only archives can be fetched"),
        ("https://host/ant.jpg", "only archives can be fetched"),
        ("https://host/a.zip#", "write sha256= and the 64 hex digits"),
        ("https://host/a.zip#sha256=abc", "write sha256= and the 64 hex digits"),
        (f"https://host/a.zip#md5={'0' * 64}", "write sha256= and the 64 hex digits"),
        ("https://host", "not the URL of an archive"),
        ("https://", "not the URL of an archive"),
        ("https:///a.zip", "not the URL of an archive"),
        ("https://host/a b.zip", "not the URL of an archive"),
        ("https://host/a\n.zip", "not the URL of an archive"),
        ("https://[::1/a.zip", "not a URL"),
    ],
)
def test_unusable_addresses_are_refused_before_anything_is_fetched(value: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_web(value)


@pytest.mark.parametrize("rest", ["host/a.zip", "host/a.zip#md5=0", "host/a b.zip", "host", "[::1/a.zip", "host/a.png"])
def test_a_password_in_an_address_is_refused_and_not_repeated(rest: str) -> None:
    with pytest.raises(DataError, match="user name or a password") as caught:
        parse_web(f"https://me:secret@{rest}")
    assert "secret" not in str(caught.value)
