"""Promises that a backbone may make in addition."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from zoo.engine.criterion import Criterion
from zoo.engine.device import Hardware
from zoo.testing.backbone_under_test import BackboneUnderTest
from zoo.testing.checks.forward import are_close, expect_logits
from zoo.testing.results.result import CannotCheck, CheckFailed
from zoo.testing.suggestions import name_some

#: bf16 keeps eight bits of a number; a deep network rounds often.
BF16_TOLERANCE = 0.1
#: How many times as far as rounding weights and what layers give takes the logits, arithmetic in bf16
#: may take them: random weights can amplify any rounding, and then the distance proves nothing about the network.
BF16_ROUNDINGS = 4
#: Sides are lengthened by multiples of what networks usually divide an image by.
STEP = 32


def image_sizes(backbone: BackboneUnderTest) -> None:
    """On the meta device."""
    channels, height, width = backbone.spec.input.size
    model, _ = backbone.attach_heads(2)
    for size in ((channels, height + STEP, width + STEP), (channels, height, width + 2 * STEP)):
        images = backbone.make_meta_images(size)
        expect_logits(model, images, 2, f"from images of {size}", "do not claim image_sizes")


def bf16(backbone: BackboneUnderTest) -> None:
    """As zoo trains with it: the parameters stay in fp32."""
    wanted = backbone.first_logits
    with Hardware(torch.device("cpu"), "bf16").autocast():
        found = backbone.run(backbone.images[:1])
    if not found.isfinite().all() or not _are_close_in_bf16(found, wanted, backbone):
        raise CheckFailed("in bf16 its logits are others; do not claim bf16, or compute what needs it in fp32.")


def _are_close_in_bf16(found: Tensor, wanted: Tensor, backbone: BackboneUnderTest) -> bool:
    if are_close(found, wanted, BF16_TOLERANCE):
        return True
    rounded = _round(copy.deepcopy(backbone.network.model)).eval()
    with torch.no_grad():
        logits: Tensor = rounded(backbone.images[:1])
    distance = ((logits - wanted).abs().max() / wanted.abs().max()).item()
    return are_close(found, wanted, BF16_ROUNDINGS * distance)


@torch.no_grad()
def _round(model: nn.Module) -> nn.Module:
    """Round the weights, and what each layer gives, to what bf16 can hold; the arithmetic stays as precise as it is."""
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
    """By timm's convention, ``model.set_grad_checkpointing(enable)``."""
    model = backbone.network.model
    switch = getattr(model, "set_grad_checkpointing", None)
    if switch is None:
        raise CheckFailed("it has no set_grad_checkpointing(enable); write it, or do not claim gradient_checkpointing.")
    plain, _ = _compute_gradients(backbone, model)
    switch(True)
    try:
        checkpointed, repeats = _compute_gradients(backbone, model)
    finally:
        switch(False)
    if missing := [name for name in plain if name not in checkpointed]:
        raise CheckFailed(
            f"with gradient checkpointing {name_some(missing)} gets no gradient; checkpoint with use_reentrant=False."
        )
    if odd := [name for name, gradient in plain.items() if not are_close(checkpointed[name], gradient, 1e-4)]:
        raise CheckFailed(f"with gradient checkpointing the gradient of {name_some(odd)} is another one; mend it.")
    if not repeats:
        raise CheckFailed("set_grad_checkpointing(True) lets no layer run again on the way back; let it checkpoint.")


def export(backbone: BackboneUnderTest) -> None:
    """In eval mode."""
    model = backbone.network.model.eval()
    try:
        with torch.no_grad():
            found = torch.export.export(model, (backbone.images,)).module()(backbone.images)
    except Exception as error:
        raise CheckFailed(f"it cannot be exported: {_shorten(error)}; do not claim export.") from error
    if not are_close(found, backbone.prediction.logits, 1e-4):
        raise CheckFailed("the exported program gives other logits; do not claim export.")


def compile(backbone: BackboneUnderTest) -> None:  # noqa: A001  # a check's name
    """In eval mode, by torch's default compiler."""
    model = backbone.network.model.eval()
    try:
        with torch.no_grad():
            found = torch.compile(model)(backbone.images)
    except Exception as error:
        if "InvalidCxxCompiler" in f"{type(error).__name__} {error}":
            raise CannotCheck("torch.compile needs a C++ compiler, and finds none here") from error
        raise CheckFailed(f"it cannot be compiled: {_shorten(error)}; do not claim compile.") from error
    finally:
        torch.compiler.reset()
    if not are_close(found, backbone.prediction.logits, 1e-3):
        raise CheckFailed("the compiled model gives other logits; do not claim compile.")


def _shorten(error: Exception) -> str:
    """Return the first line: torch goes on for pages."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"


def _compute_gradients(backbone: BackboneUnderTest, model: nn.Module) -> tuple[Mapping[str, Tensor], int]:
    """Return the gradients, and how many modules ran again on the way back."""
    backbone.freeze("all")
    model.eval()  # dropouts would differ between two passes; batch norms are bypassed alike
    model.zero_grad(set_to_none=True)
    torch.manual_seed(0)
    loss, _ = Criterion()(model(backbone.images), backbone.labels)
    repeats: list[nn.Module] = []
    hooks = [
        module.register_forward_pre_hook(lambda module, _inputs: repeats.append(module)) for module in model.modules()
    ]
    loss.backward()  # type: ignore[no-untyped-call]  # torch's own
    for hook in hooks:
        hook.remove()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return gradients, len(repeats)
