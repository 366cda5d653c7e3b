"""One optimizer step: forwards and backwards, a look at what came of it, and only then the move."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.engine.learner import Learner
from zoo.errors import TrainingError


class NotFinite(TrainingError):
    """A loss or a gradient is not finite; the step that it belongs to was not taken."""


@dataclass(frozen=True)
class Learned:
    """What a step saw."""

    #: The mean loss.
    loss: Tensor
    #: Of shape (N, classes).
    logits: Tensor
    #: Of shape (N,): the labels; of mixed images, those that have the larger share.
    labels: Tensor


def learn(learner: Learner, images: Tensor, labels: Tensor, seed: int) -> Learned:
    """Learn from a batch.

    Args:
        learner: the model and what changes it.
        images: (N, C, H, W), or features (N, width).
        labels: of shape (N,).
        seed: of what dropouts drop, and of what is mixed with what.

    Raises:
        NotFinite: nothing has moved.
        TrainingError: memory is short even for the fewest images at a time.
    """
    before = _Before(learner)

    def work() -> Learned:
        torch.manual_seed(seed)
        learned = _collect_gradients(learner, images, labels)
        _move(learner, learned.loss)
        return learned

    try:
        return learner.parts.attempt(len(labels), work, before.undo)
    except NotFinite:
        before.restore()
        raise


class _Before:
    """What a step that does not come to its end may have changed."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        # Statistics of a pass that was not learned from.
        self._buffers = [
            buffer for module in learner.model.modules() if module.training for buffer in module.buffers(recurse=False)
        ]
        self._values = [buffer.clone() for buffer in self._buffers]
        # Groups move one after the other; the smallest parameter of each tells whether it has. (Fused steps leave
        # torch's own count of changes as it is.)
        self._witnesses = [min(group["params"], key=Tensor.numel) for group in learner.optimizer.param_groups]
        self._testimony = [parameter.detach().clone() for parameter in self._witnesses]

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
        for buffer, value in zip(self._buffers, self._values, strict=True):
            buffer.copy_(value)


def _collect_gradients(learner: Learner, images: Tensor, labels: Tensor) -> Learned:
    """Go through the batch forwards and backwards, part by part."""
    learner.optimizer.zero_grad(set_to_none=True)
    images, targets = learner.mix(images, labels)
    answers = targets if targets.ndim == 1 else targets.argmax(1)
    criterion, whole = learner.criterion, learner.criterion.weigh(targets)
    losses, all_logits = [], []
    for some, of_them in learner.parts.split(images, targets):
        with learner.hardware.autocast():
            loss, logits = criterion(learner.model(some), of_them)
        loss = loss * (criterion.weigh(of_them) / whole) if learner.parts.count > 1 else loss
        learner.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch's own
        losses.append(loss.detach())
        all_logits.append(logits.detach())
    if len(losses) == 1:
        return Learned(losses[0], all_logits[0], answers)
    return Learned(torch.stack(losses).sum(), torch.cat(all_logits), answers)


def _move(learner: Learner, loss: Tensor) -> None:
    """Let the optimizer move, after a look at what would move it."""
    learner.scaler.unscale_(learner.optimizer)
    parameters = [p for group in learner.optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    # With fp16 the scaler itself passes over a step whose gradients overflowed, and scales less from then on.
    watched = loss if learner.scaler.is_enabled() else torch.stack((loss.float(), norm.float()))
    scale = learner.scaler.get_scale()
    if scale < 1 or not watched.isfinite().all():  # below one it is no overflow: the gradients are no numbers
        rate = learner.optimizer.param_groups[0]["highest_lr"] * learner.share()
        raise NotFinite(f"loss {loss.item():.4g} with gradient norm {norm.item():.4g}, learning rate {rate:.2g}")
    if learner.clip_norm is not None:
        torch.nn.utils.clip_grads_with_norm_(parameters, learner.clip_norm, norm)
    learner.schedule.prepare(learner.optimizer, learner.steps)
    learner.scaler.step(learner.optimizer)
    learner.scaler.update()
    if learner.scaler.get_scale() >= scale:  # else the step was passed over
        learner.steps += 1
        if learner.average:
            learner.average.update(learner.steps)
