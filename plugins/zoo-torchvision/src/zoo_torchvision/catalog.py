"""Facts from torchvision, read from catalog.json without importing torchvision."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from zoo.plugin import NameNotFound

#: The catalog. make_catalog.py writes it and documents its content.
CATALOG = Path(__file__).with_name("catalog.json")


@cache
def load_catalog() -> dict[str, Any]:
    """Read catalog.json."""
    catalog: dict[str, Any] = json.loads(CATALOG.read_text(encoding="utf-8"))
    return catalog


def get_facts(name: str) -> dict[str, Any]:
    """Return the facts about a network. ``name`` has no namespace."""
    facts: dict[str, Any] = load_catalog()["backbones"][name]
    return facts


def get_weights_facts(name: str, tag: str | None) -> dict[str, Any]:
    """Return the facts about one set of weights, or about the default weights if ``tag`` is None.

    Raises:
        NameNotFound: If the network has no weights with this tag.
    """
    listed = {weights["tag"]: weights for weights in get_facts(name)["weights"]}
    found: dict[str, Any] | None = listed.get(tag or next(iter(listed)))
    if found is None:
        raise NameNotFound(f"torchvision/{name} has no weights {tag!r}; it has {', '.join(listed)}.")
    return found
