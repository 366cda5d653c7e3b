"""A named data set that a plugin, or a registry.toml, brings."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zoo.plugin.fields import URL, accepting_licence, check_when_made, is_count, is_text, matches, refuse
from zoo.plugin.weights_spec import SHA256

DATASET_NAME = re.compile(r"([a-z][a-z0-9_-]*/)?[A-Za-z0-9][A-Za-z0-9_.-]*")


@accepting_licence
@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec:
    """A named data set: fetched from ``url``, or drawn by ``make`` into an empty folder."""

    #: ``namespace/name``, or a bare name where it comes from a registry.toml.
    name: str
    description: str
    #: SPDX identifier, or ``unknown``.
    license: str
    #: ``https://...`` of a .zip or .tar archive.
    url: str | None = None
    #: Hex SHA-256 of the archive, 64 digits.
    sha256: str | None = None
    #: Size of the archive in bytes.
    size: int | None = None
    #: The folder in the archive that holds the splits or the classes.
    root: str = "."
    #: Fills the folder that it is given with images; the same ones every time.
    make: Callable[[Path], None] | None = None

    def __post_init__(self) -> None:
        check_when_made(check_dataset, self)


def check_dataset(spec: DatasetSpec) -> None:
    """Check a data set."""
    if not matches(DATASET_NAME, spec.name):
        refuse(spec, "name", spec.name, "name or namespace/name, of letters, digits, '_', '.' and '-'")
    for field in ("description", "license", "root"):
        if not is_text(getattr(spec, field)):
            refuse(spec, field, getattr(spec, field), "a text")
    root = PurePosixPath(spec.root.replace("\\", "/"))
    if root.is_absolute() or ".." in root.parts or ":" in spec.root:
        refuse(spec, "root", spec.root, "a folder inside the archive")
    if (spec.url is None) == (spec.make is None):
        refuse(spec, "url", spec.url, "given, or make must be, and not both")
    if spec.url is not None and not (matches(URL, spec.url) and spec.url.startswith("http")):
        refuse(spec, "url", spec.url, "https://... of an archive")
    if spec.sha256 is not None and not (matches(SHA256, spec.sha256) and len(spec.sha256) == 64):
        refuse(spec, "sha256", spec.sha256, "64 lower-case hex digits, or None")
    if spec.size is not None and not is_count(spec.size):
        refuse(spec, "size", spec.size, "a number of bytes, or None")
    if spec.make is not None and not callable(spec.make):
        refuse(spec, "make", spec.make, "a function of (folder)")
