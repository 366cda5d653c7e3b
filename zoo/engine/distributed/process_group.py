"""How a process joins the others of its run, and leaves them with a word."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from zoo.engine.distributed.notices import is_of_others
from zoo.engine.distributed.rendezvous import meet
from zoo.engine.distributed.world import ALONE, World
from zoo.errors import LostProcess, NotFinite, SaidElsewhere, ZooError

#: How long one process waits for another that is busy, as the first may be with fetching weights.
TIMEOUT = timedelta(hours=1)
#: Seconds in which the first process comes to the same error, if it does: then it alone says it.
ECHO = 2.0

_joined: World | None = None


def get_world() -> World:
    """Return the processes that this one has joined, or that it is alone."""
    return _joined or ALONE


@contextmanager
def join_world() -> Iterator[World]:
    """Join the processes that torchrun started together with this one, if it did, until the block is over."""
    global _joined  # noqa: PLW0603  # torch has one such group for a process as well
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or _joined is not None:
        yield get_world()
        return
    _joined = world = _join(size)
    try:
        yield world
        if dist.is_initialized():  # else another one was lost, and that was caught
            dist.destroy_process_group()
    except BaseException as error:
        told = _leave(world, error)
        if told is error:
            raise
        raise told from error
    finally:
        _joined = None


def _join(size: int) -> World:
    rank, local_rank, local_size = (
        int(os.environ.get(name, default))
        for name, default in (("RANK", "0"), ("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "1"))
    )
    if dist.is_initialized():  # by a run that ended with an error
        dist.destroy_process_group()
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        store, _, _ = next(rendezvous("env://", rank, size, timeout=TIMEOUT))
        store = meet(PrefixStore(os.environ.get("TORCHELASTIC_RUN_ID", ""), store), rank, size, TIMEOUT)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
    except RuntimeError as error:
        reason, _, _ = str(error).partition("\n")
        raise LostProcess(f"rank {rank} cannot meet the others: {reason}") from error
    return World(rank, size, local_rank, local_size, store)


def _leave(world: World, error: BaseException) -> BaseException:
    """Tell the others why this process ends, and return what it ends with: what another one says is said once."""
    if is_of_others(error):  # in the middle of a network that is divided
        error = world.notices.explain(error)
    text = _describe(error)
    if isinstance(error, LostProcess):
        return error if world.is_first or not error.is_first_there else SaidElsewhere(text)
    world.notices.leave(text)
    if world.is_first or not isinstance(error, ZooError):
        return error
    # What is not finite is so in all of them, and the first one saves its state before it says so.
    patience = TIMEOUT.total_seconds() if isinstance(error, NotFinite) else ECHO
    is_said = world.notices.read([0], patience).get(0) == text
    return SaidElsewhere(text) if is_said else type(error)(f"rank {world.rank}: {text}")


def _describe(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "it was interrupted"
    return str(error) if isinstance(error, ZooError) else f"{type(error).__name__} {error}".strip()
