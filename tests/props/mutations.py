"""Random changes to documents and to the bytes of files, as damage or an attacker would make them."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

#: Values of every kind, and of the sizes and signs that break code.
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**70), 0.5, -0.0, 1e308, "", "x", "\x1b[31m", "\udcff", "a" * 10_000,
    "mlp:9999999,9999999", "../../etc/passwd", [], [None], [[]], {}, {"": 0}, list(range(1000)),
)  # fmt: skip


def mutate(document: Any, seed: int) -> Any:
    """Return a copy of a document in which one to three places are changed, removed or added."""
    rng, changed = random.Random(seed), copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        places = list(_list_places(changed))
        parent, key = rng.choice(places)
        action = rng.choice(["replace", "replace", "remove", "add"])
        if action == "remove":
            del parent[key]
        elif action == "add" and isinstance(parent, dict):
            parent[f"unknown{rng.random()}"] = copy.deepcopy(rng.choice(ODD))
        else:
            parent[key] = copy.deepcopy(rng.choice(ODD))
        if not changed:
            break
    return changed


#: Byte strings that break parsers.
ODD_BYTES: tuple[bytes, ...] = (
    b"", b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b'"', b"\n", b"[" * 10_000, b'{"a":' * 10_000, b"1" * 10_000,
    b"a." * 10_000, b"NaN", b"nan", b"inf", b"1e999", b"\\u0000", b"\\ud800", b" " * 100_000, b"[a]\n" * 1000,
)  # fmt: skip


def mutate_bytes(content: bytes, seed: int) -> bytes:
    """Return a copy of a file's content in which one to three places are replaced, removed, repeated or inserted."""
    rng = random.Random(seed)
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(content) + 1)
        end = min(len(content), start + rng.choice([0, 1, 1, 8, 100]))
        inserted = rng.choice([*ODD_BYTES, rng.randbytes(1), content[start:end] * 2, content[:end]])
        content = content[:start] + inserted + content[end:]
    return content


def _list_places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each container and key in a document."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield node, key
        yield from _list_places(child)
