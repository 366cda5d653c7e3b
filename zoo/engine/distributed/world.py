"""The processes of a run: one, or several that torchrun started, each of which trains on part of each batch.

After every step, all processes have the same weights, batch norm statistics and optimizer state. Only the first process
writes files.
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

from zoo.engine.distributed.all_reduce import broadcast_from, run_in_buckets
from zoo.engine.distributed.notices import Notices, is_gpu_error, is_peer_error
from zoo.errors import OptionError, is_out_of_memory

Result = TypeVar("Result")

#: Dtypes of rows that can be gathered; processes send an index into this tuple.
_DTYPES = (
    torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.int32, torch.uint8, torch.bool
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """This process's place among the processes of its run. All processes must call the methods in the same order."""

    rank: int = 0
    size: int = 1
    #: Rank among the processes on this machine.
    local_rank: int = 0
    #: Number of processes on this machine.
    local_size: int = 1
    #: Key-value store that all processes share; None for a single process.
    store: Store | None = None

    @cached_property
    def notices(self) -> Notices:
        """The exit notices of all processes."""
        return Notices(self.rank, self.size, self.store)

    @property
    def is_first(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    @property
    def is_first_here(self) -> bool:
        """Whether this process writes files that all processes on this machine share, such as the cache."""
        return self.local_rank == 0

    def slice_of(self, count: int) -> range:
        """Return this process's slice of ``count`` indices; the slices are consecutive and cover all of them."""
        return range(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def sum_numbers(self, numbers: Sequence[float]) -> list[float]:
        """Return the sum of each number over all processes.

        Raises:
            PeerError: If another process has died.
        """
        if self.size == 1:
            return list(numbers)
        summed = torch.tensor(numbers, dtype=torch.float64)
        with self._communicating():
            dist.all_reduce(summed)
        return summed.tolist()

    def run_in_all(
        self, work: Callable[[], Result], fails: Callable[[Exception], bool], instead: Callable[[str], Exception]
    ) -> Result:
        """Call a function in all processes; if it fails in one of them, raise in all.

        Args:
            work: Function to call. It must not communicate with other processes.
            fails: Function that returns whether an error must be raised in all processes.
            instead: Function that creates the error for the other processes from a string that contains the rank and
                the message.
        """
        failure: Exception | None = None
        try:
            result = work()
        except Exception as error:
            if not fails(error):
                raise
            failure = error
        try:
            self.raise_in_all(failure, instead)
        finally:
            del failure  # it would keep this frame alive, and with it the memory of the failed work
        return result

    def raise_in_all(self, failure: Exception | None, instead: Callable[[str], Exception]) -> None:
        """Raise in all processes if one of them has failed.

        Args:
            failure: Error that this process raises; None if it has not failed.
            instead: Function that creates the error for the other processes from a string that contains the rank and
                the message.
        """
        try:
            if self.size == 1:
                if failure is not None:
                    raise failure
                return
            failed = self.sum_numbers([float(failure is not None and rank == self.rank) for rank in range(self.size)])
            if any(failed):
                rank = failed.index(1)
                reason = self.broadcast_text("" if failure is None else str(failure), source=rank)
                raise instead(f"rank {rank}: {reason}") if failure is None else failure
        finally:
            del failure  # it would keep this frame alive, and with it the memory of the failed work

    def all_reduce_(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors with their sums over all processes; the results are bit-identical in all of them.

        Raises:
            PeerError: If another process has died.
        """
        if self.size > 1:
            with self._communicating():
                run_in_buckets(tensors, dist.all_reduce)

    def broadcast_(self, tensors: Sequence[Tensor], source: int = 0) -> None:
        """Replace tensors with the tensors of process ``source``.

        Raises:
            PeerError: If another process has died.
        """
        if self.size > 1:
            with self._communicating():
                run_in_buckets(tensors, partial(broadcast_from, source))

    def broadcast_text(self, text: str, source: int = 0) -> str:
        """Return the string that the process ``source`` passed.

        Raises:
            PeerError: If another process has died.
        """
        if self.size == 1:
            return text
        texts = [text]
        with self._communicating():
            dist.broadcast_object_list(texts, source)
        return texts[0]

    def broadcast_tensors(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the tensors of the first process, on the CPU.

        Raises:
            PeerError: If another process has died.
        """
        own_specs = {name: (list(tensor.shape), str(tensor.dtype)) for name, tensor in tensors.items()}
        specs = json.loads(self.broadcast_text(json.dumps(own_specs)))
        received = dict(tensors)
        if not self.is_first:
            dtypes = {name: getattr(torch, dtype.removeprefix("torch.")) for name, (_, dtype) in specs.items()}
            received = {name: torch.empty(shape, dtype=dtypes[name]) for name, (shape, _) in specs.items()}
        self.broadcast_([*received.values()])
        return received

    def all_gather(self, rows: Tensor | None) -> Tensor:
        """Return the rows of all processes in the order of their ranks, on the CPU.

        Args:
            rows: Tensor of shape (N, width) on the CPU; None if this process has no rows.

        Raises:
            PeerError: If another process has died.
        """
        if self.size == 1:
            assert rows is not None
            return rows
        counts, width, dtype = self._describe_rows(rows)
        mine = torch.zeros(max(counts), width, dtype=dtype)
        if rows is not None:
            mine[: len(rows)] = rows
        every = [torch.empty_like(mine) for _ in counts]
        with self._communicating():
            # The rows are sent as bytes because gloo does not support all dtypes.
            dist.all_gather([each.view(torch.uint8) for each in every], mine.view(torch.uint8))
        return torch.cat([each[:count] for each, count in zip(every, counts, strict=True)])

    def _describe_rows(self, rows: Tensor | None) -> tuple[list[int], int, torch.dtype]:
        """Return the number of rows of each process, and their width and dtype, which some processes do not know."""
        count, width, dtype = (0, 0, 0) if rows is None else (len(rows), rows.shape[1], _DTYPES.index(rows.dtype))
        numbers = [0.0] * (3 * self.size)
        numbers[3 * self.rank : 3 * self.rank + 3] = [float(count), float(width), float(dtype)]
        found = [int(number) for number in self.sum_numbers(numbers)]
        counts = found[::3]
        owner = counts.index(max(counts))
        return counts, found[3 * owner + 1], _DTYPES[found[3 * owner + 2]]

    def require_same(self, what: str, text: str) -> None:
        """Raise `OptionError` if a string is not the same in all processes; ``what`` names it in the message."""
        of_first = self.broadcast_text(text)
        differs = self.sum_numbers([float(text != of_first and rank == self.rank) for rank in range(self.size)])
        if any(differs):
            raise OptionError(
                f"rank {differs.index(1)} does not have the same {what} as rank 0; all processes need the same {what}."
            )

    @contextmanager
    def _communicating(self) -> Iterator[None]:
        """Return a context that turns torch's error for a dead process into one that names the process."""
        try:
            yield
        except RuntimeError as error:
            if is_out_of_memory(error) or is_gpu_error(error):
                raise
            raise self.notices.explain(error) from error

    @contextmanager
    def reporting_peer_errors(self) -> Iterator[None]:
        """Return a context that does the same as `_communicating`, for work that may also fail for other reasons.

        Raises:
            PeerError: If another process has died.
        """
        try:
            yield
        except RuntimeError as error:
            if not is_peer_error(error):
                raise
            raise self.notices.explain(error) from error


#: The world of a run with one process.
ALONE = World()
