"""One optimizer step: forwards and backwards, a look at what came of it, and only then the move."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from zoo.engine.batch_share import Share, make_share
from zoo.engine.gradient_sync import pool
from zoo.engine.interrupts import undisturbed
from zoo.engine.learner import Learned, Learner
from zoo.engine.torch_compile import CannotCompile
from zoo.errors import LostProcess, NotFinite, TrainingError, is_out_of_memory
from zoo.models.sharding import part, whole

Result = TypeVar("Result")


def take_step(
    learner: Learner, images: Tensor, labels: Tensor, seed: int, note: Callable[[Learned], None] = lambda _learned: None
) -> Learned:
    """Learn from a batch, compiled if that can be, and note what was learned; signals do not tear that apart."""
    with undisturbed():
        try:
            learned = learn(learner, images, labels, seed)
        except CannotCompile as error:
            reason = error
        else:
            note(learned)
            return learned
    # A signal that was put off has ended this by now: Ctrl-C reaches compilers as well, which then are not to blame.
    learner.give_up_compiling(reason)
    return take_step(learner, images, labels, seed, note)


def learn(learner: Learner, images: Tensor, labels: Tensor, seed: int) -> Learned:
    """Learn from a batch, of which each process has its share.

    Args:
        learner: the model and what changes it.
        images: (N, C, H, W), or features (N, width); N is 0 where other processes have them all.
        labels: of shape (N,).
        seed: of what dropouts drop, and of what is mixed with what.

    Raises:
        NotFinite: nothing has moved.
        TrainingError: memory is short even for the fewest images at a time.
        LostProcess: another process is gone; nothing has moved.
        CannotCompile: nothing has moved.
    """
    share = make_share(learner, images, labels)
    before = _Before(learner)

    def work() -> Learned:
        torch.manual_seed(seed)
        mine = _require_compiled(learner, _all_or_none(learner, partial(_go_through, learner, share)))
        learned = pool(learner, mine, before.buffers)
        _move(learner, learned.loss)
        return learned

    try:
        return learner.parts.attempt(share.largest, partial(_end_alone, learner, work), before.undo)
    except (NotFinite, CannotCompile):
        before.restore()
        raise
    except LostProcess:
        before.undo()
        raise


class _Short(torch.OutOfMemoryError):
    """Memory is short, and all processes know."""


def _all_or_none(learner: Learner, work: Callable[[], Result]) -> Result:
    """Do work for which memory suffices in all processes, or is short in all of them."""
    world = learner.hardware.world
    if learner.parts.is_fixed:
        return world.waiting(work)
    try:
        return world.together(work, is_out_of_memory, _Short)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise _Short(str(error)) from error


def _end_alone(learner: Learner, work: Callable[[], Result]) -> Result:
    """Do work that cannot be done again where the other processes do not know that memory was short."""
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        is_known = learner.hardware.world.size == 1 or learner.parts.is_fixed or isinstance(error, _Short)
        if is_known or not is_out_of_memory(error):
            raise
        raise TrainingError(f"memory is too short for what the processes exchange: {error}") from error


def _remember(optimizer: Optimizer) -> None:
    """Let the optimizer take the memory that it takes at its first step, and move nothing."""
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    optimizer.step()
    for slots in optimizer.state.values():
        for slot in slots.values():
            slot.zero_()


class _Before:
    """What a step that does not come to its end may have changed."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        # Statistics of a pass that was not learned from.
        self.buffers = [
            buffer for module in learner.model.modules() if module.training for buffer in module.buffers(recurse=False)
        ]
        self._values = [buffer.clone() for buffer in self.buffers]
        # Groups move one after the other; the smallest parameter of each tells whether it has. (Fused steps leave
        # torch's own count of changes as it is.)
        smallest = [min(group["params"], key=lambda p: part(p).numel()) for group in learner.optimizer.param_groups]
        self._witnesses = [part(parameter.detach()) for parameter in smallest]
        self._testimony = [parameter.clone() for parameter in self._witnesses]

    def undo(self) -> None:
        """Put it back, to try again.

        Raises:
            TrainingError: some of the weights have moved already.
        """
        if any(not torch.equal(now, then) for now, then in zip(self._witnesses, self._testimony, strict=True)):
            raise TrainingError(
                "memory is too short for what the optimizer remembers; take --optimizer sgd, or a smaller backbone."
            )
        learner = self._learner
        if not learner.steps:
            learner.optimizer.state.clear()  # which may be there in part
        if learner.scaler.is_enabled():
            learner.scaler.update(learner.scaler.get_scale())  # else it takes the gradients for unscaled
        self.restore()

    def restore(self) -> None:
        """Put back the statistics."""
        self._learner.optimizer.zero_grad(set_to_none=True)
        for buffer, value in zip(self.buffers, self._values, strict=True):
            buffer.copy_(value)


def _go_through(learner: Learner, share: Share) -> Learned | CannotCompile:
    work = partial(_collect_gradients, learner, share)
    return learner.compiled.attempt(work) if learner.compiled else work()


def _require_compiled(learner: Learner, mine: Learned | CannotCompile) -> Learned:
    """Return what was learned; raise CannotCompile in all processes where one of them cannot compile."""

    def get() -> Learned:
        if isinstance(mine, CannotCompile):
            raise mine
        return mine

    if not learner.compiled:
        return get()
    return learner.hardware.world.together(get, lambda error: isinstance(error, CannotCompile), CannotCompile)


def _collect_gradients(learner: Learner, share: Share) -> Learned:
    """Go through a share of a batch forwards and backwards, part by part."""
    learner.optimizer.zero_grad(set_to_none=True)
    device, criterion = learner.hardware.device, learner.criterion
    total, correct = torch.zeros((), device=device), torch.zeros((), device=device, dtype=torch.int64)
    with learner.norms.among(share.sharing) if learner.norms else nullcontext():
        model = learner.choose_model(len(share.targets))
        for images, targets, answers in share.mix(learner).split(learner):
            with learner.hardware.autocast():
                loss, logits = criterion(model(images), targets)
            loss = loss * (criterion.weigh(targets) / share.whole)  # of its part in the mean over the whole batch
            learner.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch's own
            total += loss.detach()
            correct += (logits.detach().argmax(1) == answers).sum()
    return Learned(total, correct, share.count)


def _move(learner: Learner, loss: Tensor) -> None:
    """Let the optimizer move, after a look at what would move it."""
    learner.scaler.unscale_(learner.optimizer)
    parameters = [p for group in learner.optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    # With fp16 the scaler itself passes over a step whose gradients overflowed, and scales less from then on.
    length = whole(norm).float().to(loss.device)
    watched = loss if learner.scaler.is_enabled() else torch.stack((loss.float(), length))
    scale = learner.scaler.get_scale()
    if scale < 1 or not watched.isfinite().all():  # below one it is no overflow: the gradients are no numbers
        rate = learner.optimizer.param_groups[0]["highest_lr"] * learner.lr_factor()
        raise NotFinite(f"loss {loss.item():.4g} with gradient norm {length.item():.4g}, learning rate {rate:.2g}")
    if learner.clip_norm is not None:
        torch.nn.utils.clip_grads_with_norm_(parameters, learner.clip_norm, norm)
    if learner.hardware.world.size > 1 and not learner.steps and length.isfinite():
        # In all processes or in none: those that have moved could not try again.
        _all_or_none(learner, partial(_remember, learner.optimizer))
    learner.schedule.prepare(learner.optimizer, learner.steps)
    learner.scaler.step(learner.optimizer)
    learner.scaler.update()
    if learner.scaler.get_scale() >= scale:  # else the step was passed over
        learner.steps += 1
        if learner.average:
            learner.average.update(learner.steps)
