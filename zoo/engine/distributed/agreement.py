"""Actions that all processes of a run take together: continue with a step, retry it, or stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch.optim import Optimizer

from zoo.engine.learner import Learner
from zoo.engine.torch_compile import CannotCompile
from zoo.errors import TrainingError, is_out_of_memory


class OutOfMemoryEverywhere(torch.OutOfMemoryError):
    """A process is out of memory, and all processes know it."""


@contextmanager
def raising_in_all(learner: Learner) -> Iterator[None]:
    """Return a context for the forward and backward pass; if either fails in one process, raise in all.

    Raises:
        OutOfMemoryEverywhere: If a process is out of memory.
        CannotCompile: If a process cannot compile the network.
        PeerError: If another process has died.
    """
    world, failure = learner.hardware.world, None
    # The processes wait for each other during the forward and backward pass, so no step can be retried.
    if learner.micro_batches.is_fixed:
        with world.reporting_peer_errors():
            yield
        return
    try:
        with learner.compiled.attempting() if learner.compiled else nullcontext():
            yield
    except (RuntimeError, MemoryError, CannotCompile) as error:
        if not (isinstance(error, CannotCompile) or is_out_of_memory(error)):
            raise
        failure = error
    try:
        _raise_if_any_out_of_memory(learner, failure)
        if learner.compiled:
            world.raise_in_all(failure if isinstance(failure, CannotCompile) else None, CannotCompile)
    finally:
        del failure  # it would keep this frame alive, and with it the memory of the failed attempt


def _raise_if_any_out_of_memory(learner: Learner, failure: BaseException | None) -> None:
    text = str(failure) if failure is not None and is_out_of_memory(failure) else None
    del failure  # it would keep the memory of the failed attempt alive, because the error below keeps this frame alive
    error = None if text is None else OutOfMemoryEverywhere(text)
    try:
        learner.hardware.world.raise_in_all(error, OutOfMemoryEverywhere)
    finally:
        del error


@contextmanager
def ending_if_out_of_memory(learner: Learner) -> Iterator[None]:
    """Return a context in which running out of memory ends the run, because the other processes cannot retry.

    Raises:
        TrainingError: If there is not enough memory for the communication between processes.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        is_known = learner.hardware.world.size == 1 or learner.micro_batches.is_fixed
        if is_known or isinstance(error, OutOfMemoryEverywhere) or not is_out_of_memory(error):
            raise
        raise TrainingError(f"not enough memory for the communication between processes: {error}") from error


def allocate_optimizer_state(learner: Learner) -> None:
    """Allocate the optimizer's state in all processes before any of them takes a step, which cannot be retried.

    Raises:
        OutOfMemoryEverywhere: If a process is out of memory.
    """
    world, failure = learner.hardware.world, None
    if world.size == 1:
        return
    if learner.micro_batches.is_fixed:
        with world.reporting_peer_errors():
            _allocate(learner.optimizer)
        return
    try:
        _allocate(learner.optimizer)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        failure = error
    try:
        _raise_if_any_out_of_memory(learner, failure)
    finally:
        del failure


def _allocate(optimizer: Optimizer) -> None:
    """Take a step with a learning rate of 0, which allocates the optimizer's state, and set that state to zero."""
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    optimizer.step()
    for state in optimizer.state.values():
        for tensor in state.values():
            tensor.zero_()
