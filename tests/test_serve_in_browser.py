"""The page of ``zoo serve`` in a real browser: it shows the classes and the saliency of an image, and runs no markup.

These tests need Chromium.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="uvicorn is not installed")

from browser import CHROMIUM, Browser, browsing
from quick_runs import LEARNS
from served import Served, serving
from zoo.registry.registry import Registry
from zoo.runs.classifier import Classifier, load
from zoo.training.finetune import finetune

pytestmark = [pytest.mark.breadth, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]

#: Names that would run a script, hide what follows, and need more room than a phone has.
NAMES = ("<img src=x onerror=alert(1)>\u202ered", "blue" * 40)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with browsing(tmp_path / "profile") as browser:
        yield browser


@pytest.fixture
def served(registry: Registry, photos: Path, tmp_path: Path) -> Iterator[Served]:
    run = finetune("net", photos, output=tmp_path / "my run", registry=registry, **LEARNS)
    found = load(run.path, device="cpu", registry=registry)
    hostile = Classifier(found._loaded, replace(found.header, classes=NAMES), found._folder)
    with serving(hostile, registry) as served:
        yield served


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(("scheme", "background"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 27)")])
def test_the_page_shows_the_classes_and_the_saliency(  # noqa: PLR0917  # fixtures and parameters
    browser: Browser, served: Served, photos: Path, tmp_path: Path, width: int, scheme: str, background: str
) -> None:
    browser.open(f"http://127.0.0.1:{served.port}/", width=width, scheme=scheme)
    browser.choose("#file", min(photos.rglob("*.png")))
    browser.wait("!document.getElementById('result').hidden && document.getElementById('map').naturalWidth > 0")
    browser.wait("document.getElementById('image').naturalWidth > 0")
    browser.take_screenshot(tmp_path / "page.png")
    assert browser.run("document.title") == "my run"
    shown = browser.run("[...document.querySelectorAll('#classes th')].map(cell => cell.textContent)")
    assert sorted(shown) == sorted(name.replace("\u202e", "\\u202e") for name in NAMES)
    percent = browser.run("[...document.querySelectorAll('#classes td')].map(cell => cell.textContent)")
    assert sum(float(text.rstrip("%")) for text in percent) == pytest.approx(100, abs=0.2)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("getComputedStyle(document.body).backgroundColor") == background
    assert browser.problems == []


def test_a_file_that_is_not_an_image_shows_why(browser: Browser, served: Served, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not an image", encoding="utf-8")
    browser.open(f"http://127.0.0.1:{served.port}/", width=390, scheme="light")
    browser.choose("#file", tmp_path / "notes.txt")
    browser.wait("!document.getElementById('error').hidden")
    assert browser.run("document.getElementById('error').textContent").startswith("cannot use the image: ")
    assert browser.run("document.getElementById('result').hidden")


def test_an_image_that_is_dropped_is_classified(browser: Browser, served: Served, photos: Path) -> None:
    browser.open(f"http://127.0.0.1:{served.port}/", width=1280, scheme="light")
    data = {"items": [], "files": [str(min(photos.rglob("*.png")))], "dragOperationsMask": 1}
    # Chromium discards a drop if the page's answer to the drag has not arrived yet, so the image is dropped again then.
    browser.run("window.drops = 0; document.addEventListener('drop', () => drops++, true)")
    for number in range(20):
        for kind in ("dragEnter", "dragOver", "dragOver", "drop"):
            browser.call("Input.dispatchDragEvent", type=kind, x=400 + number, y=200, data=data)
        if browser.run("new Promise(done => setTimeout(() => done(drops > 0), 200))"):
            break
    browser.wait("!document.getElementById('result').hidden")
    assert browser.run("document.querySelectorAll('#classes tr').length") == 2
    assert browser.problems == []
