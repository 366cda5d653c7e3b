"""A kind of data source that a plugin adds: what ``--data acme:NAME`` means."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.plugin.fields import check_when_made, is_text, matches, require

#: At least two characters, because a single letter before a colon is a Windows drive.
PREFIX = re.compile(r"[a-z][a-z0-9_-]+")
#: zoo's own prefixes, and URL schemes.
RESERVED = ("hf", "torchvision", "http", "https", "file")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """A kind of data source: ``--data PREFIX:NAME`` calls ``fetch`` with ``NAME``.

    Example:
        SourceSpec(prefix="acme", description="an album of the Acme camera", fetch=fetch_album)

    Raises:
        PluginError: If a field has an invalid value.
    """

    #: The text before the colon: the plugin's namespace, optionally followed by ``-`` and another word.
    prefix: str
    #: One-line description of what such a value refers to.
    description: str
    #: Function that takes the name and a folder in the cache folder, and returns a folder, a table or an archive, or
    #: yields ``(path, label)`` or ``(path, label, split)`` for each image. The folder is empty on the first call. Files
    #: that the function writes into it are kept for later calls.
    fetch: Callable[[str, Path], Path | Iterable[tuple[Any, ...]]]

    def __post_init__(self) -> None:
        check_when_made(check_source, self)


def check_source(spec: SourceSpec) -> None:
    """Check a kind of data source.

    Raises:
        PluginError: If a field has an invalid value.
    """
    require(
        spec,
        ("prefix", matches(PREFIX, spec.prefix), "two or more lower-case letters, digits, '_' or '-'"),
        ("prefix", spec.prefix not in RESERVED, f"none of {', '.join(RESERVED)}, which have a meaning of their own"),
        ("description", is_text(spec.description), "a one-line string"),
        ("fetch", callable(spec.fetch), "a function that takes (name, folder)"),
    )
