"""Promises of a forward pass."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from zoo.testing.backbone_under_test import BackboneUnderTest, tells_apart
from zoo.testing.results.result import CheckFailed, NotApplicable

#: How far kernels for other batch sizes may differ, as a fraction of the largest logit.
TOLERANCE = 1e-3


def logits(backbone: BackboneUnderTest) -> None:
    """Two images, on the meta device, in eval mode."""
    wanted = (2, backbone.spec.num_classes)
    try:
        output = backbone.traced.output
    except Exception as error:
        shown = "x".join(map(str, backbone.spec.input.size))
        raise CheckFailed(f"it cannot take images of {shown}: {type(error).__name__}: {error}; mend input.") from error
    found = tuple(output.shape) if isinstance(output, Tensor) else f"a {type(output).__name__}"
    if found != wanted:
        raise CheckFailed(
            f"in eval mode it gives {found} for two images; let forward() return logits, of shape {wanted}."
        )


def smallest(backbone: BackboneUnderTest) -> None:
    """On the meta device, in eval mode and in training."""
    side = backbone.spec.input.min_size
    if side is None:
        raise NotApplicable("it declares no min_size; other checks use its own size")
    # A pass in training that fails at every size is not the smallest one's fault; head.complete reports it.
    if isinstance(backbone.trained, Exception) and isinstance(backbone.try_training(backbone.spec.input.size), list):
        raise CheckFailed(f"in training it cannot take {side} pixels: {backbone.trained}; raise min_size.")
    num_classes = backbone.spec.num_classes
    model, _ = backbone.attach_heads(num_classes)
    images = backbone.make_meta_images(backbone.smallest_size)
    expect_logits(model, images, num_classes, "in eval mode", "raise min_size")


@torch.no_grad()
def refuses(backbone: BackboneUnderTest) -> None:
    """On the meta device: one channel more, which no network can mean."""
    channels, height, width = backbone.spec.input.size
    try:
        backbone.meta.eval()(backbone.make_meta_images((channels + 1, height, width)))
    except Exception as error:
        if not str(error).strip():
            raise CheckFailed(
                f"{channels + 1} channels are refused by {type(error).__name__}, without a word; say what it takes."
            ) from error
        return
    raise CheckFailed(f"it takes images of {channels + 1} channels, though it declares {channels}; let it raise.")


def repeatable(backbone: BackboneUnderTest) -> None:
    """In eval mode, on the CPU."""
    if not backbone.first_logits.isfinite().all():
        raise CheckFailed("with random weights its logits are not finite; initialise it so that they are.")
    if not tells_apart(backbone.prediction.logits):
        raise CheckFailed(
            "with random weights it gives every class or every image the same logits; initialise it so that they "
            "differ, or raise min_size."
        )
    if not torch.equal(backbone.first_logits, backbone.run(backbone.images[:1])):
        raise CheckFailed(
            "in eval mode it gives other logits for the same images; let nothing be random or kept there."
        )


@torch.no_grad()
def independent(backbone: BackboneUnderTest) -> None:
    """In eval mode, on the CPU: an image alone, up to the rounding of kernels for other batch sizes."""
    if are_close(backbone.first_logits, backbone.prediction.logits[:1], TOLERANCE):
        return
    # Deep networks can amplify rounding: double precision decides.
    model, images = copy.deepcopy(backbone.network.model).double().eval(), backbone.images.double()
    if not are_close(model(images[:1]), model(images)[:1], TOLERANCE):
        raise CheckFailed(
            "in eval mode an image's logits depend on the rest of its batch; normalise by kept statistics."
        )


@torch.no_grad()
def expect_logits(model: nn.Module, images: Tensor, num_classes: int, when: str, cure: str) -> None:
    """Raise CheckFailed if the model does not give logits of shape (N, num_classes)."""
    wanted = len(images), num_classes
    try:
        shape = tuple(model(images).shape)
    except Exception as error:
        raise CheckFailed(f"{when} it cannot take {tuple(images.shape[1:])}: {error}; {cure}.") from error
    if shape != wanted:
        raise CheckFailed(f"{when} it gives {shape}, not {wanted}; {cure}.")


def are_close(found: Tensor, wanted: Tensor, tolerance: float) -> bool:
    """Compare logits; the tolerance is a fraction of the largest one."""
    scale = wanted.abs().max().item()
    return torch.allclose(found.float(), wanted.float(), rtol=0, atol=tolerance * max(scale, 1e-30))
