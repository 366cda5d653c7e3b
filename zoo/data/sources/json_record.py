"""Parse a JSON object that describes an image."""

from __future__ import annotations

import json
from typing import Any


def parse_record(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: If it is not JSON, or an object has a key twice. Python would silently use the last one.
        RecursionError: If it is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_make_object)


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice")
    return found
