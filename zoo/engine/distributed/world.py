"""The processes of a run: one alone, or several that torchrun started, each of which learns from a part of each batch.

After every step all of them have the same weights, statistics and optimizer; only the first writes anything down.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import Store

from zoo.engine.distributed.all_reduce import exchange, send_from
from zoo.errors import LostProcess, OptionError, is_out_of_memory

Result = TypeVar("Result")

#: Seconds in which the others of a run that breaks off tell why they leave; who does not is taken for lost.
PATIENCE = 5.0
#: In what torch says where this process's own GPU is to blame.
_OWN = "CUDA error"
#: Of rows that are gathered.
_DTYPES = (
    torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.int32, torch.uint8, torch.bool
)  # fmt: skip
#: What a process says that leaves because of another one.
_BECAUSE_OF_OTHERS = "\0"


def _is_reason(word: str) -> bool:
    return word != _BECAUSE_OF_OTHERS


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
        if self.size == 1:
            if failure is not None:
                raise failure
            return
        failed = self.total([float(failure is not None and rank == self.rank) for rank in range(self.size)])
        if not any(failed):
            return
        rank = failed.index(1)
        reason = self.spread("" if failure is None else str(failure), source=rank)
        try:
            raise instead(f"rank {rank}: {reason}") if failure is None else failure
        finally:
            del failure

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
        data = text.encode()
        (length,) = self.total([float(len(data)) if self.rank == source else 0.0])
        sent = torch.zeros(int(length), dtype=torch.uint8)
        if self.rank == source and data:
            sent = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        self.spread_([sent], source)
        return bytes(sent.tolist()).decode()

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
            if is_out_of_memory(error) or _OWN in str(error):
                raise
            raise self.explain(error) from error

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
            raise self.explain(error) from error

    def announce(self, text: str) -> None:
        """Leave word of why this process ends."""
        if self.store is not None:
            with suppress(RuntimeError):  # nobody is left who could read it
                self.store.set(f"left/{self.rank}", text)

    def find_words(self, ranks: Iterable[int], seconds: float) -> dict[int, str]:
        """Return the words that other processes leave within so many seconds, or until one of them tells a reason."""
        assert self.store is not None
        words: dict[int, str] = {}
        deadline, missing = time.monotonic() + seconds, set(ranks)
        try:
            # Those without a word may wait for this one, which they hear of when it ends.
            while missing and not any(map(_is_reason, words.values())) and time.monotonic() < deadline:
                for rank in [rank for rank in missing if self.store.check([f"left/{rank}"])]:
                    words[rank] = bytes(self.store.get(f"left/{rank}")).decode()
                    missing.remove(rank)
                time.sleep(0.02)
        except RuntimeError:
            pass  # who kept the words is gone as well
        return words

    def explain(self, error: BaseException) -> LostProcess:
        """Find out which processes are gone, and why; the others are told that this one leaves.

        Args:
            error: what torch raised. Its traceback loses its variables.
        """
        self.announce(_BECAUSE_OF_OTHERS)
        _let_go(error)
        others = [rank for rank in range(self.size) if rank != self.rank]
        words = self.find_words(others, PATIENCE)
        reasons = [f"rank {rank} ended: {word}" for rank, word in words.items() if _is_reason(word)]
        lost = [str(rank) for rank in others if rank not in words and not reasons]
        if lost:
            who = f"rank {lost[0]}" if len(lost) == 1 else f"one at least of the ranks {', '.join(lost)}"
            reasons.append(f"{who} is gone: it was killed, or its machine is lost")
        text = f"{'; '.join(reasons)}. The others cannot go on without it."
        if not reasons:
            text = "the processes have lost each other: " + str(error).partition("\n")[0]
        return LostProcess(text, is_first_there=0 in words or not lost)


def _let_go(error: BaseException) -> None:
    """Close the connections to the others, each of which is connected to few: else they would wait for this one.

    Only those of gloo: whether NCCL could wait for a kernel that never ends was not tried.
    """
    if dist.is_initialized() and dist.get_backend() == "gloo":
        traceback.clear_frames(error.__traceback__)  # they hold the connections
        dist.destroy_process_group()


#: Of a run with one process.
ALONE = World()


def is_of_others(error: BaseException) -> bool:
    """Tell whether an error is what torch raises where another process is gone."""
    if not isinstance(error, RuntimeError) or is_out_of_memory(error):
        return False
    return isinstance(error, dist.DistError) or any(name in str(error) for name in ("gloo", "NCCL"))
