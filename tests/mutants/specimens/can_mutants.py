"""Backbones that claim capabilities they do not have."""

from __future__ import annotations

from types import MethodType
from typing import Any

from specimens.good import declare_linear, declare_tokens
from specimens.register import built, declared

declared(
    "images-of-one-size",
    {"can.image_sizes": "it fails on images of shape (3, 48, 48)"},
    lambda: {"supports": ("image_sizes",)},
    of=declare_tokens,
)


@built(
    {"can.image_sizes": "it returns (18, 2) for images of shape (3, 48, 48), not (2, 2); do not claim"},
    supports=("image_sizes",),
)
def returns_logits_for_each_pixel(model: Any, torch: Any) -> None:
    model.pool = torch.nn.Sequential(torch.nn.AvgPool2d(2))
    model.add("pool", lambda features: features.permute(0, 2, 3, 1).flatten(0, 2))


declared(
    "channels-of-a-layer-that-does-not-exist",
    {"can.channels": "'stem.conv', but its model has no such layer; its convolutions include stem.0"},
    lambda: {"supports": ("channels",), "first_conv": "stem.conv"},
)

declared(
    "channels-of-another-layer",
    {"can.channels": "adapted to images with 1 channels, it fails on images of shape (1, 16, 16)"},
    lambda: {"supports": ("channels",), "first_conv": "layer1.0"},
)


@built({"can.channels": "also changes stem.first"}, supports=("channels",), first_conv="stem.0")
def shares_its_first_weights(model: Any, _torch: Any) -> None:
    model.stem.first = model.stem[0].weight


@built({"can.channels": "adapted to images with 1 channels"}, supports=("channels",), first_conv="stem.0")
def reads_the_third_channel(model: Any, _torch: Any) -> None:
    run = model.forward
    model.forward = lambda images: run(images) + images[:, 2].mean() * 0


@built({"can.grayscale": "its logits for a gray image differ"}, supports=("channels",), first_conv="stem.0")
def standardizes_its_first_weights(model: Any, torch: Any) -> None:
    def forward(layer: Any, images: Any) -> Any:
        weight = layer.weight / layer.weight.flatten(1).norm(dim=1)[:, None, None, None]
        return torch.nn.functional.conv2d(images, weight, layer.bias, stride=2, padding=1)

    model.stem[0].forward = MethodType(forward, model.stem[0])  # so that a copy uses its own weights


@built({"can.bf16": "in bf16, its logits differ; do not claim bf16"}, supports=("bf16",))
def loses_digits_in_bf16(model: Any, _torch: Any) -> None:
    model.add("pool", lambda features: (features * 100 + 30_000) - 30_000)


@built(
    {"can.gradient_checkpointing": "its supports_gradient_checkpointing is False; do not claim"},
    of=declare_linear,
    supports=("gradient_checkpointing",),
)
def says_that_it_cannot_checkpoint(model: Any, _torch: Any) -> None:
    model.gradient_checkpointing_enable = model.gradient_checkpointing_disable = lambda: None
    model.supports_gradient_checkpointing = False


@built(
    {"can.gradient_checkpointing": "with gradient checkpointing, the gradient of stem.0.weight"},
    supports=("gradient_checkpointing",),
)
def drops_other_values_when_it_checkpoints(model: Any, torch: Any) -> None:
    run = model.layer1.forward

    def forward(features: Any) -> Any:
        if not model.checkpointing:
            return run(features)
        return torch.utils.checkpoint.checkpoint(run, features, use_reentrant=False, preserve_rng_state=False)

    model.layer1.forward = forward


@built(
    {"can.gradient_checkpointing": "after gradient_checkpointing_enable(), it cannot be trained: no room"},
    of=declare_linear,
    supports=("gradient_checkpointing",),
)
def cannot_be_trained_with_checkpointing(model: Any, _torch: Any) -> None:
    def refuse(_module: Any, _inputs: Any) -> None:
        if model.is_checkpointing:
            raise RuntimeError("no room")

    model.is_checkpointing = False
    model.register_forward_pre_hook(refuse)
    model.gradient_checkpointing_enable = lambda: setattr(model, "is_checkpointing", True)
    model.gradient_checkpointing_disable = lambda: setattr(model, "is_checkpointing", False)


declared(
    "checkpointing-without-a-switch",
    {"can.gradient_checkpointing": "it has neither set_grad_checkpointing(enable) nor gradient_checkpointing_enable()"},
    lambda: {"supports": ("gradient_checkpointing",)},
    of=declare_linear,
)


@built(
    {"can.gradient_checkpointing": "no gradient reaches stem.0.weight, stem.0.bias, stem.1.weight (4 in all)"},
    supports=("gradient_checkpointing",),
)
def checkpoints_reentrantly(model: Any, torch: Any) -> None:
    run = model.stem.forward

    def forward(images: Any) -> Any:
        # Images require no gradient, so no parameter of the stem gets one.
        return (
            torch.utils.checkpoint.checkpoint(run, images, use_reentrant=True) if model.checkpointing else run(images)
        )

    model.stem.forward = forward


@built(
    {"can.gradient_checkpointing": "with gradient checkpointing, the gradient of stem.0.weight"},
    supports=("gradient_checkpointing",),
)
def detaches_when_it_checkpoints(model: Any, _torch: Any) -> None:
    model.add("stem", lambda features: (features + features.detach()) / 2 if model.checkpointing else features)


@built(
    {"can.gradient_checkpointing": "after set_grad_checkpointing(True), the backward pass recomputes no layer"},
    supports=("gradient_checkpointing",),
)
def checkpoints_nothing(model: Any, _torch: Any) -> None:
    model.set_grad_checkpointing = lambda enable=True: None  # noqa: ARG005  # timm's signature


@built({"can.export": "do not claim export"}, supports=("export",))
def converts_to_numpy(model: Any, _torch: Any) -> None:
    model.add(
        "layer1",
        lambda features: features if features.is_meta else features * float(features.detach().numpy().size > 0),
    )


@built({"can.export": "the exported program returns different logits; do not claim export"}, supports=("export",))
def exports_something_else(model: Any, torch: Any) -> None:
    model.add("pool", lambda features: -features if torch.compiler.is_exporting() else features)


@built(
    {"can.compile": "the compiled model returns different logits; do not claim compile"},
    of=declare_linear,
    supports=("compile",),
)
def compiles_to_something_else(model: Any, torch: Any) -> None:
    run = model.forward
    model.forward = lambda images: images[:, :, 0, 0] if torch.compiler.is_compiling() else run(images)
