"""The run folder: its name, its files, and how they are written atomically."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from zoo.errors import RunError
from zoo.files.atomic import atomic_run_write, remove, remove_partial
from zoo.files.limits import MAX_RUN_BYTES
from zoo.files.partial import PREFIX
from zoo.files.paths import accessing, expand_user
from zoo.files.validation import Invalid, parse_json
from zoo.progress.printable import escape_json
from zoo.runs.fold_folders import OUT_OF_FOLD, list_fold_folders

T = TypeVar("T")

MODEL, RUN, HISTORY, REPORT, CARD = "model.safetensors", "run.json", "history.jsonl", "report.html", "README.md"
#: File with the predictions of the best model for the validation and test images.
PREDICTIONS = "predictions.jsonl"
#: File with the features of training images, from which distances are measured. It is written when it is needed.
FEATURES = "features.safetensors"
#: Folder of the checkpoints, which exists until the run is finished.
CHECKPOINTS = "checkpoints"
_CHOOSE = "choose another `output`"
#: Maximum length of the name of a run folder without its number. File systems allow 255 bytes.
_MAX_STEM = 200
#: Folder of the baseline run, which is trained from random weights and compared with this run.
BASELINE = "baseline"
#: Files with which timm and transformers load the folder.
CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
#: Folder of the exports.
EXPORTS = "exports"


@dataclass(frozen=True)
class RunFolder:
    """A folder that contains one run."""

    path: Path

    @classmethod
    def claim(cls, output: Path | None, backbone: str, data: str) -> RunFolder:
        """Create the ``output`` folder, or ``runs/BACKBONE-DATA-N`` with the first free N.

        Raises:
            RunError: If ``output`` contains a run or other files, or cannot be created.
        """
        if output is None:
            plain = re.split("[?#]", data, maxsplit=1)[0] if "://" in data else data
            name = re.sub(r"\.(zip|tgz|csv|tsv|jsonl|parquet|tar(\.\w+)?)$", "", Path(plain).name or plain)
            stem = f"{_make_plain(backbone.rpartition('/')[2])}-{_make_plain(name)}"[:_MAX_STEM]
            return cls._claim_numbered(Path("runs"), stem)
        cls.refuse_used(output)
        folder = _create(output, exist_ok=True)
        try:
            # If two runs claim the same folder at the same time, only one can create this file.
            (folder / HISTORY).open("x").close()
        except FileExistsError as error:
            raise RunError(f"another run has just started to use {output}; choose another `output`.") from error
        except OSError as error:
            raise RunError(f"{folder / HISTORY} cannot be written: {error.strerror or error}.") from error
        return cls(folder)

    @classmethod
    def reopen(cls, output: Path) -> RunFolder:
        """Return a folder that is empty or contains a run, and remove partial files that a killed process left behind.

        Raises:
            RunError: If the folder contains anything else, or cannot be created.
        """
        folder = _create(output, exist_ok=True)
        known = {MODEL, RUN, HISTORY, PREDICTIONS, OUT_OF_FOLD, REPORT, CARD, CHECKPOINTS, BASELINE, CONFIG, EXPORTS}
        known |= {FEATURES, PREPROCESSOR}
        if folds := list_fold_folders(folder):
            raise RunError(
                f"{output} is a cross-validation of {len(folds)} folds; to resume it, pass `folds` as before."
            )
        is_ours = (folder / RUN).exists() or (folder / CHECKPOINTS).exists()
        for path in () if is_ours else folder.iterdir():
            if path.name not in known and not path.name.startswith(PREFIX):
                raise RunError(f"{output} contains {path.name!r}, which is not part of a run; choose another `output`.")
        remove_partial(folder)
        return cls(folder)

    def reset(self) -> None:
        """Empty the folder of a run that was interrupted before it had written anything.

        Raises:
            RunError: If the folder contains a model or a history.
        """
        history = self.path / HISTORY
        if (self.path / MODEL).exists() or (history.exists() and history.stat().st_size):
            raise RunError(
                f"{self.path} does not record the options of its run; choose another `output`, or remove the folder."
            )
        remove(history)
        remove_partial(self.path / CHECKPOINTS)
        remove(self.path / CHECKPOINTS)

    @staticmethod
    def refuse_used(output: Path | None) -> None:
        """Raise RunError if ``output`` exists and is not an empty folder, or if it cannot be created."""
        if output is not None:
            with accessing(output, RunError, _CHOOSE):
                _refuse_used(output)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Return the folder of a run. ``path`` is the folder or a file in it.

        Raises:
            RunError: If the folder contains no model.
        """
        path = expand_user(path)
        folder = path.parent if path.name in (MODEL, RUN) else path
        advice = "pass the folder that `zoo finetune` printed last"
        with accessing(path, RunError, advice):
            if not (folder / MODEL).is_file():
                raise RunError(_explain_no_model(path, folder, advice))
        return cls(folder)

    def write(self, name: str, save: Callable[[Path], object]) -> None:
        """Call ``save`` with a temporary path in this folder, then rename the file to ``name``.

        Raises:
            RunError: If the disk is full or the folder is gone.
        """
        with atomic_run_write(self.path / name) as path:
            save(path)

    def write_text(self, name: str, text: str) -> None:
        """Write a text file atomically.

        Raises:
            RunError: If the disk is full or the folder is gone.
        """
        self.write(name, lambda path: path.write_text(text, encoding="utf-8", errors="backslashreplace"))

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file atomically.

        Raises:
            RunError: If the disk is full or the folder is gone.
        """
        self.write_text(name, format_json(content))

    def read_json(self, name: str, kind: type[T]) -> T:
        """Read a JSON file.

        Args:
            name: Name of the file.
            kind: Type of its content, from `zoo.files.schema`.

        Raises:
            RunError: If the file is missing, is too large, is not valid JSON, or does not have the type ``kind``.
        """
        with self._reading(name) as path:
            return parse_json(path.read_bytes(), kind)

    def read_lines(self, name: str, kind: type[T]) -> list[T]:
        """Read a file with one JSON object per line; see `read_json`."""
        with self._reading(name) as path, path.open(encoding="utf-8", errors="surrogateescape") as lines:
            return [parse_json(line, kind) for line in lines]

    @contextmanager
    def _reading(self, name: str) -> Iterator[Path]:
        path = self.path / name
        try:
            _refuse_special(path)
            yield path
        except OSError as error:
            raise RunError(f"{path} cannot be read: {error}") from error
        except Invalid as error:
            raise RunError(f"{path} is damaged, or was written by a different version of zoo: {error}.") from error

    @classmethod
    def _claim_numbered(cls, parent: Path, stem: str) -> RunFolder:
        number = 1
        while True:
            try:
                return cls(_create(parent / f"{stem}-{number}", exist_ok=False))
            except FileExistsError:
                number += 1


def format_json(content: Any) -> str:
    """Return the text of a JSON file in a run folder."""
    return escape_json(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


def _explain_no_model(path: Path, folder: Path, advice: str) -> str:
    if folds := list_fold_folders(folder):
        shown = f"{folds[0]} to {folds[-1].name}" if len(folds) > 1 else f"{folds[0]}"
        return f"{path} is a cross-validation, not a single run; pass the run folder of one of its folds: {shown}."
    return f"{path} is not a run folder: it has no {MODEL}; {advice}."


def _refuse_special(path: Path) -> None:
    """Refuse what would block or never end, such as a pipe or a device, and files that need too much memory."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise RunError(f"{path} cannot be read: it is not a file; copy the run folder again.")
    if status.st_size > MAX_RUN_BYTES:
        raise RunError(
            f"{path} cannot be read: it has {status.st_size:,} bytes, but at most {MAX_RUN_BYTES:,} are allowed; "
            "copy the run folder again."
        )


def _refuse_used(output: Path) -> None:
    above = next(folder for folder in output.absolute().parents if folder.exists())
    if not above.is_dir():
        raise RunError(f"{output} cannot be created: {above} is a file; {_CHOOSE}.")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        what = "is a file" if not output.is_dir() else "contains other files"
        what = "contains another run" if (output / MODEL).exists() or list_fold_folders(output) else what
        what = "contains an export" if (output / "export.json").exists() else what
        raise RunError(f"{output} {what}; {_CHOOSE}, or remove it first.")
    folder = output if output.exists() else above
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise RunError(f"{output} cannot be written: the folder {folder} is not writable; {_CHOOSE}.")


def _create(folder: Path, *, exist_ok: bool) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except (OSError, ValueError) as error:  # a ValueError for a NUL
        if isinstance(error, FileExistsError) and not exist_ok:
            raise
        raise RunError(
            f"{folder} cannot be created: {getattr(error, 'strerror', None) or error}; {_CHOOSE}."
        ) from error
    return folder


def _make_plain(name: str) -> str:
    """Replace characters that cause trouble in file names."""
    return re.sub(r"[^A-Za-z0-9_.]+", "_", name).strip("._") or "data"
