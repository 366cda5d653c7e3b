"""Promises that a backbone may make besides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo.engine.device import Hardware
from zoo.engine.loop import Criterion
from zoo.testing.checks.forward import are_close
from zoo.testing.results import CheckFailed
from zoo.testing.training import draw_labels, freeze

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.testing.subject import Subject

#: bf16 keeps eight bits of a number; a deep network rounds often.
BF16_TOLERANCE = 0.1
#: Sides are lengthened by multiples of what networks usually divide an image by.
STEP = 32


def image_sizes(subject: Subject) -> None:
    """On the meta device."""
    channels, height, width = subject.backbone.input.size
    model, _ = subject.get_spare(2)
    for size in ((channels, height + STEP, width + STEP), (channels, height, width + 2 * STEP)):
        try:
            with torch.no_grad():
                shape = tuple(model(subject.draw_nothing(size)).shape)
        except Exception as error:
            raise CheckFailed(f"it cannot take {size}: {error}; do not claim image_sizes.") from error
        if shape != (2, 2):
            raise CheckFailed(f"from {size} it makes {shape}, not (2, 2); do not claim image_sizes.")


def bf16(subject: Subject) -> None:
    """As zoo trains with it: the parameters stay in fp32."""
    wanted = subject.run(subject.images)
    with Hardware(torch.device("cpu"), "bf16").autocast():
        found = subject.run(subject.images)
    if not found.isfinite().all() or not are_close(found, wanted, BF16_TOLERANCE):
        raise CheckFailed("in bf16 its logits are others; do not claim bf16, or compute what needs it in fp32.")


def gradient_checkpointing(subject: Subject) -> None:
    """By timm's convention, ``model.set_grad_checkpointing(enable)``."""
    model = subject.network.model
    switch = getattr(model, "set_grad_checkpointing", None)
    if switch is None:
        raise CheckFailed("it has no set_grad_checkpointing(enable); write it, or do not claim gradient_checkpointing.")
    plain = _compute_gradients(subject, model)
    switch(True)
    checkpointed = _compute_gradients(subject, model)
    switch(False)
    odd = [name for name, gradient in plain.items() if not are_close(checkpointed[name], gradient, 1e-4)]
    if odd:
        raise CheckFailed(f"with gradient checkpointing the gradient of {', '.join(odd[:3])} is another one.")


def export(subject: Subject) -> None:
    """In eval mode."""
    model = subject.network.model.eval()
    with torch.no_grad():
        program = torch.export.export(model, (subject.images,)).module()
        found = program(subject.images)
    if not are_close(found, subject.run(subject.images), 1e-4):
        raise CheckFailed("the exported program gives other logits; do not claim export.")


def compile(subject: Subject) -> None:  # noqa: A001  # a check's name
    """In eval mode, by torch's default compiler."""
    model = subject.network.model.eval()
    with torch.no_grad():
        found = torch.compile(model)(subject.images)
    torch.compiler.reset()
    if not are_close(found, subject.run(subject.images), 1e-3):
        raise CheckFailed("the compiled model gives other logits; do not claim compile.")


def _compute_gradients(subject: Subject, model: nn.Module) -> Mapping[str, Tensor]:
    freeze(subject, "all")
    model.eval()  # dropouts would differ between two passes; batch norms are bypassed alike
    model.zero_grad(set_to_none=True)
    torch.manual_seed(0)
    loss, _ = Criterion()(model(subject.images), draw_labels(subject))
    loss.backward()  # type: ignore[no-untyped-call]  # torch's own
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return gradients
