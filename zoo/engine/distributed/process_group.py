"""Join the other processes of a run, and tell them why this one leaves."""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from zoo.engine.distributed.notices import is_peer_error
from zoo.engine.distributed.world import ALONE, World
from zoo.errors import NotFinite, OptionError, PeerError, ReportedByPeer, ZooError

#: Maximum time that a process waits for another one, for example while the first process downloads weights.
TIMEOUT = timedelta(hours=1)
#: Seconds to wait for the first process to raise the same error; if it does, only the first process reports it.
ECHO = 2.0
#: Seconds between two checks of the store.
PERIOD = 0.01

_current: World | None = None


def get_world() -> World:
    """Return the processes of this run; `ALONE` if this process has not joined any."""
    return _current or ALONE


@contextmanager
def join_world() -> Iterator[World]:
    """Return a context in which this process has joined those that torchrun started, if there are any."""
    global _current  # noqa: PLW0603  # torch also has one default group per process
    if os.environ.get("WORLD_SIZE", "1") == "1" or _current is not None:
        yield get_world()
        return
    _current = world = _join()
    try:
        yield world
        if dist.is_initialized():  # it was destroyed if another process died
            dist.destroy_process_group()
    except BaseException as error:
        replacement = _leave(world, error)
        if replacement is error:
            raise
        raise replacement from error
    finally:
        _current = None


def _join() -> World:
    place = read_place()
    rank, size = place.rank, place.size
    if dist.is_initialized():  # left over from a run that ended with an error
        dist.destroy_process_group()
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        store, _, _ = next(rendezvous("env://", rank, size, timeout=TIMEOUT))
        store = meet(PrefixStore(os.environ.get("TORCHELASTIC_RUN_ID", ""), store), rank, size)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
        # A process that ends with an error must not close its connections while others are still connecting to it.
        store.set(f"joined/{rank}", "")
        store.wait([f"joined/{other}" for other in range(size)])
    except (RuntimeError, ValueError) as error:  # ValueError if a variable of torchrun is missing
        reason, _, _ = str(error).partition("\n")
        raise PeerError(f"rank {rank} cannot join the other processes: {reason}") from error
    return replace(place, store=store)


def read_place() -> World:
    """Return the ranks and numbers of processes that torchrun sets, without a store.

    Raises:
        OptionError: If something else has set one of its variables.
    """
    names = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    texts = {name: os.environ.get(name, default) for name, default in names.items()}
    for name, text in texts.items():
        if not re.fullmatch("[0-9]{1,9}", text):
            raise OptionError(
                f"the environment variable {name} must be a whole number, as torchrun sets it, got {text!r}; unset it, "
                "or start zoo with torchrun."
            )
    rank, size, local_rank, local_size = map(int, texts.values())
    place = World(rank, size, local_rank, local_size)
    if place.rank >= place.size or place.local_rank >= place.local_size:
        raise OptionError(
            f"rank {place.rank} of {place.size} processes, {place.local_rank} of {place.local_size} on this machine, "
            "is impossible; unset the environment variables RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE, or "
            "start zoo with torchrun."
        )
    return place


def meet(store: Store, rank: int, size: int) -> Store:
    """Wait for all processes, and return the part of the store that only they use.

    When torchrun restarts its processes, they get the same store, which still contains the addresses and exit notices
    of the earlier ones. Each machine counts restarts for itself, so the counts may differ. Therefore each process
    writes a random token, and the first process answers the tokens until every rank has confirmed the answer.
    """
    token = uuid.uuid4().hex
    if rank:
        store.set(f"join/{rank}", token)
        name = store.get(f"answer/{token}").decode()  # this waits for the answer
        store.set(f"met/{name}/{rank}", "")
        return PrefixStore(name, store)
    deadline = time.monotonic() + TIMEOUT.total_seconds()
    for other in range(1, size):
        while not store.check([f"met/{token}/{other}"]):
            if time.monotonic() > deadline:
                raise PeerError(f"rank {other} did not join within {TIMEOUT}; start all processes together.")
            if store.check([f"join/{other}"]):
                store.set(f"answer/{store.get(f'join/{other}').decode()}", token)
            time.sleep(PERIOD)
    return PrefixStore(token, store)


def _leave(world: World, error: BaseException) -> BaseException:
    """Leave the reason for the other processes, and return the error to raise here. Only one process reports it."""
    if is_peer_error(error):  # raised inside a sharded network
        error = world.notices.explain(error)
    text = "it was interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__} {error}".strip()
    text = str(error) if isinstance(error, ZooError) else text
    if isinstance(error, PeerError):
        return error if world.is_first or not error.is_reported_by_first else ReportedByPeer(text)
    world.notices.leave(text)
    if world.is_first or not isinstance(error, ZooError):
        return error
    # If the loss is not finite, all processes raise this error, and the first one saves a checkpoint before it reports
    # the error.
    patience = TIMEOUT.total_seconds() if isinstance(error, NotFinite) else ECHO
    is_reported = world.notices.read([0], patience).get(0) == text
    return ReportedByPeer(text) if is_reported else type(error)(f"rank {world.rank}: {text}")
