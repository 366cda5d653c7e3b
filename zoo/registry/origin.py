"""How a network that no plugin provides was built. A run records it, but never builds the network by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Origin:
    """How the user's own network was built."""

    #: Name of the network's class.
    type: str
    #: Path of its head.
    head: str
    #: File and function that built it, and the SHA-256 of the file; None for a module that was passed from Python.
    file: str | None = None
    function: str | None = None
    sha256: str | None = None
    #: Prefixes of the parameter names of each block, from input to output.
    blocks: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def describe(self) -> str:
        """Return a description for messages."""
        if self.file is None or self.sha256 is None:
            return f"a {self.type} that was passed from Python"
        return f"{self.function} in {self.file} (SHA-256 {self.sha256[:16]}...)"

    def to_json(self) -> dict[str, Any]:
        """Return all fields, for run.json and the header of model.safetensors."""
        return asdict(self)
