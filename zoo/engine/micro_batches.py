"""Batches that go through the network in parts, one after the other, so that memory suffices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from zoo.errors import TrainingError, is_out_of_memory

Result = TypeVar("Result")


class MicroBatches:
    """In how many parts batches go through the network; more of them once memory was short."""

    def __init__(
        self,
        count: int = 1,
        say: Callable[[str], None] = lambda _line: None,
        least: int = 1,
        *,
        is_fixed: bool = False,
    ) -> None:
        """Begin with so many; ``least`` images are in each, as batch norms compare them.

        The number is fixed where processes wait for each other in the middle of a batch, so that none can begin anew.
        """
        self.count = count
        self.is_fixed = is_fixed
        self._say = say
        self._least = least

    def split(self, *tensors: Tensor, size: int | None = None) -> Iterator[tuple[Tensor, ...]]:
        """Yield the parts of tensors that have the same length, about equally long.

        There are as many as for tensors of the length ``size``, if it is given.
        """
        count = max(1, min(self.count, (len(tensors[0]) if size is None else size) // self._least))
        return zip(*(tensor.tensor_split(count) for tensor in tensors), strict=True)

    def attempt(self, size: int, work: Callable[[], Result], undo: Callable[[], None] = lambda: None) -> Result:
        """Do work on a batch of that size; where memory is short undo it, and do it again in twice as many parts.

        Raises:
            TrainingError: memory is short even for the fewest images at a time.
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
                        f"not enough memory; start again with `accumulate`={2 * self.count} or a smaller "
                        f"`batch_size`: processes that wait for each other cannot change it during a run. ({reason})"
                    ) from error
            # Here, where no traceback holds on to the tensors of the failed attempt.
            undo()
            self._double(size, reason)

    def _double(self, size: int, reason: str) -> None:
        most = max(1, size // self._least)
        if self.count >= most:
            few = "one image" if self._least == 1 else f"{self._least} images"
            raise TrainingError(f"not enough memory for {few} at a time; take a smaller `head` or backbone. ({reason})")
        self.count = min(2 * self.count, most)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._say(
            f"note: out of memory; splitting each batch into {self.count} micro-batches from now on "
            "(the update is unchanged)"
        )
