"""Build the documentation as a site: ``python docs/site/build_site.py FOLDER``.

This needs the ``docs`` extra, and no network. Each warning is an error, such as a link to a page or a heading that does
not exist.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from markdown_pages import convert_page, find_title
from notebook_page import write_notebook
from python_reference import write_reference

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
#: Sections of the navigation and their folders. Pages without a folder are measurements.
SECTIONS = {
    "Tutorials": "tutorials", "How-to guides": "how-to", "Reference": "reference", "Explanation": "explanation",
    "Measurements": ".", "Decisions": "decisions", "Plugins": "plugins", "Project": "project",
}  # fmt: skip
_NOTEBOOK = "docs/tutorials/notebook.ipynb"


def list_pages() -> dict[str, str]:
    """Return the path of each page in the site, keyed by its path in the repository."""
    pages = {
        "README.md": "index.md",
        "CHANGELOG.md": "project/changelog.md",
        "CONTRIBUTING.md": "project/contributing.md",
    }
    pages |= {f"plugins/{path.parent.name}/README.md": f"plugins/{path.parent.name}.md" for path in _find("plugins/*")}
    for path in sorted((ROOT / "docs").rglob("*.md")):
        name = path.relative_to(ROOT).as_posix()
        pages[name] = name.removeprefix("docs/").replace("README.md", "index.md")
    return {**pages, _NOTEBOOK: "tutorials/notebook.md"}


def _find(folders: str) -> list[Path]:
    return sorted(ROOT.glob(f"{folders}/README.md"))


def build(output: Path, sources: Path) -> None:
    """Write the sources of the site, and build it into a new folder.

    Raises:
        SystemExit: If there is a warning.
    """
    write_sources(sources / "docs")
    settings = (HERE / "zensical.toml").read_text(encoding="utf-8")
    nav = write_nav(sources / "docs")
    (sources / "zensical.toml").write_text(settings.replace("[project]\n", f"[project]\n{nav}\n", 1), encoding="utf-8")
    run_zensical(sources)
    shutil.copytree(sources / "site", output, dirs_exist_ok=True)


def run_zensical(sources: Path) -> None:
    """Build the site in the folder with zensical.toml.

    Raises:
        SystemExit: If there is a warning.
    """
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(  # noqa: S603  # our command
        command, cwd=sources, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit((done.stdout + done.stderr).partition("Traceback")[0])


def write_sources(folder: Path) -> None:
    """Write all pages, pictures and styles into a folder."""
    pages = list_pages()
    for name, page in pages.items():
        path = folder / page
        path.parent.mkdir(parents=True, exist_ok=True)
        if name != _NOTEBOOK:
            path.write_text(convert_page(ROOT / name, pages, ROOT), encoding="utf-8")
    (folder / "tutorials" / "notebook.md").write_text(write_notebook(ROOT / _NOTEBOOK), encoding="utf-8")
    (folder / "reference" / "python.md").write_text(write_reference(), encoding="utf-8")
    shutil.copy(ROOT / _NOTEBOOK, folder / "tutorials")
    shutil.copytree(ROOT / "docs" / "pictures", folder / "pictures")
    shutil.copy(HERE / "site.css", folder)


def write_nav(folder: Path) -> str:
    """Return the navigation in TOML. The pages have the order of the links in the README."""
    order = [line.partition("](")[2] for line in (folder / "index.md").read_text(encoding="utf-8").split(")")]
    sections = [_format_item("Home", json.dumps("index.md"))]
    for title, name in SECTIONS.items():
        paths = [path.relative_to(folder).as_posix() for path in (folder / name).glob("*.md")]
        # The first page of a section is its index, then come the pages in the README, and then all others.
        paths = sorted(paths, key=lambda path: ("index" not in path, order.index(path) if path in order else 999, path))
        sections.append(_format_item(title, f"[{', '.join(_list_items(folder, paths))}]"))
    return f"nav = [{', '.join(sections)}]"


def _list_items(folder: Path, paths: list[str]) -> Iterator[str]:
    for path in paths:
        if path != "index.md":
            yield _format_item(find_title((folder / path).read_text(encoding="utf-8")), json.dumps(path))


def _format_item(title: str, value: str) -> str:
    return f"{{ {json.dumps(title, ensure_ascii=False)} = {value} }}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} FOLDER")
    with TemporaryDirectory() as temporary:
        build(Path(sys.argv[1]), Path(temporary))
