"""The processes of a run: one, or several that torchrun started, each of which trains on part of each batch.

After every step, all processes have the same weights, batch norm statistics and optimizer state. Only the first process
writes files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import Store

from zoo.engine.distributed.notices import Notices, is_peer_error
from zoo.errors import OptionError

Result = TypeVar("Result")

#: Dtypes that all backends can send. Tensors of other dtypes are sent as bytes.
_SENT = (
    torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.int32, torch.int8, torch.uint8,
    torch.bool,
)  # fmt: skip
#: Maximum number of bytes that are broadcast at once, as in torch's DistributedDataParallel.
BUCKET = 250 * 2**20


@dataclass(frozen=True)
class World:
    """This process's place among the processes of its run. All processes must call the methods in the same order.

    Methods that communicate raise `PeerError` if another process has died.
    """

    rank: int = 0
    size: int = 1
    #: Rank among the processes on this machine, and their number.
    local_rank: int = 0
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

    def sum_(self, tensor: Tensor) -> Tensor:
        """Replace a tensor with its sum over all processes, which is bit-identical in all of them, and return it."""
        self._communicate(dist.all_reduce, tensor)
        return tensor

    def sum_numbers(self, numbers: Sequence[float]) -> list[float]:
        """Return the sum of each number over all processes."""
        return self.sum_(torch.tensor(numbers, dtype=torch.float64)).tolist()

    def gather(self, value: Any) -> list[Any]:
        """Return the value of each process, by rank. Values must be picklable."""
        values = [value] * self.size
        self._communicate(dist.all_gather_object, values, value)
        return values

    def all_gather(self, rows: Tensor | None) -> Tensor:
        """Return the rows of all processes by rank, on the CPU; a process without rows passes None."""
        return torch.cat([found for found in self.gather(rows) if found is not None])

    def broadcast(self, value: Result) -> Result:
        """Return the value that the first process passed, which must be picklable."""
        values = [value]
        self._communicate(dist.broadcast_object_list, values)
        return values[0]

    def broadcast_(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors, all on one device, with those of the first process."""
        if tensors:
            detached = [tensor.detach() for tensor in tensors]
            odd = [tensor for tensor in detached if tensor.dtype not in _SENT]
            copies = [tensor.reshape(-1).view(torch.uint8) for tensor in odd]
            detached = [*(tensor for tensor in detached if tensor.dtype in _SENT), *copies]
            # torch's DDP uses this function too; it has no public name.
            send = dist._broadcast_coalesced  # type: ignore[attr-defined]  # noqa: SLF001  # as above
            self._communicate(send, dist.group.WORLD, detached, BUCKET, 0)
            for tensor, received in zip(odd, copies, strict=True):
                tensor.copy_(received.view(tensor.dtype).view(tensor.shape))

    def broadcast_tensors(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the tensors of the first process, on the CPU."""
        specs = self.broadcast({name: tensor.to("meta") for name, tensor in tensors.items()})
        if not self.is_first:
            tensors = {name: torch.empty_like(spec, device="cpu") for name, spec in specs.items()}
        self.broadcast_([*tensors.values()])
        return tensors

    def require_same(self, what: str, text: str) -> None:
        """Raise `OptionError` if a string is not the same in all processes; ``what`` names it in the message."""
        texts = self.gather(text)
        for rank in (rank for rank, found in enumerate(texts) if found != texts[0]):
            raise OptionError(
                f"rank {rank} does not have the same {what} as rank 0; all processes need the same {what}."
            )

    def run_in_all(self, work: Callable[[], Result], *kinds: type[Exception]) -> Result:
        """Call a function, which must not communicate, in all processes. If it raises one of these errors, all do."""
        failure: Exception | None = None
        try:
            result = work()
        except kinds as error:
            failure = error
        try:
            self.raise_in_all(failure)
        finally:
            del failure  # it would keep this frame alive, and with it the memory of the failed work
        return result

    def raise_in_all(self, failure: Exception | None) -> None:
        """Raise an error in all processes if it is not None in one of them. In the others, it names the rank."""
        try:
            failures = self.gather(failure and (type(failure), str(failure)))
            for rank, (kind, text) in ((rank, found) for rank, found in enumerate(failures) if found):
                raise failure if failure and type(failure) is kind else kind(f"rank {rank}: {text}")
        finally:
            del failure  # as above

    def _communicate(self, operation: Callable[..., object], *args: object) -> None:
        if self.size > 1:
            with self.reporting_peer_errors():
                operation(*args)

    @contextmanager
    def reporting_peer_errors(self) -> Iterator[None]:
        """Return a context that turns torch's error for a dead process into a `PeerError` that names the process."""
        try:
            yield
        except RuntimeError as error:
            if not is_peer_error(error):
                raise
            raise self.notices.explain(error) from error


#: The world of a run with one process.
ALONE = World()
