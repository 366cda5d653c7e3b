"""HTML and SVG elements whose content is escaped unless it is markup already."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

#: Elements that have no end tag; closed all the same, so that the page can be read as XML too.
VOID = frozenset({"meta"})

# Control characters, lone surrogates (which stand for the bytes of a file name that is no UTF-8) and noncharacters:
# neither HTML nor XML has a way to write them.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Html(str):
    """Markup; every other string is text and is escaped, so nobody has to remember to."""

    __slots__ = ()


def tag(name: str, /, *content: str, **attributes: str | float | None) -> Html:
    """Return an element.

    Args:
        name: of the element.
        content: Html, or text, which is escaped.
        attributes: ``class_`` is ``class``, ``stroke_width`` is ``stroke-width``; None: no such attribute.
    """
    start = name + "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{start}/>" if name in VOID else f"<{start}>{join(content)}</{name}>")


def join(parts: Iterable[str]) -> Html:
    """Return the parts behind one another, each Html or text, which is escaped."""
    return Html("".join(part if isinstance(part, Html) else _escape(part) for part in parts))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], class_: str | None = None) -> Html:
    """Return a table; the first cell of each row names the row. It scrolls by itself where the page is narrow."""
    head = tag("thead", tag("tr", *(tag("th", text, scope="col") for text in heads)))
    body = tag("tbody", *(_row(row) for row in rows))
    # Whoever has no mouse scrolls with the arrow keys, for which it must take the focus.
    return tag("div", tag("table", head, body, class_=class_), class_="scroll", tabindex="0")


def pairs(rows: Iterable[tuple[str, str]]) -> Html:
    """Return a list of names and what they are."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in rows))


def section(title: str, *content: str) -> Html:
    """Return a section of the page."""
    return tag("section", tag("h2", title), *content)


def fold(summary: str, *content: str) -> Html:
    """Return content that shows when its summary is clicked."""
    return tag("details", tag("summary", summary), *content)


def note(*content: str) -> Html:
    """Return a remark."""
    return tag("p", *content, class_="note")


def _row(cells: Sequence[str]) -> Html:
    return tag("tr", tag("th", tag("span", cells[0]), scope="row"), *(tag("td", cell) for cell in cells[1:]))


def _escape(text: str) -> str:
    return html.escape(_UNWRITABLE.sub("\ufffd", text))
