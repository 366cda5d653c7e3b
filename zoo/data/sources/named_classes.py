"""Recognize file names that contain the class, such as ``cat.0.jpg``, where the class folders are missing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from zoo.data.sources.entries import find_unsupported

#: A word and a number. The message suggests the same pattern, so it finds the classes of the names in the message.
PATTERN = r"^(\D+?)[ ._(-]*\d"


def suggest_label_from(paths: Iterable[Path]) -> str:
    """Return the end of a message, which suggests ``label_from``; it is empty unless the names begin with words."""
    examples: dict[str, str] = {}
    for path in paths:
        match = re.search(PATTERN, path.name)
        if (
            match
            and match[1].isascii()
            and match[1][:2].isalpha()
            and len(match[1]) > 1
            and find_unsupported(path) is None
        ):
            examples.setdefault(match[1], path.name)
    # A camera gives all images the same word, such as IMG.
    if len(examples) < 2:
        return ""
    first, second, *_ = examples.values()
    return f". If the file names contain the classes, as in {first!r} and {second!r}, set `label_from` to '{PATTERN}'"
