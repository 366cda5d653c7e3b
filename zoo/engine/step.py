"""One training step: forward pass, backward pass, and an optimizer step if the loss and the gradients are finite.

A step is either completed or undone. If memory runs out, it is retried with more micro-batches. If the model cannot be
compiled, it is retried uncompiled. Signals are deferred until the step is complete.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from zoo.data.loader import Batch
from zoo.engine.device import seed_generators
from zoo.engine.finite_check import requiring_finite
from zoo.engine.interrupts import deferring_signals
from zoo.engine.learner import Learner, StepResult
from zoo.engine.local_batch import LocalBatch, make_local_batch
from zoo.engine.snapshot import Snapshot
from zoo.engine.torch_compile import CannotCompile
from zoo.engine.tracebacks import free_tensors
from zoo.errors import NotEnoughMemory, NotFinite, PeerError, TrainingError
from zoo.models.sharding import full_tensor


def take_step(
    learner: Learner, batch: Batch, seed: int, record: Callable[[StepResult], None] = lambda _result: None
) -> StepResult:
    """Train on a batch, using the compiled model if possible, and record the result.

    Signals are deferred until both are done.
    """
    with deferring_signals():
        try:
            result = learn(learner, batch, seed)
        except CannotCompile as error:
            reason = str(error)
            free_tensors(error)
        else:
            record(result)
            return result
    # Ctrl-C also kills a running compiler. In that case, raising the signal above ends the run before the compiler is
    # blamed.
    learner.give_up_compiling(reason)
    return take_step(learner, batch, seed, record)


def learn(learner: Learner, batch: Batch, seed: int) -> StepResult:
    """Train on a batch, or on this process's part of it; if memory runs out, retry with more micro-batches.

    Args:
        learner: Model to train, with its optimizer.
        batch: Images of shape (N, C, H, W), or features of shape (N, width); labels of shape (N,); and any loss
            weights of shape (N,). N is 0 if the other processes have all images of the batch.
        seed: Seed of dropout, mixup and CutMix.

    Raises:
        NotFinite: If the loss or a gradient is not finite. The model is unchanged.
        TrainingError: If memory is insufficient even for the smallest micro-batches, or if the loss depends on no
            parameter that is trained.
        NotEnoughMemory: If memory runs out in a step that the other processes cannot repeat. The model is unchanged.
        PeerError: If another process has died. The model is unchanged.
        CannotCompile: If the model cannot be compiled. The model is unchanged.
    """
    local_batch = make_local_batch(learner, batch)
    snapshot = Snapshot(learner)
    step = partial(_step, learner, local_batch, seed)
    try:
        return learner.micro_batches.attempt(local_batch.max_local_size, step, snapshot.undo)
    except (NotFinite, CannotCompile):
        snapshot.restore()
        raise
    except (PeerError, NotEnoughMemory):
        snapshot.undo()
        raise


def _step(learner: Learner, local_batch: LocalBatch, seed: int) -> StepResult:
    seed_generators(seed, learner.hardware.device)
    with learner.replica.stepping(local_batch.global_size, learner.steps):
        result = _compute_gradients(learner, local_batch)
        _optimizer_step(learner, result.loss)
    return result


def _compute_gradients(learner: Learner, local_batch: LocalBatch) -> StepResult:
    hardware, criterion, replica = learner.hardware, learner.criterion, learner.replica
    model = learner.compiled.choose(local_batch.size) if learner.compiled else learner.model
    learner.optimizer.zero_grad(set_to_none=True)
    loss_sum = torch.zeros((), device=hardware.device)
    correct = torch.zeros((), device=hardware.device, dtype=torch.int64)
    with replica.averaging(local_batch.size, learner.compiled), learner.syncing_norms():
        for is_last, (images, labels, *targets) in local_batch.split(learner):
            with hardware.autocast():
                loss, logits = replica.compute_loss(model, images, *targets, is_last=is_last)
            _require_gradient(loss)
            loss = loss * (criterion.weigh(*targets) / local_batch.total_weight)
            # In a method of a tensor, the mode that synchronizes norms is off, but checkpoints run norms again.
            torch.autograd.backward(get_gradient_edge(learner.scaler.scale(loss * replica.factor)))
            loss_sum += loss.detach()
            correct += (logits.argmax(1) == labels).sum()
    return _share(learner, StepResult(loss_sum, correct, local_batch.global_size))


def _share(learner: Learner, local: StepResult) -> StepResult:
    """Return the result of the global batch, and copy the first process's batch norm statistics to the others."""
    world = learner.hardware.world
    if world.size == 1:
        return local
    loss, correct = world.sum_(torch.stack((local.loss, local.correct.float())))
    modules = (module for module in learner.model.modules() if module.training)
    world.broadcast_([buffer for module in modules for buffer in module.buffers(recurse=False)])
    return StepResult(loss, correct.long(), local.count)


def _require_gradient(loss: Tensor) -> None:
    """Raise TrainingError if no gradient of the loss can reach a parameter."""
    if not loss.requires_grad:
        raise TrainingError(
            "no gradient reaches any parameter to be trained, because the logits do not depend on them, or because "
            "the forward pass runs under torch.no_grad(); choose another `train`, or correct the network."
        )


def _optimizer_step(learner: Learner, loss: Tensor) -> None:
    """Take an optimizer step if the loss and the gradients are finite."""
    optimizer, scaler = learner.optimizer, learner.scaler
    scaler.unscale_(optimizer)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    total_norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    norm = full_tensor(total_norm).float().to(loss.device)
    if learner.clip_norm is not None:
        torch.nn.utils.clip_grads_with_norm_(parameters, learner.clip_norm, total_norm)
    learner.schedule.prepare(optimizer, learner.steps)
    # With fp16, the scaler itself skips a step whose gradients overflow, and then lowers its scale. A scale below 1
    # means that the gradients are not finite at any scale.
    scale = scaler.get_scale()
    is_finite = loss.isfinite() & (scale >= 1) if scaler.is_enabled() else loss.isfinite() & norm.isfinite()
    with requiring_finite(learner, is_finite, partial(_describe, learner, loss, norm)):
        scaler.step(optimizer)
    scaler.update()
    if scaler.get_scale() >= scale:  # Otherwise the scaler has skipped the step.
        learner.steps += 1
        if learner.average:
            learner.average.update(learner.steps)


def _describe(learner: Learner, loss: Tensor, norm: Tensor) -> str:
    lr = learner.optimizer.param_groups[0]["lr"]
    return f"loss {loss.item():.4g} with gradient norm {norm.item():.4g}, learning rate {lr:.2g}"
