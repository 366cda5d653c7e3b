"""The run folder: its name, its files, and writing them so that each is whole or absent."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import RunError

MODEL, RUN, HISTORY, REPORT, CARD = "model.safetensors", "run.json", "history.jsonl", "report.html", "README.md"


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds one run."""

    path: Path

    @classmethod
    def claim(cls, output: Path | None, backbone: str, data: str) -> RunFolder:
        """Create the folder ``output``, or ``runs/BACKBONE-DATA-N`` with the first N that is free.

        Raises:
            RunError: ``output`` holds a run or other files, or cannot be created.
        """
        if output is None:
            name = re.sub(r"\.(zip|tgz|tar(\.\w+)?)$", "", Path(data).name or data)
            stem = f"{_plain(backbone.rpartition('/')[2])}-{_plain(name)}"
            return cls._claim_numbered(Path("runs"), stem)
        cls.refuse_used(output)
        folder = _create(output, exist_ok=True)
        try:
            # Of two runs that want the same folder at once, one gets it.
            (folder / HISTORY).open("x").close()
        except FileExistsError as error:
            raise RunError(f"{output} was taken by another run just now; choose another --output.") from error
        return cls(folder)

    @staticmethod
    def refuse_used(output: Path | None) -> None:
        """Raise RunError when ``output`` holds anything already."""
        if output is not None and output.exists() and (not output.is_dir() or any(output.iterdir())):
            what = "is a file" if not output.is_dir() else "holds other files"
            what = "holds another run" if (output / MODEL).exists() else what
            raise RunError(f"{output} {what}; choose another --output, or remove it first.")

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Return the folder of a run, given as the folder or as a file in it.

        Raises:
            RunError: there is no finished run.
        """
        folder = path.parent if path.name in (MODEL, RUN) else path
        if not (folder / MODEL).is_file():
            raise RunError(f"{path} is no run: it holds no {MODEL}. Give the folder that `zoo finetune` printed last.")
        return cls(folder)

    def write_text(self, name: str, text: str) -> None:
        """Write a file; it appears complete under its name or not at all."""
        self.write(name, lambda path: _write_durably(path, text))

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file."""
        self.write_text(name, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def read_json(self, name: str) -> Any:
        """Read a JSON file.

        Raises:
            RunError: it is missing or no JSON.
        """
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{self.path / name} cannot be read: {error}") from error

    def write(self, name: str, save: Callable[[Path], None]) -> None:
        """Let ``save`` write to a temporary path in this folder, then give the file its name.

        Raises:
            RunError: the disk is full or the folder is gone.
        """
        try:
            with _temporary(self.path, name) as path:
                save(path)
                path.replace(self.path / name)
        except OSError as error:
            raise RunError(f"{self.path / name} cannot be written: {error}") from error

    @classmethod
    def _claim_numbered(cls, parent: Path, stem: str) -> RunFolder:
        for number in range(1, 1_000_000):
            folder = parent / f"{stem}-{number}"
            if not folder.exists():
                try:
                    return cls(_create(folder, exist_ok=False))
                except FileExistsError:
                    continue  # another process was faster
        raise RunError(f"{parent} holds a million runs of {stem}; choose an --output.")


def _create(folder: Path, *, exist_ok: bool) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except OSError as error:
        if isinstance(error, FileExistsError) and not exist_ok:
            raise
        raise RunError(f"{folder} cannot be created: {error}") from error
    return folder


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]+", "_", name).strip("._") or "data"


@contextmanager
def _temporary(folder: Path, name: str) -> Iterator[Path]:
    # The mode of a normal file, not mkstemp's private one: runs are shared.
    with tempfile.TemporaryDirectory(prefix=".", dir=folder) as scratch:
        yield Path(scratch) / name


def _write_durably(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
