"""Images on the web, fetched from a server on loopback."""

from __future__ import annotations

import os
import signal
import zipfile
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from zoo.errors import DataError, OptionError
from zoo.runs.classifier import Classifier


@pytest.fixture
def url(site: Any, images: list[Path]) -> str:
    return str(site.put("/photos/0.png", images[0].read_bytes()))


def test_a_url_gives_the_prediction_of_the_file(classifier: Classifier, images: list[Path], url: str) -> None:
    (found,) = classifier.predict(url, fetch=True)
    assert found.top == classifier.predict(images[0])[0].top
    assert found.url == found.name == found.to_json()["path"] == url


def test_nothing_is_stored(classifier: Classifier, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    classifier.predict(url, fetch=True)
    assert not (tmp_path / "cache").exists()


def test_without_fetch_a_url_is_an_error_even_among_others(
    classifier: Classifier, images: list[Path], url: str, site: Any
) -> None:
    with pytest.raises(DataError, match="is the URL of an image; add `fetch` to fetch it"):
        classifier.iter_predict([images[0], url])
    assert not site.requests


def test_urls_need_no_suffix(classifier: Classifier, images: list[Path], site: Any) -> None:
    site.put("/download", images[1].read_bytes())
    (found,) = classifier.predict(site.url("/download?id=1"), fetch=True)
    assert found.top == classifier.predict(images[1])[0].top


def test_bad_urls_are_rows_and_the_others_go_on(classifier: Classifier, site: Any, url: str) -> None:
    site.put("/page.jpg", b"<html>not found</html>")
    bad = {
        site.url("/gone.jpg"): "cannot be fetched: HTTP 404",
        site.url("/page.jpg"): "HTML",
        "http://192.0.2.1/a.jpg": "plain http",
        "https://[/a.jpg": "not a URL",
        "https:///a.jpg": "cannot be fetched",
        "https://host name/a.jpg": "cannot be fetched",
    }
    first, *rows, last = classifier.predict([url, *bad, url], fetch=True)
    assert first.label == last.label is not None
    for row, (address, reason) in zip(rows, bad.items(), strict=True):
        assert row.name == address
        assert reason in (row.error or "")


@pytest.mark.parametrize("login", ["name:secret", "secret", "name:sec@ret:secret", "[name:secret"])
def test_a_password_in_a_url_is_refused_and_not_repeated(classifier: Classifier, login: str) -> None:
    (found,) = classifier.predict(f"https://{login}@host/a.jpg?size=@2", fetch=True)
    assert found.error
    assert found.name == found.url == "https://***@host/a.jpg?size=@2"
    assert str(found.path) == "***@host/a.jpg"
    assert "secret" not in repr(found)
    with pytest.raises(DataError, match="is the URL of an image") as caught:
        classifier.predict(f"https://{login}@host/a.jpg")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("fault", ["ok", "chunked"])
def test_an_image_above_the_limit_is_a_row(
    classifier: Classifier, site: Any, url: str, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("ZOO_MAX_IMAGE_BYTES", "20")
    site.faults.append(fault)
    (found,) = classifier.predict(url, fetch=True)
    assert "ZOO_MAX_IMAGE_BYTES" in (found.error or "")


def test_an_endless_image_is_a_row(
    classifier: Classifier, site: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_MAX_IMAGE_BYTES", "100000")
    site.faults.append("endless")
    (found,) = classifier.predict(url, fetch=True)
    assert "ZOO_MAX_IMAGE_BYTES" in (found.error or "")


def test_a_lost_connection_is_tried_again(
    classifier: Classifier, site: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.files.retry.sleep", lambda _seconds: None)
    site.faults += ["reset:5"]
    assert classifier.predict(url, fetch=True)[0].label
    assert len(site.requests) == 2


def test_a_server_that_keeps_failing_is_a_row_after_two_attempts(
    classifier: Classifier, site: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.files.retry.sleep", lambda _seconds: None)
    site.faults += ["status:503"] * 9
    (found,) = classifier.predict(url, fetch=True)
    assert found.error == "cannot be fetched: HTTP 503: Service Unavailable"
    assert len(site.requests) == 2


@pytest.mark.parametrize("seconds", [6, 300, 86400])
def test_a_server_that_asks_for_a_long_wait_is_a_row_at_once(
    classifier: Classifier, site: Any, url: str, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    monkeypatch.setattr("zoo.files.retry.sleep", pytest.fail)
    site.faults.append(f"busy:{seconds}")
    (found,) = classifier.predict(url, fetch=True)
    reason = f"HTTP 503: Service Unavailable; the server asks to wait {seconds:,} seconds; try again later"
    assert found.error == f"cannot be fetched: {reason}"
    assert len(site.requests) == 1


@pytest.mark.parametrize("count", [1, 3])
def test_ctrl_c_does_not_wait_for_the_server(classifier: Classifier, site: Any, url: str, count: int) -> None:
    site.faults += ["hold:0"] * count

    def interrupt() -> None:
        while not site.requests:
            site.released.wait(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = Thread(target=interrupt)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  # The thread must not interrupt the lines before.
        thread.start()
        classifier.predict([url] * count, fetch=True)
    thread.join()
    assert site.sent == 0  # The server has not answered any request.


def test_offline_no_request_is_sent(
    classifier: Classifier, site: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    (found,) = classifier.predict(url, fetch=True)
    assert "ZOO_OFFLINE is set" in (found.error or "")
    assert not site.requests


def test_the_url_of_an_archive_is_still_a_data_set(
    classifier: Classifier, site: Any, images: list[Path], tmp_path: Path, url: str
) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(images[0], "blue/0.png")
        archive.write(images[1], "blue/1.png")
    packed = site.put("/photos.zip", (tmp_path / "photos.zip").read_bytes())
    assert len(classifier.predict([packed, url], fetch=True)) == 3


def test_the_features_of_a_url_are_not_computed(classifier: Classifier, url: str) -> None:
    with pytest.raises(DataError, match="download it yourself"):
        classifier.embed(url)


def test_a_web_image_can_be_adapted_to(classifier: Classifier, images: list[Path], url: str) -> None:
    (found,) = classifier.predict(url, fetch=True, adapt=True)
    assert found.top == classifier.predict(images[0], adapt=True)[0].top


def test_columns_still_have_no_effect_on_a_url(classifier: Classifier, url: str) -> None:
    with pytest.raises(OptionError):
        classifier.predict(url, fetch=True, columns="image=path,label=x,weight=y")
