"""How processes that were started together find each other in a store where others may have met before them.

torchrun starts its processes again with the store of those that were lost, in which all that these wrote is left: their
addresses, and the words with which they ended. How often it has done so is counted by each machine for itself, and not
alike. So the first process answers what each of the others has only just made up.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from torch.distributed.distributed_c10d import PrefixStore, Store

from zoo.errors import LostProcess

#: Seconds between two looks into the store.
PERIOD = 0.01


def meet(store: Store, rank: int, size: int, timeout: timedelta) -> Store:
    """Wait for all processes, and return a part of the store that is theirs alone.

    Args:
        store: which all of them, and nobody but earlier ones like them, write to.
        rank: which of them this is.
        size: how many they are.
        timeout: how long this one waits.

    Raises:
        LostProcess: another one does not come.
    """
    deadline = time.monotonic() + timeout.total_seconds()

    def wait(other: int, has_come: Callable[[], bool]) -> None:
        while not has_come():
            if time.monotonic() > deadline:
                raise LostProcess(f"rank {other} has not come within {timeout}; all have to be started together.")
            time.sleep(PERIOD)

    mine = uuid.uuid4().hex
    if rank:
        store.set(f"come/{rank}", mine)
        wait(0, lambda: store.check([f"answer/{mine}"]))
        name = store.get(f"answer/{mine}").decode()
        store.set(f"met/{name}/{rank}", mine)
    else:
        name = mine
        for other in range(1, size):
            wait(other, partial(_answer, store, name, other))
    return PrefixStore(f"in/{name}", store)


def _answer(store: Store, name: str, other: int) -> bool:
    """Tell the name to whoever came last on a rank; return whether it is one that is there and heard it."""
    if store.check([f"met/{name}/{other}"]):
        return True
    if store.check([f"come/{other}"]):
        store.set(f"answer/{store.get(f'come/{other}').decode()}", name)
    return False
