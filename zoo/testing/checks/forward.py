"""Promises of a forward pass."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.testing.backbone_under_test import BATCH, tells_apart
from zoo.testing.results.result import CheckFailed, NotApplicable

if TYPE_CHECKING:
    from zoo.testing.backbone_under_test import Subject

#: How far apart, as a share of the largest logit, kernels for other batch sizes may end.
TOLERANCE = 1e-3


def logits(subject: Subject) -> None:
    """Two images, on the meta device, in eval mode."""
    wanted = (2, subject.backbone.num_classes)
    try:
        output = subject.traced.output
    except Exception as error:
        shown = "x".join(map(str, subject.backbone.input.size))
        raise CheckFailed(f"it cannot take images of {shown}: {type(error).__name__}: {error}; mend input.") from error
    found = tuple(output.shape) if isinstance(output, Tensor) else f"a {type(output).__name__}"
    if found != wanted:
        raise CheckFailed(
            f"in eval mode it gives {found} for two images; let forward() return logits, of shape {wanted}."
        )


def smallest(subject: Subject) -> None:
    """On the meta device, in eval mode and in training."""
    side = subject.backbone.input.min_size
    if side is None:
        raise NotApplicable("it declares no min_size; other checks use its own size")
    if isinstance(subject.trained, Exception) and not isinstance(_try_own_size(subject), Exception):
        raise CheckFailed(f"in training it cannot take {side} pixels: {subject.trained}; raise min_size.")
    if subject.smallest_size == subject.backbone.input.size:
        return  # forward.logits is that very pass
    wanted = (BATCH, subject.backbone.num_classes)  # as at its own size, which forward.logits has seen
    model, _ = subject.get_spare(subject.backbone.num_classes)
    try:
        with torch.no_grad():
            shape = tuple(model(subject.draw_nothing(subject.smallest_size)).shape)
    except Exception as error:
        raise CheckFailed(f"in eval mode it cannot take {side} pixels: {error}; raise min_size.") from error
    if shape != wanted:
        raise CheckFailed(f"from {side} pixels it makes {shape}, not logits of shape {wanted}; raise min_size.")


def refuses(subject: Subject) -> None:
    """On the meta device: one channel more, which no network can mean."""
    channels, *sides = subject.backbone.input.size
    wrong = (channels + 1, sides[0], sides[1])
    try:
        with torch.no_grad():
            subject.meta.eval()(subject.draw_nothing(wrong))
    except Exception as error:
        if not str(error).strip():
            raise CheckFailed(
                f"{channels + 1} channels are refused by {type(error).__name__}, without a word; say what it takes."
            ) from error
        return
    raise CheckFailed(f"it takes images of {channels + 1} channels, though it declares {channels}; let it raise.")


def repeatable(subject: Subject) -> None:
    """In eval mode, on the CPU."""
    first, second = subject.alone, subject.run(subject.images[:1])
    if not first.isfinite().all():
        raise CheckFailed("with random weights its logits are not finite; initialise it so that they are.")
    if not tells_apart(subject.answer.logits):
        raise CheckFailed(
            "with random weights it gives every class or every image the same logits; initialise it so that they "
            "differ, or raise min_size."
        )
    if not torch.equal(first, second):
        raise CheckFailed(
            "in eval mode it gives other logits for the same images; let nothing be random or kept there."
        )


def independent(subject: Subject) -> None:
    """In eval mode, on the CPU: an image alone, up to the rounding of kernels for other batch sizes."""
    close = are_close(subject.alone, subject.answer.logits[:1], TOLERANCE)
    if not close and not _is_independent_in_double(subject):  # deep networks can blow rounding up
        raise CheckFailed(
            "in eval mode an image's logits depend on the rest of its batch; normalise by kept statistics."
        )


def _is_independent_in_double(subject: Subject) -> bool:
    model, images = copy.deepcopy(subject.network.model).double().eval(), subject.images.double()
    with torch.no_grad():
        return are_close(model(images[:1]), model(images)[:1], TOLERANCE)


def _try_own_size(subject: Subject) -> object:
    """A pass in training that fails at every size is not the smallest one's fault; head.complete says whose."""
    return subject.try_training(subject.backbone.input.size)


def are_close(found: Tensor, wanted: Tensor, tolerance: float) -> bool:
    """Compare logits; the tolerance is a share of the largest one."""
    scale = wanted.abs().max().item()
    return torch.allclose(found.float(), wanted.float(), rtol=0, atol=tolerance * max(scale, 1e-30))
