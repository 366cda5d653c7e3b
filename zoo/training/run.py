"""A finished run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Run(os.PathLike[str]):
    """A finished run."""

    #: The run folder.
    path: Path
    #: Contents of run.json, or of folds.json.
    facts: Mapping[str, Any]

    def __fspath__(self) -> str:
        return str(self.path)
