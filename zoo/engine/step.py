"""One training step: forward pass, backward pass, and an optimizer step that is taken only if all of it is finite.

A step is taken whole or not at all. What makes it so stands around it: out of memory, it is taken again in more
micro-batches; a network that cannot be compiled takes it uncompiled; a signal waits until it is over.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor

from zoo.engine.distributed.agreement import agreeing, allocating_together, ending_together
from zoo.engine.gradient_sync import sync_gradients
from zoo.engine.interrupts import undisturbed
from zoo.engine.learner import Learner, StepResult
from zoo.engine.local_batch import LocalBatch, make_local_batch
from zoo.engine.torch_compile import CannotCompile
from zoo.errors import LostProcess, NotFinite
from zoo.models.sharding import whole


def take_step(
    learner: Learner,
    images: Tensor,
    labels: Tensor,
    seed: int,
    note: Callable[[StepResult], None] = lambda _learned: None,
) -> StepResult:
    """Learn from a batch, compiled if that can be, and note what was learned; signals wait until both is done."""
    with undisturbed():
        try:
            learned = learn(learner, images, labels, seed)
        except CannotCompile as error:
            reason = str(error)  # not the error, whose traceback holds the tensors of the failed attempt
        else:
            note(learned)
            return learned
    # A signal that waited has been raised by now: Ctrl-C reaches compilers as well, which then are not to blame.
    learner.give_up_compiling(reason)
    return take_step(learner, images, labels, seed, note)


def learn(learner: Learner, images: Tensor, labels: Tensor, seed: int) -> StepResult:
    """Learn from a batch, or from this process's share of one; out of memory, again in more micro-batches.

    Args:
        learner: the model and what changes it.
        images: (N, C, H, W), or features (N, width); N is 0 if other processes have all images of the batch.
        labels: (N,).
        seed: of dropouts, and of what is mixed with what.

    Raises:
        NotFinite: the loss or a gradient is not finite; nothing has changed.
        TrainingError: there is not enough memory even for the smallest micro-batches.
        LostProcess: another process is gone; nothing has changed.
        CannotCompile: nothing has changed.
    """
    share = make_local_batch(learner, images, labels)
    snapshot = learner.take_snapshot()
    undo = partial(snapshot.undo, is_first=not learner.steps)
    try:
        return learner.parts.attempt(share.largest, partial(_step, learner, share, seed), undo)
    except (NotFinite, CannotCompile):
        snapshot.restore()
        raise
    except LostProcess:
        undo()
        raise


def _step(learner: Learner, share: LocalBatch, seed: int) -> StepResult:
    torch.manual_seed(seed)
    hardware, criterion, scaler = learner.hardware, learner.criterion, learner.scaler
    sharing_norms = learner.norms.among(share.sharing) if learner.norms else nullcontext()
    with agreeing(learner), sharing_norms:
        learner.optimizer.zero_grad(set_to_none=True)
        loss_sum = torch.zeros((), device=hardware.device)
        correct = torch.zeros((), device=hardware.device, dtype=torch.int64)
        model = learner.choose_model(len(share.targets))
        for images, targets, answers in share.mix(learner).split(learner):
            with hardware.autocast():
                loss, logits = criterion(model(images), targets)
            loss = loss * (criterion.weigh(targets) / share.whole)  # its part in the mean over the whole batch
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch's own
            loss_sum += loss.detach()
            correct += (logits.detach().argmax(1) == answers).sum()
    with ending_together(learner):
        learned = sync_gradients(learner, StepResult(loss_sum, correct, share.count))
        _optimizer_step(learner, learned.loss)
    return learned


def _optimizer_step(learner: Learner, loss: Tensor) -> None:
    """Let the optimizer step, after a look at the loss and at what it would step by."""
    optimizer, scaler = learner.optimizer, learner.scaler
    scaler.unscale_(optimizer)
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    total_norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    norm = whole(total_norm).float().to(loss.device)
    # With fp16 the scaler itself skips a step whose gradients overflowed, and lowers its scale.
    watched = loss if scaler.is_enabled() else torch.stack((loss.float(), norm))
    scale = scaler.get_scale()
    if scale < 1 or not watched.isfinite().all():  # below 1 it is no overflow: the gradients are not finite at all
        lr = optimizer.param_groups[0]["highest_lr"] * learner.lr_factor()
        raise NotFinite(f"loss {loss.item():.4g} with gradient norm {norm.item():.4g}, learning rate {lr:.2g}")
    if learner.clip_norm is not None:
        torch.nn.utils.clip_grads_with_norm_(parameters, learner.clip_norm, total_norm)
    if not learner.steps and norm.isfinite():
        allocating_together(learner)
    learner.schedule.prepare(optimizer, learner.steps)
    scaler.step(optimizer)
    scaler.update()
    if scaler.get_scale() >= scale:  # else the scaler skipped the step
        learner.steps += 1
        if learner.average:
            learner.average.update(learner.steps)
