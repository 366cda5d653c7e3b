"""Checkpoints of a run on disk: each is a safetensors file with a checksum in a file next to it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from zoo.engine.interrupts import deferring_signals
from zoo.engine.state import Checkpoint
from zoo.errors import RunError
from zoo.files.atomic import atomic_run_write, make_folder, remove, remove_partial
from zoo.files.download import sha256_of
from zoo.files.partial import PREFIX
from zoo.files.paths import read_file
from zoo.files.validation import parse_json
from zoo.runs.model_file import write_tensors

#: Number of checkpoints to keep. The second one is used if the newest one is damaged.
KEPT = 2
#: Keys of the metadata: the facts of the checkpoint, and the SHA-256 of the best model.
_FACTS, _BEST = "facts", "best"


class Checkpoints:
    """The checkpoints of a run, by step.

    A checkpoint consists of ``STEP.safetensors``, ``STEP.best`` and ``STEP.sha256``. ``STEP.best`` is the best model up
    to that step, because the best model of the run may be newer than the checkpoint. The checksum is written last, and
    a checkpoint without one is ignored. Users can verify the checkpoints with ``sha256sum --check *.sha256``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, step: int, state: Checkpoint, best: tuple[Path, str] | None = None) -> None:
        """Write a checkpoint. Remove those with a higher step, and keep only the newest `KEPT` of the rest.

        Args:
            step: Number that increases from one checkpoint to the next.
            state: State to resume from.
            best: File of the best model so far, and its SHA-256.

        Raises:
            RunError: If the checkpoint cannot be written. The earlier checkpoints are kept.
        """
        make_folder(self._folder)
        self._sweep()
        path = self._folder / f"{step:08}.safetensors"
        size = sum(tensor.nbytes for tensor in state.tensors.values())
        remove(path.with_suffix(".sha256"))  # An earlier checkpoint of this step is invalid while it is overwritten.
        metadata = {_FACTS: json.dumps(dict(state.facts))}
        if best is not None:
            file, metadata[_BEST] = best
            _copy(file, path.with_suffix(".best"))
        with atomic_run_write(path, size) as own:
            write_tensors(state.tensors, metadata, own)
            digest = sha256_of(own)
        with atomic_run_write(path.with_suffix(".sha256")) as own:
            own.write_text(f"{digest}  {path.name}\n", encoding="ascii")
        paths = self._list()
        place = paths.index(path)
        self._drop((*paths[:place], *paths[place + KEPT :]))

    def load(self, best: Path | None = None) -> tuple[Checkpoint | None, list[str]]:
        """Return the newest checkpoint that is not damaged, and one message for each newer, damaged checkpoint.

        Args:
            best: Path to which the checkpoint's best model is copied.
        """
        complaints: list[str] = []
        for path in self._list():
            try:
                _verify(path)
                with deferring_signals():  # An interrupt while torch reads a file would look like a damaged file.
                    saved = _read(path)
            except (OSError, SafetensorError, ValueError, KeyError) as error:
                complaints.append(f"{path} cannot be read: {error}")
                continue
            if best is not None and path.with_suffix(".best").exists():
                _copy(path.with_suffix(".best"), best)
            return saved, complaints
        return None, complaints

    def clear(self) -> None:
        """Remove all checkpoints."""
        self._drop(self._list())
        with suppress(RunError):  # The folder may contain other files.
            remove(self._folder)

    def _drop(self, paths: Sequence[Path]) -> None:
        for path in paths:
            remove(path.with_suffix(".sha256"))
        self._sweep()

    def _sweep(self) -> None:
        """Remove incomplete checkpoints: files without a checksum."""
        remove_partial(self._folder)
        for path in (*self._folder.glob("*.safetensors"), *self._folder.glob("*.best")):
            if path.is_file() and not path.with_suffix(".sha256").exists():
                remove(path)

    def _list(self) -> list[Path]:
        """Return the files of all complete checkpoints, newest first."""
        names = [path.name for path in self._folder.glob("*.sha256") if not path.name.startswith(PREFIX)]
        return [(self._folder / name).with_suffix(".safetensors") for name in sorted(names, reverse=True)]


def _copy(source: Path, target: Path) -> None:
    # With a hard link, a change of model.safetensors in place would damage all checkpoints. A copy of VGG16 (528 MB)
    # takes 2 s, and checkpoints are written every few minutes.
    with atomic_run_write(target, source.stat().st_size) as own:
        shutil.copyfile(source, own)


def _verify(path: Path) -> None:
    """Raise OSError or ValueError if a file does not match its checksum."""
    wanted = read_file(path.with_suffix(".sha256")).decode("ascii")
    if wanted != f"{sha256_of(path)}  {path.name}\n":
        raise ValueError("its checksum does not match")


def _read(path: Path) -> Checkpoint:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # `file` is not a dict.
    best = path.with_suffix(".best")
    if _BEST in metadata and metadata[_BEST] != sha256_of(best):
        raise ValueError(f"the checksum of the best model, {best.name}, does not match")
    return Checkpoint(tensors, parse_json(metadata[_FACTS], dict[str, Any]))
