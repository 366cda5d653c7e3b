"""Text stays text."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from zoo.runs.report.html import Html, join, tag


def test_text_is_escaped_and_markup_is_not() -> None:
    assert tag("p", "a < b & c", tag("b", "<i>")) == "<p>a &lt; b &amp; c<b>&lt;i&gt;</b></p>"


def test_attributes_are_escaped_and_spelt_as_in_html() -> None:
    made = tag("p", class_="a", aria_label='"><script>', title=None)
    assert made == '<p class="a" aria-label="&quot;&gt;&lt;script&gt;"></p>'


def test_markup_that_is_put_into_a_text_is_text_again() -> None:
    bold = tag("b", "x")
    assert join([f"see {bold}"]) == "see &lt;b&gt;x&lt;/b&gt;"


@pytest.mark.parametrize("character", ["\0", "\x1b", "\x85", "\udcff", "\uffff"])
def test_characters_that_no_page_can_hold_are_replaced(character: str) -> None:
    made = tag("p", f"a{character}b")
    assert ET.fromstring(made).text == "a\ufffdb"
    made.encode("utf-8")


def test_an_element_without_end_tag_has_none() -> None:
    assert tag("meta", charset="utf-8") == '<meta charset="utf-8"/>'
    assert isinstance(tag("p"), Html)
