"""The model of the best epoch so far, in memory or on disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from zoo.files.download import sha256_of
from zoo.models.sharding import full_state
from zoo.models.weights.header import Header
from zoo.runs.folder import MODEL, RunFolder
from zoo.runs.model_file import write_tensors

#: Minimum number of seconds of training per second of writing. A head that is trained on cached features may finish an
#: epoch in less time than it takes to write the model.
SHARE = 10


class BestModel:
    """The best model so far, written to the run folder.

    The first model is written immediately. A better model that follows too soon is kept in memory until the next write
    is due.
    """

    def __init__(self, folder: RunFolder, header: Header, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._header = header
        self._clock = clock
        self._held: dict[str, Tensor] | None = None
        #: Time from which the next model may be written.
        self._due = float("-inf")
        self._digest: str | None = None

    def flush(self) -> None:
        """Write the model in memory, if any.

        Raises:
            RunError: If the disk is full or the folder is gone.
        """
        if self._held is not None:
            self._write(self._held)

    def keep(self, model: nn.Module) -> None:
        """Replace the best model with this one.

        Raises:
            RunError: If the disk is full or the folder is gone.
        """
        self._held = None  # This frees memory before the next copy is made.
        if self._is_due():
            self._write(full_state(model))
        else:
            frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
            self._held = {
                name: tensor if name in frozen else tensor.to("cpu", copy=True)
                for name, tensor in full_state(model).items()
            }

    def write_if_due(self) -> None:
        """Write the model in memory, if any, unless the last one was written too recently.

        Raises:
            RunError: If the disk is full or the folder is gone.
        """
        if self._is_due():
            self.flush()

    def find_file(self) -> tuple[Path, str] | None:
        """Return the path and the SHA-256 of the file, or None if there is no best model yet.

        The file is read only once after each time it is written, not for each checkpoint.
        """
        path = self._folder.path / MODEL
        if not path.exists():
            return None
        self._digest = self._digest or sha256_of(path)
        return path, self._digest

    def _is_due(self) -> bool:
        return self._clock() >= self._due

    def _write(self, tensors: dict[str, Tensor]) -> None:
        started = self._clock()
        self._folder.write(MODEL, lambda path: write_tensors(tensors, self._header.to_metadata(), path))
        ended = self._clock()
        self._held = self._digest = None
        self._due = ended + SHARE * (ended - started)
