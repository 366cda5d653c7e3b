"""Checks of capabilities that a backbone may claim."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from zoo.engine.device import Hardware
from zoo.models.channels import adapt_channels, get_first_convs
from zoo.models.meta_device import build_on_meta
from zoo.testing.backbone_under_test import BackboneUnderTest
from zoo.testing.checkpointing import Pass, find_switch, run_pass
from zoo.testing.checks.forward import are_close, expect_logits
from zoo.testing.results.result import CannotCheck, CheckFailed, NotApplicable
from zoo.testing.suggestions import shorten

#: Largest difference of logits in bf16, which has eight significant bits, as a fraction of the largest logit.
BF16_TOLERANCE = 0.1
#: Largest difference of logits in bf16, as a multiple of the difference that rounding alone causes. Random weights can
#: amplify rounding errors. If rounding alone exceeds BF16_TOLERANCE, logits in bf16 say nothing about the network.
BF16_ROUNDINGS = 4
#: Number of pixels added to a side; networks usually downsample by a factor that divides this number.
STEP = 32
#: Number of channels other than one to which networks are adapted. It is no multiple of three.
OTHER_CHANNELS = 5


def image_sizes(backbone: BackboneUnderTest) -> None:
    """Run larger and non-square images on the meta device."""
    channels, height, width = backbone.spec.input.size
    model, _ = backbone.attach_heads(2)
    for size in ((channels, height + STEP, width + STEP), (channels, height, width + 2 * STEP)):
        images = backbone.make_meta_images(size)
        expect_logits(model, images, 2, "at sizes other than the declared one", "do not claim image_sizes")


def channels(backbone: BackboneUnderTest) -> None:
    """Adapt new models on the meta device to other numbers of channels, and run them."""
    spec = backbone.spec
    for count in sorted({1, OTHER_CHANNELS} - {spec.input.size[0]}):
        model = build_on_meta(spec)
        before = _list_tensors(model)
        declared = {f"{path}.weight" for path in get_first_convs(spec, model)}
        adapt_channels(spec, model, count)
        after = _list_tensors(model)
        odd = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        if others := [name for name in odd if name not in declared]:
            raise CheckFailed(f"adapting it to {count} channels also changes {shorten(others)}; do not claim channels.")
        advice = (
            "declare every convolution of the image in first_conv, and no other, or do not claim channels if the model "
            "checks their number"
        )
        images = backbone.make_meta_images((count, *spec.input.size[1:]))
        expect_logits(model.eval(), images, spec.num_classes, f"adapted to images with {count} channels", advice)


def _list_tensors(model: nn.Module) -> Mapping[str, tuple[torch.Size, int]]:
    """Return the shape of each tensor, and the number of names that it has."""
    tensors = model.state_dict(keep_vars=True)
    counts = Counter(map(id, tensors.values()))
    return {name: (tensor.shape, counts[id(tensor)]) for name, tensor in tensors.items()}


def grayscale(backbone: BackboneUnderTest) -> None:
    """Adapt a copy of the network to one channel, and compare its logits for gray images."""
    declared = backbone.spec.input.size[0]
    if declared == 1:
        raise NotApplicable("its images have one channel")
    gray = backbone.images[:, :1]
    for dtype in (torch.float32, torch.float64):  # Deep networks can amplify rounding errors.
        model = copy.deepcopy(backbone.network.model).to(dtype).eval()
        with torch.no_grad():
            wanted = model(gray.to(dtype).expand(-1, declared, -1, -1))
            adapt_channels(backbone.spec, model, 1)
            found = model(gray.to(dtype))
        if are_close(found, wanted, 1e-5):
            return
    raise CheckFailed(
        "adapted to one channel, its logits for a gray image differ from those for the same image repeated for each "
        "channel; let the network be linear in the channels until the end of first_conv, or do not claim channels."
    )


def bf16(backbone: BackboneUnderTest) -> None:
    """Run the network in bf16 as zoo trains it: the parameters stay in fp32."""
    wanted = backbone.run(backbone.images[:1])
    with Hardware(torch.device("cpu"), "bf16").autocast():
        found = backbone.run(backbone.images[:1])
    if found.isfinite().all():
        if are_close(found, wanted, BF16_TOLERANCE):
            return
        distance = ((_run_rounded(backbone) - wanted).abs().max() / wanted.abs().max()).item()
        if distance > BF16_TOLERANCE:
            raise CannotCheck(
                "with random weights, it amplifies rounding errors, so comparing logits in bf16 would prove nothing"
            )
        if are_close(found, wanted, BF16_ROUNDINGS * distance):
            return
    raise CheckFailed("in bf16, its logits differ; do not claim bf16, or compute the sensitive operations in fp32.")


@torch.no_grad()
def _run_rounded(backbone: BackboneUnderTest) -> Tensor:
    """Return the logits of the first image if nothing but rounding to bf16 happens."""
    logits: Tensor = _round(copy.deepcopy(backbone.network.model)).eval()(backbone.images[:1])
    return logits


@torch.no_grad()
def _round(model: nn.Module) -> nn.Module:
    """Round the weights and the outputs of each layer to bf16; the arithmetic keeps its precision."""
    for parameter in model.parameters():
        parameter.copy_(parameter.bfloat16())
    for module in model.modules():
        if not [*module.children()]:
            module.register_forward_hook(_round_output)
    return model


def _round_output(_module: nn.Module, _inputs: object, output: object) -> object:
    if isinstance(output, Tensor) and output.is_floating_point():
        return output.bfloat16().to(output.dtype)
    return output


def gradient_checkpointing(backbone: BackboneUnderTest) -> None:
    """Compare the gradients with and without gradient checkpointing, in training mode and with the same seeds."""
    switch = find_switch(backbone.network.model)
    plain, again = run_pass(backbone), run_pass(backbone)
    switch.enable()
    try:
        checkpointed = run_pass(backbone)
    except RuntimeError as error:
        raise CheckFailed(f"after {switch.call}, it cannot be trained: {error}; checkpoint differently.") from error
    finally:
        switch.disable()
    if missing := [name for name in plain.gradients if name not in checkpointed.gradients]:
        raise CheckFailed(
            f"with gradient checkpointing, no gradient reaches {shorten(missing)}; checkpoint with use_reentrant=False."
        )
    # A network that draws its random numbers from another generator differs between any two passes.
    if odd := [name for name in _list_odd(plain, checkpointed) if name not in _list_odd(plain, again)]:
        raise CheckFailed(
            f"with gradient checkpointing, the gradient of {shorten(odd)} differs; recompute the same layers."
        )
    if checkpointed.calls <= plain.calls:
        raise CheckFailed(f"after {switch.call}, the backward pass recomputes no layer; checkpoint some layers.")


def _list_odd(wanted: Pass, found: Pass) -> list[str]:
    """List the parameters whose gradients differ."""
    gradients = found.gradients
    return [name for name, own in wanted.gradients.items() if not are_close(gradients[name], own, 1e-4)]


def export(backbone: BackboneUnderTest) -> None:
    """Export the network in eval mode, and run the program."""
    model = backbone.network.model.eval()
    try:
        with torch.no_grad():
            found = torch.export.export(model, (backbone.images,)).module()(backbone.images)
    except Exception as error:
        raise CheckFailed(f"it cannot be exported: {_shorten(error)}; do not claim export.") from error
    if not are_close(found, backbone.run(backbone.images), 1e-4):
        raise CheckFailed("the exported program returns different logits; do not claim export.")


def compile(backbone: BackboneUnderTest) -> None:  # noqa: A001  # a check's name
    """Compile the network in eval mode with torch's default compiler, and run it."""
    model = backbone.network.model.eval()
    try:
        with torch.no_grad():
            found = torch.compile(model)(backbone.images)
    except Exception as error:
        if "InvalidCxxCompiler" in f"{type(error).__name__} {error}":
            raise CannotCheck("torch.compile needs a C++ compiler, and none is installed") from error
        raise CheckFailed(f"it cannot be compiled: {_shorten(error)}; do not claim compile.") from error
    finally:
        torch.compiler.reset()
    if not are_close(found, backbone.run(backbone.images), 1e-3):
        raise CheckFailed("the compiled model returns different logits; do not claim compile.")


def _shorten(error: Exception) -> str:
    """Return the first line of an error, because torch's messages can be pages long."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"
