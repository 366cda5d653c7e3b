"""Batches that are split into micro-batches when memory is short."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
from typing import TypeVar

import torch
from torch import Tensor

from zoo.engine.tracebacks import free_tensors
from zoo.errors import TrainingError, is_out_of_memory

Result = TypeVar("Result")


@dataclass
class MicroBatches:
    """The number of micro-batches per batch. It doubles when memory runs out."""

    #: Number of micro-batches per batch.
    count: int = 1
    #: Function that reports a message to the user.
    say: Callable[[str], None] = lambda _line: None
    #: Minimum number of images in a micro-batch. Batch norms in training mode need 2.
    least: int = 1
    _: KW_ONLY
    #: Whether the count must stay the same, because the processes wait for each other during the forward pass.
    is_fixed: bool = False

    def split(self, *tensors: Tensor, size: int | None = None) -> Iterator[tuple[Tensor, ...]]:
        """Yield micro-batches of nearly equal size.

        Args:
            *tensors: Tensors of the same length N.
            size: Length that determines the number of micro-batches. Defaults to N.
        """
        count = max(1, min(self.count, (len(tensors[0]) if size is None else size) // self.least))
        return zip(*(tensor.tensor_split(count) for tensor in tensors), strict=True)

    def attempt(self, size: int, work: Callable[[], Result], undo: Callable[[], None] = lambda: None) -> Result:
        """Process a batch; each time memory runs out, undo the attempt and retry with twice as many micro-batches.

        Args:
            size: Number of images in the batch.
            work: Function that processes the batch, with `split`.
            undo: Function that undoes a failed attempt.

        Raises:
            TrainingError: If memory is insufficient even for the smallest micro-batches.
        """
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = str(error).partition("\n")[0]
                if self.is_fixed:
                    raise TrainingError(
                        f"not enough memory; start again with `accumulate`={2 * self.count} or a smaller `batch_size`; "
                        f"with `shard` or `sync_batch_norm`, batches cannot be split further during a run. ({reason})"
                    ) from error
                free_tensors(error)
            undo()
            self._double(size, reason)

    def _double(self, size: int, reason: str) -> None:
        most = max(1, size // self.least)
        if self.count >= most:
            few = "one image" if self.least == 1 else f"{self.least} images"
            raise TrainingError(f"not enough memory for {few} at a time; use a smaller `head` or backbone. ({reason})")
        self.count = min(2 * self.count, most)
        torch.cuda.empty_cache()  # This does nothing if CUDA is not initialized.
        self.say(
            f"note: out of memory; splitting each batch into {self.count} micro-batches from now on "
            "(there is still one update per batch)"
        )
