"""The wording of everything that zoo can print, in one file, so that a change of words is read in a review."""

from __future__ import annotations

from pathlib import Path

from messages import list_messages

LISTED = Path(__file__).parent / "messages.txt"


def test_messages_are_those_that_were_reviewed() -> None:
    """After a change of wording, read the difference and run ``python tests/props/messages.py >tests/messages.txt``."""
    assert list_messages() == LISTED.read_text(encoding="utf-8")
