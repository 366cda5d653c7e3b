"""What must be true of everything that zoo prints, in terms of what a terminal, spreadsheet or browser does with it."""

from __future__ import annotations

import csv
import re
import unicodedata
from html.parser import HTMLParser
from itertools import groupby

from markdown_it import MarkdownIt
from markdown_it.token import Token

#: Bidirectional classes of the characters that embed, override or isolate text.
_EMBEDDING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_MARKS = "\u200e\u200f\u061c"


def check_lines(text: str, *, tabs: str = "") -> None:
    """Check that there are no control characters other than the line feeds that zoo prints."""
    assert {char for char in text if _is_control(char)} - {"\n", *tabs} == set()


def check_csv(text: str, columns: int) -> None:
    """Check that every row is complete and no cell is a formula."""
    check_lines(text)
    rows = list(csv.reader(text.splitlines()))
    assert {len(row) for row in rows} == {columns}
    formulas = {cell for row in rows for cell in row if cell.strip()[:1] in {"=", "+", "-", "@", "\uff1d"}}
    assert [cell for cell in formulas if not re.fullmatch(r"[+-]\d+(\.\d+)?", cell)] == []


def check_html(text: str, plain: str) -> None:
    """Check that a page has the same tags and attributes as a page in which all texts are plain."""
    check_lines(text)
    assert _list_tags(text) == _list_tags(plain)
    assert "<script" not in text


def check_markdown(text: str, plain: str) -> None:
    """Check that a page has the same structure as a page in which all texts are plain."""
    check_lines(text)
    assert _outline(text) == _outline(plain)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(" ".join([tag, *(name for name, _ in attrs)]))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(f"/{tag}")


def _list_tags(text: str) -> list[str]:
    parser = _Tags()
    parser.feed(text)
    return parser.found


def _outline(text: str) -> list[str]:
    """Return the types of all parts of a page in Markdown; adjacent texts and escapes are one text."""
    markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    return [kind for token in markdown.parse(text) for kind in _list_types(token)]


def _list_types(token: Token) -> list[str]:
    inner = [child.type.removesuffix("_special") for child in token.children or ()]
    return [token.type, *(kind for kind, _ in groupby(inner))]


def _is_control(char: str) -> bool:
    return (
        unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}
        or unicodedata.bidirectional(char) in _EMBEDDING
        or char in _MARKS
    )
