"""Escape untrusted text, such as names and messages, so that it is safe in each kind of output.

Class names, file names, messages from plugins and servers, and the strings in run.json can contain any character. A
control character can rewrite the terminal, a line break forges a line, and the program that opens the file would run
markup or a formula. All human-readable output goes through one of these functions:

==========  ==========================================================================================
lines       `make_printable`, for each line that zoo prints on stdout or stderr
HTML, SVG   `make_printable`, for each value in a template; jinja2 escapes the markup
Markdown    `escape_markdown` for text within a line, and `format_code` for code
CSV         `escape_csv`, for each cell
run.json    `escape_json`, which keeps the value of each string
==========  ==========================================================================================

JSON on stdout needs no function of this module, because ``json.dumps`` escapes everything except printable ASCII.
"""

from __future__ import annotations

import io
import re
import sys
import unicodedata

#: Control characters, characters that change the direction of the text around them, line and paragraph separators,
#: surrogates (bytes of a file name that is not valid UTF-8), and noncharacters, which XML cannot represent.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
#: Characters that have a meaning within a line of Markdown. An underscore between two letters or digits has none.
_MARKDOWN = re.compile(r"[\\`*\[\]<>|~&$#]|(?<![^\W_])_|_(?![^\W_])")
#: The beginning of a formula, for spreadsheets that remove spaces or accept the wide forms of these characters.
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]")  # noqa: RUF001  # the wide forms are meant
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


#: The zero-width non-joiner and joiner. Persian and Indic words contain them, and they change only how letters connect.
_JOINERS = "\u200c\u200d"


def is_printable(name: str) -> bool:
    """Return whether all characters of a name are printable. A zero-width joiner is, between two letters."""
    return name.isprintable() or all(
        char.isprintable() or (char in _JOINERS and _is_letter(name[at - 1 : at]) and _is_letter(name[at + 1 : at + 2]))
        for at, char in enumerate(name)
    )


def _is_letter(char: str) -> bool:
    """Return whether a character is a letter, or a mark that belongs to one; an empty string is neither."""
    return bool(char) and unicodedata.category(char)[0] in "LM"


def make_printable(text: str) -> str:
    """Escape the characters that a terminal would interpret or could not display. The result is one line."""
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


def escape_markdown(text: str) -> str:
    """Escape text that is placed within a line of Markdown, such as a heading or a cell of a table."""
    return _MARKDOWN.sub(r"\\\g<0>", make_printable(text))


def format_code(text: str) -> str:
    """Format text as code in Markdown. Nothing in the text can end the code. Code in a table must not contain ``|``."""
    code = make_printable(text)
    fence = "`" * (max(map(len, re.findall("`+", code)), default=0) + 1)
    # Markdown removes one space from both sides, so that the code can begin or end with a backtick or a space.
    space = " " if not code.strip() or code[0] in "` " or code[-1] in "` " else ""
    return f"{fence}{space}{code}{space}{fence}"


def escape_csv(text: str) -> str:
    """Escape the text of a cell. Text that a spreadsheet would run as a formula is prefixed with an apostrophe."""
    cell = make_printable(text)
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def escape_json(text: str) -> str:
    """Escape the same characters in a JSON document, where they can only be in strings. The content stays the same."""
    return _UNSAFE.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)


def escape_unencodable() -> None:
    """Make stdout and stderr escape the characters that their encoding cannot represent, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
