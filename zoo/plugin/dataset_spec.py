"""A named data set that a plugin or a registry.toml provides."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zoo.plugin.fields import URL, accepting_licence, check_when_made, is_count, is_text, matches, require
from zoo.plugin.weights_spec import SHA256

#: A prefix, a colon and a name, but not a URL.
SOURCE = re.compile(r"[a-z][a-z0-9_-]+:(?!//)\S+")
DATASET_NAME = re.compile(r"([a-z][a-z0-9_-]*/)?[A-Za-z0-9][A-Za-z0-9_.-]*")


@accepting_licence
@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec:
    """A named data set: an archive at ``url``, images that ``make`` generates, or an alias for a ``source``.

    Example:
        DatasetSpec(
            name="acme/pets",
            description="1,000 photos of pets",
            license="CC-BY-4.0",
            url="https://example.org/pets.zip",
        )

    Raises:
        PluginError: If a field has an invalid value.
    """

    #: Name of the data set, ``namespace/name``; without a namespace in a registry.toml.
    name: str
    #: Description of the data set on one line.
    description: str
    #: SPDX identifier of the images' license, or ``unknown``.
    license: str
    #: URL of a .zip or .tar archive, ``https://...``. Declare either this, ``make`` or ``source``.
    url: str | None = None
    #: SHA-256 of the archive, 64 lowercase hex digits.
    sha256: str | None = None
    #: Size of the archive in bytes.
    size: int | None = None
    #: Folder inside the archive that contains the split folders or the class folders.
    root: str = "."
    #: Function that takes an empty folder and writes images into it. It must write the same images every time.
    make: Callable[[Path], None] | None = None
    #: Source with a prefix, such as ``torchvision:Flowers102`` or ``hf:owner/name``.
    source: str | None = None
    #: Publication to cite, on one line.
    citation: str | None = None

    def __post_init__(self) -> None:
        check_when_made(check_dataset, self)


def check_dataset(spec: DatasetSpec) -> None:
    """Check a data set.

    Raises:
        PluginError: If a field has an invalid value.
    """
    require(
        spec,
        ("name", matches(DATASET_NAME, spec.name), "name or namespace/name, made of letters, digits, '_', '.' and '-'"),
        ("description", is_text(spec.description), "a one-line string"),
        ("license", is_text(spec.license), "an SPDX identifier, or 'unknown'"),
        ("root", is_text(spec.root), "a folder inside the archive"),
    )
    root = PurePosixPath(spec.root.replace("\\", "/"))
    is_inside = not (root.is_absolute() or ".." in root.parts or ":" in spec.root)
    is_web = spec.url is None or (matches(URL, spec.url) and spec.url.startswith("http"))
    origins = sum(value is not None for value in (spec.url, spec.make, spec.source))
    is_digest = spec.sha256 is None or (matches(SHA256, spec.sha256) and len(spec.sha256) == 64)
    require(
        spec,
        ("root", is_inside, "a folder inside the archive"),
        ("source", spec.source is None or matches(SOURCE, spec.source), "a prefix, a colon and a name, or None"),
        ("url", origins == 1, "set if make and source are None, and None otherwise"),
        ("root", spec.source is None or spec.root == ".", "'.' if source is set"),
        ("sha256", spec.source is None or spec.sha256 is None, "None if source is set"),
        ("citation", spec.citation is None or is_text(spec.citation), "a one-line string, or None"),
        ("url", is_web, "the https://... URL of an archive"),
        ("sha256", is_digest, "64 lowercase hex digits, or None"),
        ("size", spec.size is None or is_count(spec.size), "a positive number of bytes, or None"),
        ("make", spec.make is None or callable(spec.make), "a function that takes (folder), or None"),
    )
