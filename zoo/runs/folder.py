"""The run folder: its name, its files, and writing them so that each is whole or absent."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import RunError
from zoo.files.atomic import PREFIX, remove, remove_partial, written

MODEL, RUN, HISTORY, REPORT, CARD = "model.safetensors", "run.json", "history.jsonl", "report.html", "README.md"
#: A folder, of the states that the run can be taken up from.
CHECKPOINTS = "checkpoints"
#: A folder, of the run from random weights that it is compared with.
BASELINE = "baseline"


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
            raise RunError(f"{output} was taken by another run just now; choose another `output`.") from error
        return cls(folder)

    @classmethod
    def reopen(cls, output: Path) -> RunFolder:
        """Return a folder whose run was interrupted, or is empty; what a killed process left on its way is removed.

        Raises:
            RunError: it holds what no run wrote, or cannot be created.
        """
        folder = _create(output, exist_ok=True)
        known = {MODEL, RUN, HISTORY, REPORT, CARD, CHECKPOINTS, BASELINE}
        is_ours = (folder / RUN).exists() or (folder / CHECKPOINTS).exists()
        for path in () if is_ours else folder.iterdir():
            if path.name not in known and not path.name.startswith(PREFIX):
                raise RunError(f"{output} holds {path.name!r}, which is of no run; choose another `output`.")
        remove_partial(folder)
        return cls(folder)

    def refuse_begun(self) -> None:
        """Empty the folder of a run that was ended before it had written anything.

        Raises:
            RunError: it holds more.
        """
        history = self.path / HISTORY
        if (self.path / MODEL).exists() or (history.exists() and history.stat().st_size):
            raise RunError(f"{self.path} does not say how its run was begun; choose another `output`, or remove it.")
        remove(history)
        remove_partial(self.path / CHECKPOINTS)
        remove(self.path / CHECKPOINTS)

    @staticmethod
    def refuse_used(output: Path | None) -> None:
        """Raise RunError when ``output`` holds anything already, or cannot be created."""
        if output is None:
            return
        above = next(folder for folder in output.absolute().parents if folder.exists())
        if not above.is_dir():
            raise RunError(f"{output} cannot be created: {above} is a file; choose another `output`.")
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            what = "is a file" if not output.is_dir() else "holds other files"
            what = "holds another run" if (output / MODEL).exists() else what
            raise RunError(f"{output} {what}; choose another `output`, or remove it first.")

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
        self.write(name, lambda path: _write_text(path, text))

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
        with written(self.path / name) as path:
            save(path)

    @classmethod
    def _claim_numbered(cls, parent: Path, stem: str) -> RunFolder:
        for number in range(1, 1_000_000):
            folder = parent / f"{stem}-{number}"
            if not folder.exists():
                try:
                    return cls(_create(folder, exist_ok=False))
                except FileExistsError:
                    continue  # another process was faster
        raise RunError(f"{parent} holds a million runs of {stem}; choose an `output`.")


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


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
