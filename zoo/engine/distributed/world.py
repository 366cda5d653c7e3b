"""The processes of a run: one alone, or several that torchrun started, each of which learns from a part of each batch.

After every step all of them have the same weights, statistics and optimizer; only the first writes anything down.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import Store

from zoo.engine.distributed.all_reduce import exchange, send_from
from zoo.engine.distributed.notices import Notices, is_of_others, is_own_device
from zoo.errors import OptionError, is_out_of_memory

Result = TypeVar("Result")

#: Of rows that are gathered.
_DTYPES = (
    torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.int32, torch.uint8, torch.bool
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """This process among those of its run; its methods are called by all of them, in the same order."""

    rank: int = 0
    size: int = 1
    #: Of those on this machine.
    local_rank: int = 0
    local_size: int = 1
    #: Where they leave messages for each other.
    store: Store | None = None

    @cached_property
    def notices(self) -> Notices:
        """What this process and the others leave in the store when they end."""
        return Notices(self.rank, self.size, self.store)

    @property
    def is_first(self) -> bool:
        """Tell whether this is the one that keeps the record."""
        return self.rank == 0

    @property
    def is_first_here(self) -> bool:
        """Tell whether this is the one that writes to what this machine shares."""
        return self.local_rank == 0

    def slice_of(self, count: int) -> range:
        """Return which of ``count`` things are this process's: the shares follow each other and cover all."""
        return range(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def total(self, numbers: Sequence[float]) -> list[float]:
        """Return the sums over all processes.

        Raises:
            LostProcess: another one is gone.
        """
        if self.size == 1:
            return list(numbers)
        summed = torch.tensor(numbers, dtype=torch.float64)
        with self._talking():
            dist.all_reduce(summed)
        return summed.tolist()

    def together(
        self, work: Callable[[], Result], fails: Callable[[Exception], bool], instead: Callable[[str], Exception]
    ) -> Result:
        """Do work that succeeds in all processes or in none.

        Args:
            work: what is done; it talks to no other process.
            fails: tells which errors are shared.
            instead: makes, of who had it and its words, the error that is raised in the others.
        """
        failure: Exception | None = None
        try:
            result = work()
        except Exception as error:
            if not fails(error):
                raise
            failure = error
        try:
            self.raise_together(failure, instead)
        finally:
            del failure  # else it holds on to this frame, and to all the memory of what failed
        return result

    def raise_together(self, failure: Exception | None, instead: Callable[[str], Exception]) -> None:
        """Raise in all processes if one of them has failed.

        Args:
            failure: of this process, which then raises it.
            instead: makes, of who failed and its message, the error that is raised in the others.
        """
        try:
            if self.size == 1:
                if failure is not None:
                    raise failure
                return
            failed = self.total([float(failure is not None and rank == self.rank) for rank in range(self.size)])
            if any(failed):
                rank = failed.index(1)
                reason = self.spread("" if failure is None else str(failure), source=rank)
                raise instead(f"rank {rank}: {reason}") if failure is None else failure
        finally:
            del failure  # else it holds on to this frame, and to all the memory of what failed

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over all processes, which are the same to the bit in all of them.

        Raises:
            LostProcess: another one is gone.
        """
        if self.size > 1:
            with self._talking():
                exchange(tensors, dist.all_reduce)

    def spread_(self, tensors: Sequence[Tensor], source: int = 0) -> None:
        """Replace tensors by those of the first process, or of another one.

        Raises:
            LostProcess: another one is gone.
        """
        if self.size > 1:
            with self._talking():
                exchange(tensors, partial(send_from, source))

    def spread(self, text: str, source: int = 0) -> str:
        """Return the text of the first process, or of another one.

        Raises:
            LostProcess: another one is gone.
        """
        if self.size == 1:
            return text
        texts = [text]
        with self._talking():
            dist.broadcast_object_list(texts, source)
        return texts[0]

    def spread_tensors(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the tensors of the first process, on the CPU.

        Raises:
            LostProcess: another process is gone.
        """
        kinds = {name: (list(tensor.shape), str(tensor.dtype)) for name, tensor in tensors.items()}
        told = json.loads(self.spread(json.dumps(kinds)))
        found = dict(tensors)
        if not self.is_first:
            dtypes = {name: getattr(torch, dtype.removeprefix("torch.")) for name, (_, dtype) in told.items()}
            found = {name: torch.empty(shape, dtype=dtypes[name]) for name, (shape, _) in told.items()}
        self.spread_([*found.values()])
        return found

    def gather(self, rows: Tensor | None) -> Tensor:
        """Return the rows (N, width) of all processes, on the CPU, one process after the other; None: it has none.

        Raises:
            LostProcess: another one is gone.
        """
        if self.size == 1:
            assert rows is not None
            return rows
        counts, width, dtype = self._describe_rows(rows)
        mine = torch.zeros(max(counts), width, dtype=dtype)
        if rows is not None:
            mine[: len(rows)] = rows
        every = [torch.empty_like(mine) for _ in counts]
        with self._talking():
            # As bytes: gloo does not know all dtypes.
            dist.all_gather([each.view(torch.uint8) for each in every], mine.view(torch.uint8))
        return torch.cat([each[:count] for each, count in zip(every, counts, strict=True)])

    def _describe_rows(self, rows: Tensor | None) -> tuple[list[int], int, torch.dtype]:
        """Return how many rows each process has, and what they are: who has none cannot know."""
        count, width, dtype = (0, 0, 0) if rows is None else (len(rows), rows.shape[1], _DTYPES.index(rows.dtype))
        numbers = [0.0] * (3 * self.size)
        numbers[3 * self.rank : 3 * self.rank + 3] = [float(count), float(width), float(dtype)]
        found = [int(number) for number in self.total(numbers)]
        counts = found[::3]
        owner = counts.index(max(counts))
        return counts, found[3 * owner + 1], _DTYPES[found[3 * owner + 2]]

    def require_same(self, what: str, text: str) -> None:
        """Raise OptionError when a text is not the same in all processes."""
        of_first = self.spread(text)
        differs = self.total([float(text != of_first and rank == self.rank) for rank in range(self.size)])
        if any(differs):
            raise OptionError(f"rank {differs.index(1)} has other {what} than rank 0; give all processes the same.")

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Turn what torch raises where another process is gone into who that is."""
        try:
            yield
        except RuntimeError as error:
            if is_out_of_memory(error) or is_own_device(error):
                raise
            raise self.notices.explain(error) from error

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Work in the middle of which the processes wait for each other.

        Raises:
            LostProcess: another process is gone.
        """
        try:
            yield
        except RuntimeError as error:
            if not is_of_others(error):
                raise
            raise self.notices.explain(error) from error


#: Of a run with one process.
ALONE = World()
