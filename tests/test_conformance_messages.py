"""docs/reference/conformance-messages.md lists every message of the conformance kit, with what to do."""

from __future__ import annotations

from conformance_messages import PAGE, find_unlisted_modules, list_messages, read_advice, write_page


def test_the_page_lists_every_message_in_the_order_of_the_source() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == write_page(page), "run `python tests/props/conformance_messages.py`, and fill in the empty cells"


def test_every_message_has_an_advice() -> None:
    advice = read_advice(PAGE.read_text(encoding="utf-8"))
    assert [message for message, what in advice.items() if not what.strip()] == []


def test_every_module_of_the_kit_with_messages_has_a_section() -> None:
    assert find_unlisted_modules() == []


def test_messages_are_read_from_the_source() -> None:
    messages = list_messages("zoo/testing/checks/blocks.py")
    assert "it has only one block; declare its stages, or declare freezing in unsupported, with the reason." in messages
