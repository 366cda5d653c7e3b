"""The digest that a file must have."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

Algorithm = Literal["sha256", "sha1", "md5"]

#: Names of the algorithms in messages, strongest first.
NAMES: dict[Algorithm, str] = {"sha256": "SHA-256", "sha1": "SHA-1", "md5": "MD5"}


@dataclass(frozen=True, slots=True)
class Digest:
    """The digest that a file must have, in hexadecimal."""

    algorithm: Algorithm
    #: All hex digits, or the first ones.
    value: str

    @property
    def name(self) -> str:
        """The name of the algorithm in messages."""
        return NAMES[self.algorithm]

    @property
    def is_weak(self) -> bool:
        """Whether somebody can make two different files with the same digest."""
        return self.algorithm != "sha256"

    def find_mismatch(self, path: Path) -> str | None:
        """Return how the digest of a file differs, as a clause, or None if it matches. Raises OSError."""
        found = hash_file(path, self.algorithm)
        if found.startswith(self.value.lower()):
            return None
        return f"its {self.name} is {found}, not {self.value}"


def hash_file(path: Path, algorithm: Algorithm) -> str:
    """Return the digest of a file in lowercase hex digits. Raises OSError."""
    # Without this argument, Python refuses weak algorithms on systems that follow FIPS.
    start = partial(hashlib.new, algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        return hashlib.file_digest(file, start).hexdigest()
