"""Checks of the forward pass."""

from __future__ import annotations

import copy
import re

import torch
from torch import Tensor, nn

from zoo.errors import PluginError
from zoo.models.output_field import describe_output, list_tensor_fields
from zoo.registry.plugins.place import find_place
from zoo.testing.backbone_under_test import BackboneUnderTest, all_differ, generate_images
from zoo.testing.results.result import CheckFailed, NotApplicable

#: Largest difference between kernels for different batch sizes, as a fraction of the largest logit.
TOLERANCE = 1e-3


def logits(backbone: BackboneUnderTest) -> None:
    """Run two images on the meta device, in eval mode."""
    wanted = (2, backbone.spec.num_classes)
    try:
        output = backbone.traced.output
    except PluginError:  # its message says what to do
        raise
    except Exception as error:
        shown = "x".join(map(str, backbone.spec.input.size))
        reason, advice = _describe(error), choose_advice(error, "fix input")
        raise CheckFailed(f"it fails on images of {shown}: {reason}; {advice}.") from error
    found = tuple(output.shape) if isinstance(output, Tensor) else describe_output(output)
    if list_tensor_fields(output):
        raise CheckFailed(
            f"in eval mode, it returns {found} for two images; declare the one that holds the logits as output_field. "
            "If the model has no head, declare the one that holds the features, and their number in features."
        )
    if found != wanted:
        raise CheckFailed(
            f"in eval mode, it returns {found} for two images; forward() must return logits of shape {wanted}."
            f"{_advise(backbone, output)}"
        )


def _advise(backbone: BackboneUnderTest, output: object) -> str:
    """Return what to declare if the classes are declared wrong, or if the model returns features; else nothing."""
    if not isinstance(output, Tensor):
        return ""
    outputs = _count_outputs(backbone)
    if output.ndim == 2 and outputs == output.shape[1]:
        return f" Its head has {outputs} outputs, so declare num_classes={outputs}."
    if outputs == backbone.spec.num_classes:
        return ""
    if output.ndim == 2:
        return (
            f" If these are features, because the model has no head, declare features={output.shape[1]}, and in head "
            "the name of the layer that zoo adds."
        )
    return (
        " If these are features, because the model has no head, register a hook in build that pools them, and declare "
        "their number in features."
    )


def _count_outputs(backbone: BackboneUnderTest) -> int | None:
    """Return the number of outputs of the declared head, or None if there is no such layer."""
    try:
        return len(backbone.meta.get_parameter(f"{backbone.head.paths[0]}.weight"))
    except (PluginError, AttributeError):  # head.found reports it
        return None


def smallest(backbone: BackboneUnderTest) -> None:
    """Run images of min_size on the meta device, in eval mode and in training mode."""
    side = backbone.spec.input.min_size
    if side is None:
        raise NotApplicable("it declares no min_size, so the other checks use larger images")
    # If training fails at every size, min_size is not at fault; head.complete reports it.
    if isinstance(backbone.trained, Exception) and isinstance(backbone.try_training(backbone.spec.input.size), list):
        raise CheckFailed(f"in training mode, it fails on images of {side} pixels: {backbone.trained}; raise min_size.")
    num_classes = backbone.spec.num_classes
    model, _ = backbone.attach_heads(num_classes)
    images = backbone.make_meta_images(backbone.smallest_size)
    expect_logits(model, images, num_classes, "in eval mode", "raise min_size")


@torch.no_grad()
def refuses(backbone: BackboneUnderTest) -> None:
    """Run images with one more channel on the meta device; no network can legitimately accept them."""
    channels, height, width = backbone.spec.input.size
    try:
        backbone.meta.eval()(backbone.make_meta_images((channels + 1, height, width)))
    except Exception as error:
        if not str(error).strip():
            raise CheckFailed(
                f"images with {channels + 1} channels raise {type(error).__name__} without a message; "
                "describe the expected input in the message."
            ) from error
        return
    raise CheckFailed(f"it accepts images with {channels + 1} channels, but declares {channels}; raise an error.")


def repeatable(backbone: BackboneUnderTest) -> None:
    """Run the same images twice on the CPU, in eval mode."""
    first, images = backbone.run(backbone.images[:1]), backbone.images
    if not torch.equal(images, generate_images(backbone.smallest_size)):
        raise CheckFailed("forward() changes its images in place; compute new tensors instead.")
    if not first.isfinite().all():
        raise CheckFailed("with random weights, its logits are not finite; change the initialization.")
    if not all_differ(backbone.run(images)):
        raise CheckFailed(
            "with random weights, all classes or all images have the same logits; change the initialization, "
            "or raise min_size."
        )
    if not torch.equal(first, backbone.run(images[:1])):
        raise CheckFailed(
            "in eval mode, it returns different logits for the same images; make sure that forward() neither draws "
            "random numbers nor keeps state in eval mode."
        )


@torch.no_grad()
def independent(backbone: BackboneUnderTest) -> None:
    """Run an image alone on the CPU, in eval mode; kernels for different batch sizes may round differently."""
    images = backbone.images
    if are_close(backbone.run(images[:1]), backbone.run(images)[:1], TOLERANCE):
        return
    # Deep networks can amplify rounding errors, so double precision decides.
    model, images = copy.deepcopy(backbone.network.model).double().eval(), images.double()
    if not are_close(model(images[:1]), model(images)[:1], TOLERANCE):
        raise CheckFailed(
            "in eval mode, an image's logits depend on the rest of its batch; normalize with running statistics, "
            "and keep the order of the images."
        )


@torch.no_grad()
def expect_logits(model: nn.Module, images: Tensor, num_classes: int, when: str, advice: str) -> None:
    """Raise CheckFailed if the model does not return logits of shape (N, num_classes)."""
    wanted, size = (len(images), num_classes), tuple(images.shape[1:])
    try:
        output = model(images)
    except PluginError:  # as above
        raise
    except Exception as error:
        advice = choose_advice(error, advice)
        raise CheckFailed(f"{when}, it fails on images of shape {size}: {_describe(error)}; {advice}.") from error
    if not isinstance(output, Tensor):
        raise CheckFailed(
            f"{when}, it returns {describe_output(output)}; forward() must return logits of shape {wanted}."
        )
    shape = tuple(output.shape)
    if shape != wanted:
        raise CheckFailed(f"{when}, it returns {shape} for images of shape {size}, not {wanted}; {advice}.")


def choose_advice(error: Exception, advice: str) -> str:
    """Return how to fix a failing forward pass; the given advice only if the size of the images may be at fault."""
    text = str(error)
    if re.search(r"NVIDIA|CUDA|cuda", text):
        return "forward() must not choose a device; use the device of the images"
    if re.search(r"type .* and .* should be the same|same dtype", text):
        return "build the model with float32 parameters, and do not cast images"
    if "is not on the expected device meta" in text:
        return "register every tensor of the model as a parameter or a buffer"
    if re.search(r"\bmeta\b|register_meta", text):
        return "forward() must not read the values of tensors, which tensors on the meta device lack"
    return advice if isinstance(error, (RuntimeError, ValueError, AssertionError)) else "fix forward()"


def _describe(error: Exception) -> str:
    place = find_place(error)
    return f"{type(error).__name__}: {error}{place and f' ({place})'}"


def are_close(found: Tensor, wanted: Tensor, tolerance: float) -> bool:
    """Compare logits; the tolerance is a fraction of the largest logit."""
    scale = wanted.abs().max().item()
    return torch.allclose(found.float(), wanted.float(), rtol=0, atol=tolerance * max(scale, 1e-30))
