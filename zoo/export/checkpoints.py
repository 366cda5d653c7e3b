"""The states that a run can be taken up from: each is a safetensors file with a checksum beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from zoo.export.durable import remove_partial, written

#: How many are kept: the newest, and the one before in case its file is damaged.
KEPT = 2
_FACTS = "facts"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after so many steps."""

    step: int
    tensors: Mapping[str, Tensor]
    #: Whatever JSON can hold.
    facts: Mapping[str, Any]


class Checkpoints:
    """Those of one run: ``STEP.safetensors``, and ``STEP.sha256``, which is written last and makes it count.

    ``sha256sum --check *.sha256`` proves them as well.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, checkpoint: Checkpoint) -> None:
        """Write one, and remove all but the newest `KEPT`.

        Raises:
            RunError: it cannot be written; those that are there stay.
        """
        self._folder.mkdir(exist_ok=True)
        remove_partial(self._folder)
        path = self._folder / f"{checkpoint.step:08}.safetensors"
        size = sum(tensor.nbytes for tensor in checkpoint.tensors.values())
        with written(path, size) as own:
            save_file(dict(checkpoint.tensors), own, {_FACTS: json.dumps(dict(checkpoint.facts))})
            digest = _digest(own)
        with written(path.with_suffix(".sha256")) as own:
            own.write_text(f"{digest}  {path.name}\n", encoding="ascii")
        for old in self._list()[KEPT:]:
            # The checksum first: without it what is left of an interrupted removal is no checkpoint.
            old.with_suffix(".sha256").unlink(missing_ok=True)
            old.unlink()

    def load(self) -> tuple[Checkpoint | None, list[str]]:
        """Return the newest one that is whole, and what is wrong with those after it."""
        complaints = []
        for path in self._list():
            complaint = _find_damage(path)
            if complaint is None:
                return _read(path), complaints
            complaints.append(f"{path} {complaint}")
        return None, complaints

    def _list(self) -> list[Path]:
        """List the files of all, the newest first."""
        return sorted(self._folder.glob("*.safetensors"), reverse=True)


def _find_damage(path: Path) -> str | None:
    """Say what is wrong with a file, or None."""
    try:
        wanted = path.with_suffix(".sha256").read_text(encoding="ascii")
    except FileNotFoundError:
        return "was not finished"
    except (OSError, UnicodeDecodeError) as error:
        return f"has a checksum that cannot be read: {error}"
    try:
        found = _digest(path)
    except OSError as error:
        return f"cannot be read: {error}"
    return None if wanted == f"{found}  {path.name}\n" else "is damaged: it is not what its checksum says"


def _read(path: Path) -> Checkpoint:
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
        return Checkpoint(int(path.stem), tensors, json.loads(file.metadata()[_FACTS]))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
