"""The model of the best epoch so far, in memory or on disk."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor, nn

from zoo.models.sharding import whole_state
from zoo.models.weights.header import Header
from zoo.runs.folder import MODEL, RunFolder
from zoo.runs.model_file import write_tensors

#: Seconds of training per second of writing, at least. A head trained on cached features may finish an epoch in less
#: time than it takes to write the model.
SHARE = 10


class BestModel:
    """The best model so far, written to the run folder.

    The first one is written at once. A better one that follows too soon is kept in memory until it is due.
    """

    def __init__(self, folder: RunFolder, header: Header, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._header = header
        self._clock = clock
        self._held: dict[str, Tensor] | None = None
        #: Time from which the next model may be written.
        self._due = float("-inf")

    def flush(self) -> None:
        """Write the model in memory, if any.

        Raises:
            RunError: If the disk is full or the folder is gone.
        """
        if self._held is not None:
            self._write(self._held)

    def keep(self, model: nn.Module) -> None:
        """Replace the best model by this one.

        Raises:
            RunError: If the disk is full or the folder is gone.
        """
        self._held = None  # This frees memory before the next copy is made.
        if self._is_due():
            self._write(whole_state(model))
        else:
            frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
            self._held = {
                name: tensor if name in frozen else tensor.to("cpu", copy=True)
                for name, tensor in whole_state(model).items()
            }

    def write_if_due(self) -> None:
        """Write the model in memory, if any, unless the last one was written too recently.

        Raises:
            RunError: If the disk is full or the folder is gone.
        """
        if self._is_due():
            self.flush()

    def _is_due(self) -> bool:
        return self._clock() >= self._due

    def _write(self, tensors: dict[str, Tensor]) -> None:
        started = self._clock()
        self._folder.write(MODEL, lambda path: write_tensors(tensors, self._header.to_metadata(), path))
        ended = self._clock()
        self._held = None
        self._due = ended + SHARE * (ended - started)
