"""What a process leaves in the store for the others when it ends, and what it finds there when another one is gone."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import torch.distributed as dist
from torch.distributed.distributed_c10d import Store

from zoo.errors import LostProcess, is_out_of_memory

#: Seconds in which the others of a run that breaks off tell why they leave; who does not is taken for lost.
PATIENCE = 5.0
#: What a process says that leaves because of another one.
_BECAUSE_OF_OTHERS = "\0"


def _is_reason(word: str) -> bool:
    return word != _BECAUSE_OF_OTHERS


@dataclass(frozen=True)
class Notices:
    """The notices of the processes of a run, each under its rank."""

    rank: int
    size: int
    store: Store | None

    def leave(self, text: str) -> None:
        """Leave word of why this process ends."""
        if self.store is not None:
            with suppress(RuntimeError):  # nobody is left who could read it
                self.store.set(f"left/{self.rank}", text)

    def read(self, ranks: Iterable[int], seconds: float) -> dict[int, str]:
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
        self.leave(_BECAUSE_OF_OTHERS)
        _let_go(error)
        others = [rank for rank in range(self.size) if rank != self.rank]
        words = self.read(others, PATIENCE)
        reasons = [f"rank {rank} ended: {word}" for rank, word in words.items() if _is_reason(word)]
        lost = [str(rank) for rank in others if rank not in words and not reasons]
        if lost:
            who = f"rank {lost[0]}" if len(lost) == 1 else f"at least one of ranks {', '.join(lost)}"
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


def is_of_others(error: BaseException) -> bool:
    """Tell whether an error is what torch raises where another process is gone."""
    if not isinstance(error, RuntimeError) or is_out_of_memory(error):
        return False
    return isinstance(error, dist.DistError) or any(name in str(error) for name in ("gloo", "NCCL"))


def is_own_device(error: BaseException) -> bool:
    """Tell whether an error is that of this process's own GPU."""
    return "CUDA error" in str(error)
