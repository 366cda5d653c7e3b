"""Join the other processes of a run, and tell them why this one leaves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from zoo.engine.distributed.notices import is_peer_error
from zoo.engine.distributed.rendezvous import meet
from zoo.engine.distributed.world import ALONE, World
from zoo.errors import NotFinite, PeerError, ReportedByPeer, ZooError

#: Maximum time that a process waits for another one, for example while the first process downloads weights.
TIMEOUT = timedelta(hours=1)
#: Seconds to wait for the first process to raise the same error; if it does, only the first process reports it.
ECHO = 2.0

_current: World | None = None


def get_world() -> World:
    """Return the processes of this run; `ALONE` if this process has not joined any."""
    return _current or ALONE


@contextmanager
def join_world() -> Iterator[World]:
    """Return a context in which this process has joined those that torchrun started, if there are any."""
    global _current  # noqa: PLW0603  # torch also has one default group per process
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or _current is not None:
        yield get_world()
        return
    _current = world = _join(size)
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


def _join(size: int) -> World:
    rank, local_rank, local_size = (
        int(os.environ.get(name, default))
        for name, default in (("RANK", "0"), ("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "1"))
    )
    if dist.is_initialized():  # left over from a run that ended with an error
        dist.destroy_process_group()
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        store, _, _ = next(rendezvous("env://", rank, size, timeout=TIMEOUT))
        store = meet(PrefixStore(os.environ.get("TORCHELASTIC_RUN_ID", ""), store), rank, size, TIMEOUT)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
    except RuntimeError as error:
        reason, _, _ = str(error).partition("\n")
        raise PeerError(f"rank {rank} cannot join the other processes: {reason}") from error
    return World(rank, size, local_rank, local_size, store)


def _leave(world: World, error: BaseException) -> BaseException:
    """Leave the reason for the other processes, and return the error to raise here. Only one process reports it."""
    if is_peer_error(error):  # raised inside a sharded network
        error = world.notices.explain(error)
    text = _describe(error)
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


def _describe(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "it was interrupted"
    return str(error) if isinstance(error, ZooError) else f"{type(error).__name__} {error}".strip()
