"""A real report in a real browser: no console messages, no horizontal scrolling, no overlapping labels.

These tests need Chromium, and real photos and weights; see CONTRIBUTING.md.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from zoo.training.finetune import finetune

pytestmark = pytest.mark.breadth

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ASSETS = os.environ.get("ZOO_TEST_ASSETS")

#: Measures the page, and writes the results into it. The page itself allows no scripts.
SCRIPT = """
<script>
addEventListener("load", () => {
  const root = document.documentElement;
  const overlaps = [];
  for (const svg of document.querySelectorAll("svg")) {
    const boxes = [...svg.querySelectorAll("text")].map(text => [text.textContent, text.getBoundingClientRect()]);
    boxes.forEach(([one, a], index) => boxes.slice(index + 1).forEach(([other, b]) => {
      const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (width > 1 && height > 4) overlaps.push(`${one}/${other}`);
    }));
  }
  const found = {
    width: innerWidth,
    content: root.scrollWidth,
    background: getComputedStyle(document.body).backgroundColor,
    images: [...document.images].filter(image => image.complete && image.naturalWidth > 0).length,
    overlaps,
  };
  parent.postMessage(JSON.stringify(found), "*");
});
</script>
"""
#: A page with the report in a frame, because a window has at least 500 pixels.
FRAME = """<!DOCTYPE html>
<meta name="color-scheme" content="light dark">
<script>addEventListener("message", event => { document.title = event.data; });</script>
<iframe src="report.html" style="width: %dpx; height: 1200px; border: 0"></iframe>
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a short run on hymenoptera with real weights."""
    if not CHROMIUM:
        pytest.skip("Chromium is not installed")
    if not ASSETS:
        pytest.skip("ZOO_TEST_ASSETS is not set")
    run = finetune(
        "mobilenet_v2",
        Path(ASSETS) / "data" / "hymenoptera_data",
        weights=Path(ASSETS) / "weights" / "torchvision_mobilenet_v2.safetensors",
        output=tmp_path_factory.mktemp("report") / "run",
        epochs=2,
    )
    return (run.path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(("scheme", "background"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 27)")])
def test_the_report_is_readable(report: str, tmp_path: Path, width: int, scheme: str, background: str) -> None:
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report)
    (tmp_path / "report.html").write_text(page.replace("</body>", f"{SCRIPT}</body>"), encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME % width, encoding="utf-8")
    done = subprocess.run(
        [
            str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1400,1300", "--enable-logging=stderr",
            f"--blink-settings=preferredColorScheme={int(scheme == 'light')}", "--dump-dom", frame.as_uri(),
        ],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    title = re.search("<title>(.*?)</title>", done.stdout)
    assert title, done.stdout
    found = json.loads(html.unescape(title[1]))
    assert found["width"] == width
    assert found["content"] <= width
    assert found["background"] == background
    assert found["overlaps"] == []
    assert found["images"] == report.count("<img ")


def test_the_page_itself_allows_no_scripts_and_loads_no_files(report: str) -> None:
    assert "<script" not in report
    assert "default-src 'none'" in report
    assert all(source.startswith("data:image/jpeg;base64,") for source in re.findall(r'src="([^"]*)"', report))
