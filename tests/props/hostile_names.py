"""Names that a terminal, a browser, a spreadsheet or Markdown would interpret, made up from a seed."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

#: Number of names that the tests try. CONTRIBUTING.md has the command that tries many.
COUNT = int(os.environ.get("ZOO_HOSTILE_NAMES", "50"))
#: Number of names that are tried together, such as the classes of one run.
BATCH = 25
BATCHES = range(-(-COUNT // BATCH))

#: Parts that are printable, so that they may be in the name of a class folder.
PRINTABLE = (
    "=1+1", "=cmd|' /C calc'!A0", "+1", "-1", "-0.5", "@A1", "\uff1d", " =1", "'=1", '"=1"', ",=1", ";=1",
    "<script>alert(1)</script>", "<img src=x onerror=x>", "</td></table>", "</title><b>", "&lt;b&gt;", "&#10;", "' \"",
    "|", "| a | b |", "|---|", "`", "``", "```", "# x", "[x](http://x)", "![x](x)", "**", "__", "_", "~~", "$x$", "\\",
    "{{ facts }}", "{% raw %}", "%s", "{0}", "{classes}", "[red]", ":boom:", "--json", "../x", "C:\\x", "cat", "猫 ",
    "]]>", "<![CDATA[", "<!--", "-->", "y" * 40,
)  # fmt: skip
#: Parts that are not printable: escape sequences, control characters, line breaks, bidirectional and other odd ones.
CONTROL = (
    "\x1b[31m", "\x1b]0;title\x07", "\x1b[2J", "\x1b[1A\x1b[2K", "\x07", "\x08", "\r", "\n", "\r\n", "\n\n# x\n\n",
    "\n```\n", "\n| a |\n|---|\n", "\n---\n", "\n<script>\n", "\n=1", "\t", "\t=1", "\r=1", "\x0b", "\x0c", "\x1c",
    "\x7f", "\x85", "\x9b31m", "\x9d0;x\x9c", "\u2028", "\u2029", "\u202e", "\u202a", "\u2066", "\u2069", "\u200f",
    "\u061c", "\ufffe", "\uffff", "\udcff", "\udc1b", "\ud800",
)  # fmt: skip
#: Parts that no bytes of a file name are decoded to.
LONE = ("\udc1b", "\ud800")


def list_texts(seed: int, count: int = BATCH) -> list[str]:
    """List distinct hostile texts, such as names of classes in a run.json that a stranger has edited."""
    return [*_draw(random.Random(seed), (*PRINTABLE, *CONTROL), count)]


def list_file_names(seed: int, count: int = BATCH) -> list[str]:
    """List distinct hostile names of files. They must be shorter than 255 bytes and not contain slashes."""
    parts = [part.replace("/", "\\") for part in (*PRINTABLE, *CONTROL) if part not in LONE]
    return [*_draw(random.Random(seed), parts, count)]


def list_run_names(seed: int, count: int = BATCH) -> list[str]:
    """List hostile names of run folders. safetensors opens a file only if its path is valid UTF-8."""
    return [name.replace("\udcff", "\x7f") for name in list_file_names(seed, count)]


def list_class_names(seed: int, count: int = BATCH) -> list[str]:
    """List distinct hostile names of class folders, which zoo accepts only if they are printable."""
    parts = [part.replace("/", "\\") for part in PRINTABLE]
    return [*_draw(random.Random(seed), parts, count)]


def _draw(rng: random.Random, parts: tuple[str, ...] | list[str], count: int) -> Iterator[str]:
    """Draw texts of one to four parts. Each ends with a number, so that they differ, and none is a hidden file."""
    for number in range(count):
        text = "".join(rng.choice(parts) for _ in range(rng.randint(1, 4))) + rng.choice(("", " ", "x"))
        yield f"{'x' if text.startswith('.') else ''}{text}{number}"
