"""The model of the best epoch so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from torch import Tensor, nn

from zoo.models.sharding import whole_state
from zoo.runs.folder import MODEL, RunFolder
from zoo.runs.model_file import Header, save_tensors

#: Writing takes at most one second of so many: a large head on kept features learns an epoch faster than it is written.
SHARE = 10


class BestModel:
    """Keeps the best model on disk; one that follows too soon stays in memory until its time has come, or the end.

    The first one is written at once, and the last one when the block is left, whatever ends it.
    """

    def __init__(self, folder: RunFolder, header: Header, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._header = header
        self._clock = clock
        self._held: dict[str, Tensor] | None = None
        #: When the next one may be written.
        self._due = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.settle()

    def settle(self) -> None:
        """Write what is held.

        Raises:
            RunError: the disk is full or the folder is gone.
        """
        if self._held is not None:
            self._write(self._held)

    def keep(self, model: nn.Module) -> None:
        """Keep this one instead of the one before.

        Raises:
            RunError: the disk is full or the folder is gone.
        """
        self._held = None  # before the next one takes memory
        if self._clock() >= self._due:
            self._write(whole_state(model))
        else:
            frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
            self._held = {
                name: tensor if name in frozen else tensor.to("cpu", copy=True)
                for name, tensor in whole_state(model).items()
            }

    def go_on(self) -> None:
        """Write what is held, if its time has come.

        Raises:
            RunError: the disk is full or the folder is gone.
        """
        if self._held is not None and self._clock() >= self._due:
            self._write(self._held)

    def _write(self, tensors: dict[str, Tensor]) -> None:
        started = self._clock()
        self._folder.write(MODEL, lambda path: save_tensors(tensors, self._header, path))
        ended = self._clock()
        self._held = None
        self._due = ended + SHARE * (ended - started)
