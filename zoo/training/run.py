"""A finished run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from zoo.files.schema import Epoch
from zoo.progress.printable import make_printable
from zoo.runs.folder import HISTORY, REPORT, RunFolder


@dataclass(frozen=True, repr=False)
class Run(os.PathLike[str]):
    """A finished run, or a cross-validation."""

    #: The run folder.
    path: Path
    #: Contents of run.json, or of folds.json.
    facts: Mapping[str, Any]

    @property
    def history(self) -> list[Epoch]:
        """One dictionary per epoch, as in history.jsonl; ``pandas.DataFrame(run.history)`` makes a table of it.

        Raises:
            RunError: If the file is missing or damaged. A cross-validation has a history in each of its folds.
        """
        return RunFolder(self.path).read_lines(HISTORY, Epoch)

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        shown = "".join(f", {name} accuracy {value:.3f}" for name, value in self._list_accuracies().items())
        return make_printable(f"Run({str(self.path)!r}{shown})")

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        accuracies = self._list_accuracies().items()
        rows = "".join(f"<tr><td>{escape(name)} accuracy</td><td>{value:.3f}</td></tr>" for name, value in accuracies)
        page = escape(make_printable(str(self.path / REPORT)))
        return f'<table><tr><td>run</td><td><a href="{page}">{page}</a></td></tr>{rows}</table>'

    def _list_accuracies(self) -> dict[str, float]:
        measured = {"val": "val", "test": "test", "out-of-fold": "out_of_fold"}
        return {name: self.facts[key]["accuracy"] for name, key in measured.items() if self.facts.get(key)}
