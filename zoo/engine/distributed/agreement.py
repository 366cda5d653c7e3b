"""What all processes of a run do or none of them: going on with a step, trying it again, or ending."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch.optim import Optimizer

from zoo.engine.learner import Learner
from zoo.engine.torch_compile import CannotCompile
from zoo.errors import TrainingError, is_out_of_memory


class OutOfMemoryEverywhere(torch.OutOfMemoryError):
    """A process is out of memory, and all processes know."""


@contextmanager
def agreeing(learner: Learner) -> Iterator[None]:
    """Go through the network in all processes, or raise the same in all of them if one cannot.

    Raises:
        OutOfMemoryEverywhere: one of them is out of memory.
        CannotCompile: one of them cannot compile the network.
        LostProcess: another one is gone.
    """
    world, failure = learner.hardware.world, None
    # The processes wait for each other within the network, so no step can be retried.
    if learner.micro_batches.is_fixed:
        with world.waiting():
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
        _share_memory(learner, failure)
        if learner.compiled:
            world.raise_together(failure if isinstance(failure, CannotCompile) else None, CannotCompile)
    finally:
        del failure  # else it holds on to this frame, and to all the memory of what failed


def _share_memory(learner: Learner, failure: BaseException | None) -> None:
    text = str(failure) if failure is not None and is_out_of_memory(failure) else None
    del failure  # which holds on to the memory of what failed, and this frame to it
    short = None if text is None else OutOfMemoryEverywhere(text)
    try:
        learner.hardware.world.raise_together(short, OutOfMemoryEverywhere)
    finally:
        del short


@contextmanager
def ending_together(learner: Learner) -> Iterator[None]:
    """End the run if memory is short where the others do not know, and so cannot try again.

    Raises:
        TrainingError: memory is short for what the processes exchange.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        is_known = learner.hardware.world.size == 1 or learner.micro_batches.is_fixed
        if is_known or isinstance(error, OutOfMemoryEverywhere) or not is_out_of_memory(error):
            raise
        raise TrainingError(f"not enough memory for what the processes exchange: {error}") from error


def allocating_together(learner: Learner) -> None:
    """Let the optimizers of all processes take their memory, or of none: those that have stepped could not try again.

    Raises:
        OutOfMemoryEverywhere: one of them is out of memory.
    """
    world, failure = learner.hardware.world, None
    if world.size == 1:
        return
    if learner.micro_batches.is_fixed:
        with world.waiting():
            _allocate(learner.optimizer)
        return
    try:
        _allocate(learner.optimizer)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        failure = error
    try:
        _share_memory(learner, failure)
    finally:
        del failure


def _allocate(optimizer: Optimizer) -> None:
    """Let the optimizer take the memory that it takes at its first step, and change nothing."""
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    optimizer.step()
    for slots in optimizer.state.values():
        for slot in slots.values():
            slot.zero_()
