"""The states that a run can be taken up from: each is a safetensors file with a checksum beside it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open

from zoo.engine.interrupts import undisturbed
from zoo.engine.state import Checkpoint
from zoo.errors import RunError
from zoo.files.atomic import PREFIX, make_folder, remove, remove_partial, written
from zoo.files.download import sha256_of
from zoo.runs.model_file import write_tensors

#: How many are kept: the newest, and the one before in case its file is damaged.
KEPT = 2
_FACTS = "facts"


class Checkpoints:
    """Those of one run: ``STEP.safetensors``, and ``STEP.sha256``, which is written last and makes it count.

    ``sha256sum --check *.sha256`` proves them as well. ``STEP.best`` is the best model as it was then: that of the run
    may be newer.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, step: int, state: Checkpoint, best: Path | None = None) -> None:
        """Write one, and remove all but the newest `KEPT`: those of later steps too, which could not be read.

        Args:
            step: a number that is higher for each later state.
            state: what the run can be taken up from.
            best: the file of the best model so far.

        Raises:
            RunError: it cannot be written; those that are there stay.
        """
        make_folder(self._folder)
        self._sweep()
        path = self._folder / f"{step:08}.safetensors"
        size = sum(tensor.nbytes for tensor in state.tensors.values())
        remove(path.with_suffix(".sha256"))  # of the same number: until this one is whole it is none
        with written(path, size) as own:
            write_tensors(state.tensors, {_FACTS: json.dumps(dict(state.facts))}, own)
            digest = sha256_of(own)
        if best is not None:
            with written(path.with_suffix(".best")) as own:
                _link(best, own)
        with written(path.with_suffix(".sha256")) as own:
            own.write_text(f"{digest}  {path.name}\n", encoding="ascii")
        there = self._list()
        place = there.index(path)
        self._drop((*there[:place], *there[place + KEPT :]))

    def load(self, best: Path | None = None) -> tuple[Checkpoint | None, list[str]]:
        """Return the newest one that is whole, and what is wrong with those after it.

        A file without a checksum was never finished, and is none of them. The model that was the best then is given the
        name ``best``.
        """
        complaints: list[str] = []
        for path in self._list():
            complaint = _find_damage(path)
            if complaint is None:
                try:
                    with undisturbed():  # torch takes an interrupt in between for a fault of the file
                        saved = _read(path)
                except (OSError, SafetensorError, ValueError, KeyError) as error:
                    complaint = f"cannot be read: {error}"
                else:
                    _put_back(path.with_suffix(".best"), best)
                    return saved, complaints
            complaints.append(f"{path} {complaint}")
        return None, complaints

    def clear(self) -> None:
        """Remove all: the run is over."""
        self._drop(self._list())
        self._sweep()
        with suppress(RunError):  # something of somebody else's may be in it
            remove(self._folder)

    def _drop(self, paths: Sequence[Path]) -> None:
        for path in paths:
            # The checksum first: without it what is left of an interrupted removal is no checkpoint.
            for suffix in (".sha256", ".best", ".safetensors"):
                remove(path.with_suffix(suffix))

    def _sweep(self) -> None:
        """Remove what was never finished."""
        remove_partial(self._folder)
        for path in (*self._folder.glob("*.safetensors"), *self._folder.glob("*.best")):
            if path.is_file() and not path.with_suffix(".sha256").exists():
                remove(path)

    def _list(self) -> list[Path]:
        """List the files of all, the newest first."""
        names = [path.name for path in self._folder.glob("*.sha256") if not path.name.startswith(PREFIX)]
        return [(self._folder / name).with_suffix(".safetensors") for name in sorted(names, reverse=True)]


def _put_back(path: Path, best: Path | None) -> None:
    if best is not None and path.exists():
        with written(best) as own:
            _link(path, own)


def _link(path: Path, name: Path) -> None:
    """Give a file another name, or make a copy where the file system has no such thing."""
    try:
        os.link(path, name)
    except OSError:
        shutil.copyfile(path, name)


def _find_damage(path: Path) -> str | None:
    """Say what is wrong with a file, or None."""
    try:
        wanted = path.with_suffix(".sha256").read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        return f"has a checksum that cannot be read: {error}"
    try:
        found = sha256_of(path)
    except OSError as error:
        return f"cannot be read: {error}"
    return None if wanted == f"{found}  {path.name}\n" else "is damaged: it is not what its checksum says"


def _read(path: Path) -> Checkpoint:
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
        return Checkpoint(tensors, json.loads(file.metadata()[_FACTS]))
