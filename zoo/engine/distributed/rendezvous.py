"""Let processes that were started together find each other in a store that earlier processes may have used.

When torchrun restarts its processes, they get the same store, which still contains the addresses and exit notices of
the earlier ones. Each machine counts restarts for itself, so the counts may differ. Therefore each process writes a
random token, and the first process answers the tokens with the name of an unused part of the store.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from torch.distributed.distributed_c10d import PrefixStore, Store

from zoo.errors import PeerError

#: Seconds between two checks of the store.
PERIOD = 0.01


def meet(store: Store, rank: int, size: int, timeout: timedelta) -> Store:
    """Wait for all processes, and return the part of the store that only they use.

    Args:
        store: A store that only these processes and earlier ones write to.
        rank: The rank of this process.
        size: The number of processes.
        timeout: Maximum time to wait for the other processes.

    Raises:
        PeerError: If another process does not join in time.
    """
    deadline = time.monotonic() + timeout.total_seconds()

    def wait(other: int, has_joined: Callable[[], bool]) -> None:
        while not has_joined():
            if time.monotonic() > deadline:
                raise PeerError(f"rank {other} did not join within {timeout}; start all processes together.")
            time.sleep(PERIOD)

    token = uuid.uuid4().hex
    if rank:
        store.set(f"join/{rank}", token)
        wait(0, lambda: store.check([f"answer/{token}"]))
        name = store.get(f"answer/{token}").decode()
        store.set(f"met/{name}/{rank}", token)
    else:
        name = token
        for other in range(1, size):
            wait(other, partial(_answer, store, name, other))
    return PrefixStore(f"in/{name}", store)


def _answer(store: Store, name: str, other: int) -> bool:
    """Send the name to the latest process of a rank; return whether a process of that rank has confirmed it."""
    if store.check([f"met/{name}/{other}"]):
        return True
    if store.check([f"join/{other}"]):
        store.set(f"answer/{store.get(f'join/{other}').decode()}", name)
    return False
