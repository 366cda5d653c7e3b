"""Write documents as TOML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def write_toml(document: Mapping[str, Any]) -> bytes:
    """Return a TOML file with one line for each key of a document. Values that TOML lacks make the file invalid."""
    return "".join(f"{json.dumps(key)} = {_write(value)}\n" for key, value in document.items()).encode()


def _write(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_write(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_write, value)) + "]"
    # Except for null, JSON writes all other values as TOML does.
    return json.dumps(value)
