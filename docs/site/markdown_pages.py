r"""Turn a page that GitHub shows into one that the site shows.

The site uses Python-Markdown, whose tables keep the backslash of ``\|`` in code. Links lead to other places: the README
is the first page, and source files are not part of the site.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

_FENCE = re.compile(r" *(`{3,}|~{3,})")
_LINK = re.compile(r"(?P<mark>!?)\[(?P<text>[^\]]*)\]\((?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")
#: Code in one pair of backticks that are not escaped.
_CODE = re.compile(r"(?<![\\`])`([^`]+)`(?!`)")
_FLAG = re.compile(r"(?<= )-[^ ]*")


def convert_page(path: Path, pages: Mapping[str, str], root: Path) -> str:
    """Return a page for the site.

    Args:
        path: Path of the page in the repository.
        pages: The path of each page in the site, keyed by its path in the repository.
        root: Root of the repository.
    """
    here = path.relative_to(root).as_posix()

    def convert_link(found: re.Match[str]) -> str:
        target = Path(os.path.normpath(path.parent / found["path"]))
        name = target.relative_to(root).as_posix()
        name = name if name in pages or not target.is_dir() else f"{name}/README.md"
        if name in pages:
            new = pages[name]
        elif name.startswith("docs/"):
            new = name.removeprefix("docs/")
        else:
            return found["text"]  # a source file
        relative = os.path.relpath(new, Path(pages[here]).parent)
        return f"{found['mark']}[{found['text']}]({relative}{found['anchor'] or ''})"

    return convert_lines(path.read_text(encoding="utf-8"), convert_link)


def convert_lines(text: str, convert_link: Callable[[re.Match[str]], str] | None = None) -> str:
    """Convert the links and tables of a page, but not its code blocks."""
    parts: list[str] = []
    lines: list[str] = []
    fence = ""

    def flush() -> None:
        joined = "".join(lines)
        parts.append(_LINK.sub(convert_link, joined) if convert_link else joined)
        lines.clear()

    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if fence or mark:
            flush()
            parts.append(line)
            if mark:
                fence = "" if fence and mark[1].startswith(fence) else fence or mark[1]
        else:
            lines.append(_CODE.sub(_format_code, line) if line.startswith("|") else line)
    flush()
    return "".join(parts)


def _format_code(found: re.Match[str]) -> str:
    """Format code in a table, with pipes, and without line breaks inside the flags of a command."""
    if "|" not in found[1] and not _FLAG.search(found[1]):
        return found[0]
    code = html.escape(found[1].replace("\\|", "|"), quote=False).replace("|", "&#124;")
    return f"<code>{_FLAG.sub(lambda flag: f'<span>{flag[0]}</span>', code)}</code>"


def find_title(text: str) -> str:
    """Return the first heading of a page, without the marks of code."""
    found = re.search(r"^# (.+)$", text, flags=re.MULTILINE)
    assert found, text[:100]
    return found[1].replace("`", "")
