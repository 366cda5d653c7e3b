from __future__ import annotations

import json
import sys
import unicodedata

import pytest
from markdown_it import MarkdownIt

from zoo.progress.printable import escape_csv, escape_json, escape_markdown, format_code, is_printable, make_printable

#: The bidirectional classes of characters that embed, override or isolate text.
EMBEDDING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
ALL = "".join(map(chr, range(sys.maxunicode + 1)))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\nb", "a\\nb"),
        ("\ud800", "\\ud800"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("東\u3000京 \u0645\u06cc\u200c\u062e \u00e9\u00a0!", "東\u3000京 \u0645\u06cc\u200c\u062e \u00e9\u00a0!"),
        ("C:\\new", "C:\\new"),
    ],
)
def test_control_characters_are_escaped_and_every_script_is_kept(text: str, shown: str) -> None:
    assert make_printable(text) == shown


def test_exactly_the_unsafe_characters_of_unicode_are_escaped() -> None:
    unsafe = {
        char
        for char in ALL
        if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} or unicodedata.bidirectional(char) in EMBEDDING
    }
    marks = {"\u061c", "\u200e", "\u200f"}
    assert {char for char in ALL if make_printable(char) != char} == unsafe | marks | {"\ufffe", "\uffff"}


def test_json_stays_the_same_document() -> None:
    document = {"name": "\x1b\x7f\x9b\u202e\ud800 猫", "line": "a\nb"}
    text = escape_json(json.dumps(document, ensure_ascii=False, indent=2))
    assert json.loads(text) == document
    assert make_printable(text.replace("\n", "")) == text.replace("\n", "")
    assert "猫" in text


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("cat", "cat"),
        ("=1+1", "'=1+1"),
        ("@x", "'@x"),
        ("+x", "'+x"),
        ("-x", "'-x"),
        (" =x", "' =x"),
        ("\uff1dx", "'\uff1dx"),
        ("\t=x", "\\t=x"),
        ("-1", "-1"),
        ("+0.5", "+0.5"),
        ("-1e3", "-1e3"),
        ("-1+1", "'-1+1"),
        ("-inf", "'-inf"),
        ("a\nb", "a\\nb"),
        ("", ""),
    ],
)
def test_a_cell_is_never_a_formula_and_a_number_stays_a_number(text: str, cell: str) -> None:
    assert escape_csv(text) == cell


@pytest.mark.parametrize(
    "text", ["a_b", "_a_", "*a*", "[a](b)", "<b>", "&lt;", "a|b", "~~a~~", "`a`", "a\\*", "$a$", "# a", "a (b) - c!"]
)
def test_markdown_shows_the_text_as_it_is(text: str) -> None:
    (_, inline, _) = MarkdownIt("commonmark").parse(f"x {escape_markdown(text)}")
    assert "".join(child.content for child in inline.children or ()) == f"x {text}"


def test_names_with_underscores_and_licenses_are_readable_in_the_source_of_markdown() -> None:
    assert escape_markdown("IMAGENET1K_V1 CC-BY-NC-4.0") == "IMAGENET1K_V1 CC-BY-NC-4.0"


@pytest.mark.parametrize("text", ["a", "`", "``", "`a", "a`", "a`b``c", " a ", "a|b", "<b>", "\\"])
def test_code_in_markdown_is_one_code_with_the_text(text: str) -> None:
    (_, inline, _) = MarkdownIt("commonmark").parse(f"x {format_code(text)} y")
    assert [(child.type, child.content) for child in inline.children or ()] == [
        ("text", "x "), ("code_inline", text), ("text", " y"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["می\u200cخوببم", "क्\u200dष", "ශ්\u200dරී", "plain", ""])
def test_a_joiner_between_letters_is_printable_and_printed_as_it_is(name: str) -> None:
    assert is_printable(name)
    assert make_printable(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "\u200cب",
        "ب\u200c",
        "ب\u200c\u200cب",
        "ب \u200dب",
        "1\u200c2",
        "\u200d",
        "ب\u200bب",
        "ب\u200eب",
        "a\u202eb",
        "a\n",
    ],
)
def test_other_invisible_characters_are_not_printable(name: str) -> None:
    assert not is_printable(name)
