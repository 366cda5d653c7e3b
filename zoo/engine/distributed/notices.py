"""Exit notices: each process leaves its reason for exiting in the store, so that the others can report it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

import torch.distributed as dist
from torch.distributed.distributed_c10d import Store

from zoo.errors import PeerError, is_out_of_memory

#: Seconds to wait for the notices of the other processes; a process without one is assumed to have died.
PATIENCE = 5.0
#: Notice of a process that exits because another one died.
_ANOTHER_DIED = "\0"


@dataclass(frozen=True)
class Notices:
    """The exit notices of the processes of a run, by rank."""

    rank: int
    size: int
    store: Store | None
    #: Objects that keep connections to other processes open until they are closed.
    holders: WeakSet[Any] = field(default_factory=WeakSet)

    def leave(self, text: str) -> None:
        """Leave the reason why this process exits."""
        if self.store is not None:
            with suppress(RuntimeError):  # the process that holds the store has died
                self.store.set(f"left/{self.rank}", text)

    def read(self, ranks: Iterable[int], seconds: float) -> dict[int, str]:
        """Wait until a process has given a reason, all have left notices, or time is up; return the notices."""
        assert self.store is not None
        notices: dict[int, str] = {}
        deadline, missing = time.monotonic() + seconds, set(ranks)
        with suppress(RuntimeError):  # the process that holds the store has died
            # Once a reason is known, stop: a process without a notice may still be waiting for this one to exit.
            while missing and not _list_reasons(notices) and time.monotonic() < deadline:
                for rank in [rank for rank in missing if self.store.check([f"left/{rank}"])]:
                    notices[rank] = bytes(self.store.get(f"left/{rank}")).decode()
                    missing.remove(rank)
                time.sleep(0.02)
        return notices

    def explain(self, error: BaseException) -> PeerError:
        """Find out which processes have died, and why. The others are told that this process also exits.

        Args:
            error: The error that torch raised. The variables in its traceback are cleared.
        """
        self.leave(_ANOTHER_DIED)
        self._close_connections(error)
        others = [rank for rank in range(self.size) if rank != self.rank]
        notices = self.read(others, PATIENCE)
        reasons = _list_reasons(notices)
        lost = [str(rank) for rank in others if rank not in notices and not reasons]
        if lost:
            who = f"rank {lost[0]}" if len(lost) == 1 else f"at least one of ranks {', '.join(lost)}"
            reasons.append(f"{who} died: it was killed, or its machine failed")
        text = f"{'; '.join(reasons)}. The other processes cannot continue without it."
        if not reasons:
            text = "the processes lost contact with each other: " + str(error).partition("\n")[0]
        return PeerError(text, is_reported_by_first=0 in notices or not lost)

    def _close_connections(self, error: BaseException) -> None:
        """Close the connections to the neighbors, which would otherwise wait for this process.

        Only gloo's connections are closed, because we have not tested whether closing NCCL's would block on a kernel
        that never finishes.
        """
        if dist.is_initialized() and dist.get_backend() == "gloo":
            for holder in self.holders:
                holder.close()
            traceback.clear_frames(error.__traceback__)  # the frames refer to the connections
            dist.destroy_process_group()


def _list_reasons(notices: dict[int, str]) -> list[str]:
    return [f"rank {rank} ended: {text.removesuffix('.')}" for rank, text in notices.items() if text != _ANOTHER_DIED]


def is_peer_error(error: BaseException) -> bool:
    """Return whether an error is one that torch raises when another process has died."""
    # An error of this process's own GPU says nothing about the others.
    if not isinstance(error, RuntimeError) or is_out_of_memory(error) or "CUDA error" in str(error):
        return False
    return isinstance(error, dist.DistError) or any(name in str(error) for name in ("gloo", "NCCL"))
