"""The site builds without warnings, shows all pages as GitHub does, and loads nothing from elsewhere."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import build_site
import python_reference
import zoo
from hostile_names import BATCH, BATCHES, list_file_names, list_texts
from markdown_pages import convert_lines
from printed import check_lines
from zoo.progress.printable import escape_markdown, make_printable
from zoo.testing.results import markdown_page

pytest.importorskip("zensical", reason="zensical is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MARKDOWN = MarkdownIt("commonmark").enable("table")
#: Elements that must be the same on the site as on GitHub.
COMPARED = {"ul", "ol", "li", "table", "tr", "td", "h1", "h2", "h3", "h4", "pre", "strong", "em", "img"}
#: Attributes with which a page loads a file.
LOADING = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "srcset"}
PLAIN = [f"plain{number}" for number in range(BATCH)]


class Tags(HTMLParser):
    """The tags of a page, or of its text, with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def count(self) -> Counter[str]:
        return Counter(tag for tag, _ in self.found if tag in COMPARED)


def read_text(page: str) -> str:
    """Return the part of a page of the site that shows its text."""
    found = re.search(r"<article[^>]*>(.*)</article>", page, flags=re.DOTALL)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(scope="module")
def site(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("site")
    build_site.build(output, sources)
    return output


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, str]:
    """The HTML of all pages, keyed by their paths."""
    found = {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    del found["404.html"]
    return found


def test_every_page_is_on_the_site_and_in_the_navigation(pages: dict[str, str]) -> None:
    expected = {page.replace(".md", ".html") for page in build_site.list_pages().values()} | {"reference/python.html"}
    assert pages.keys() == expected
    linked = {attributes.get("href", "") for tag, attributes in Tags(pages["index.html"]).found if tag == "a"}
    assert sorted(page for page in expected if not {page, f"./{page}"} & linked) == []


def test_the_site_has_the_lists_tables_and_code_that_github_shows(pages: dict[str, str], sources: Path) -> None:
    different = {}
    for name, page in pages.items():
        source = (sources / "docs" / name.replace(".html", ".md")).read_text(encoding="utf-8")
        shown, expected = Tags(read_text(page)).count(), Tags(MARKDOWN.render(source)).count()
        if shown != expected:
            different[name] = (shown - expected, expected - shown)
    assert different == {}


def test_no_page_loads_anything_from_elsewhere(pages: dict[str, str]) -> None:
    loaded = {
        str(attributes.get(LOADING[tag]))
        for page in pages.values()
        for tag, attributes in Tags(page).found
        if tag in LOADING and attributes.get("rel") not in {"canonical", "next", "prev"}
    }
    assert len(loaded) > 3
    assert [source for source in loaded if "//" in source] == []


@pytest.mark.parametrize("link", ["missing.md", "index.md#missing"])
def test_a_broken_link_fails_the_build(link: str, tmp_path: Path) -> None:
    write_small_site(tmp_path, {"index.md": f"# Home\n\n[x]({link})\n"})
    with pytest.raises(SystemExit, match="does not exist"):
        build_site.run_zensical(tmp_path)


def write_small_site(folder: Path, texts: dict[str, str]) -> None:
    (folder / "docs").mkdir()
    for name, text in texts.items():
        (folder / "docs" / name).write_text(text, encoding="utf-8")
    shutil.copy(build_site.HERE / "zensical.toml", folder)
    shutil.copy(build_site.HERE / "site.css", folder / "docs")


def test_code_in_a_table_has_pipes_and_whole_flags() -> None:
    assert convert_lines(r"| `zoo x --label-from '(a\|b)'` | `c` |") == (
        "| <code>zoo x <span>--label-from</span> '(a&#124;b)'</code> | `c` |"
    )


def test_escaped_backticks_in_a_table_are_not_code() -> None:
    row = f"| {escape_markdown('` --json`')} | {escape_markdown('`|`')} |"
    assert convert_lines(row) == row


# Names of files and classes on generated pages, such as the reasons of failed checks.


def write_hostile(names: list[str]) -> str:
    """Return a page that shows names in every way that a generated page does."""
    table = markdown_page._write_table(("check", "reason"), [("x", escape_markdown(name)) for name in names])
    lines = "\n".join(f"- {escape_markdown(name)} is the name of a file" for name in names)
    code = "\n".join(make_printable(name).replace("```", "` ` `") for name in names)
    return convert_lines(f"# Names\n\n{table}\n\n{lines}\n\n```text\n{code}\n```\n")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The built pages: one with plain names, and one for each batch of hostile names."""
    folder = tmp_path_factory.mktemp("hostile")
    texts = {"index.md": write_hostile(PLAIN)}
    texts |= {f"texts-{seed}.md": write_hostile(list_texts(seed)) for seed in BATCHES}
    texts |= {f"files-{seed}.md": write_hostile(list_file_names(seed)) for seed in BATCHES}
    write_small_site(folder, texts)
    build_site.run_zensical(folder)
    return {name: (folder / "site" / name.replace(".md", ".html")).read_text(encoding="utf-8") for name in texts}


@pytest.mark.parametrize("kind", ["texts", "files"])
@pytest.mark.parametrize("seed", BATCHES)
def test_hostile_names_leave_the_tags_of_a_page_unchanged(hostile: dict[str, str], kind: str, seed: int) -> None:
    page, plain = (read_text(hostile[name]) for name in (f"{kind}-{seed}.md", "index.md"))
    check_lines(page, tabs="\t")
    shown, expected = (
        [(tag, sorted(attributes)) for tag, attributes in Tags(text).found if tag != "span"] for text in (page, plain)
    )
    assert shown == expected


def test_a_name_that_is_not_escaped_is_noticed(tmp_path: Path) -> None:
    write_small_site(tmp_path, {"index.md": "# Names\n\n- <script>alert(1)</script> is the name of a file\n"})
    build_site.run_zensical(tmp_path)
    page = read_text((tmp_path / "site" / "index.html").read_text(encoding="utf-8"))
    assert "script" in {tag for tag, _ in Tags(page).found}


# The reference of the Python API.


def test_the_reference_has_every_public_name_and_argument() -> None:
    reference = python_reference.write_reference()
    assert [name for name in zoo.__all__ if f"## zoo.{name}\n" not in reference] == []
    assert "- `backbone`: Name as shown by" in reference
    assert "- `epochs` (`int`): Number of epochs." in reference
    assert "### zoo.surgery.remove" in reference


def test_pictures_are_small_and_shown() -> None:
    pictures = sorted((build_site.ROOT / "docs" / "pictures").iterdir())
    assert [path.name for path in pictures if path.stat().st_size > 100_000] == []
    shown = "".join(path.read_text(encoding="utf-8") for path in (build_site.ROOT / "docs").rglob("*.md"))
    shown += (build_site.HERE / "notebook_page.py").read_text(encoding="utf-8")
    assert [path.name for path in pictures if path.stem not in shown] == []


# The pages in a browser.

#: Measures the page, and sends the results to the page with the frame.
SCRIPT = """
<script>
addEventListener("load", () => setTimeout(() => {
  const text = document.querySelector("article").getBoundingClientRect();
  const found = {
    width: innerWidth,
    content: document.documentElement.scrollWidth,
    text: [text.left, text.right],
    background: getComputedStyle(document.body).backgroundColor,
    images: [...document.images].every(image => image.complete && image.naturalWidth > 0),
  };
  parent.postMessage(JSON.stringify(found), "*");
}, 500));
</script>
"""
FRAME = """<!DOCTYPE html>
<meta name="color-scheme" content="light dark">
<script>addEventListener("message", event => {
  if (typeof event.data === "string") document.title = event.data;
});</script>
<iframe src="%s" style="width: %dpx; height: 1200px; border: 0"></iframe>
"""
VIEWED = ("index", "tutorials/notebook", "tutorials/classic", "reference/settings", "reference/python", "conformance")


@pytest.fixture(scope="module")
def measured_site(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if not CHROMIUM:
        pytest.skip("Chromium is not installed")
    copy = tmp_path_factory.mktemp("measured") / "site"
    shutil.copytree(site, copy)
    for name in VIEWED:
        path = copy / f"{name}.html"
        path.write_text(path.read_text(encoding="utf-8").replace("</body>", f"{SCRIPT}</body>"), encoding="utf-8")
    return copy


@pytest.mark.breadth
@pytest.mark.parametrize("name", VIEWED)
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_fits_the_window(measured_site: Path, tmp_path: Path, name: str, width: int, scheme: str) -> None:
    frame = measured_site / f"{width}-{scheme}.html"
    frame.write_text(FRAME % (f"{name}.html", width), encoding="utf-8")
    done = subprocess.run(
        [
            str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1400,1300", "--enable-logging=stderr", "--virtual-time-budget=5000",
            f"--blink-settings=preferredColorScheme={int(scheme == 'light')}", "--dump-dom", frame.as_uri(),
        ],
        capture_output=True, text=True, check=True, timeout=120, env=os.environ,
    )  # fmt: skip
    title = re.search("<title>(.*?)</title>", done.stdout)
    assert title, done.stdout + done.stderr
    found = json.loads(html.unescape(title[1]))
    assert found["width"] == width
    assert found["content"] <= width
    assert 0 <= found["text"][0] < found["text"][1] <= width
    assert found["images"]
    red = int(re.findall(r"\d+", found["background"])[0])
    assert (red > 200) == (scheme == "light")
