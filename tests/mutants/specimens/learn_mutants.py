"""Backbones that cannot be trained, do not stay frozen, or cannot be saved."""

from __future__ import annotations

import os
import random
from typing import Any

from specimens.good import BLOCKS, declare_aux, declare_masked, declare_tokens
from specimens.register import built, declared
from zoo.plugin import BlockSpec


@built({"learn.head": "its head cannot be trained on its own"})
def needs_trainable_features(model: Any, torch: Any) -> None:
    def forward(images: Any) -> Any:
        features = model.run_features(images)
        with torch.set_grad_enabled(features.requires_grad):
            return model.classifier(features)

    model.forward = forward


@built(
    {
        "learn.head": "its head cannot be trained on its own; let gradients reach it",
        "learn.all": "it cannot be trained: element 0 of tensors does not require grad",
    }
)
def detaches_its_logits(model: Any, torch: Any) -> None:
    model.add("classifier", torch.detach)


@built(
    {
        "learn.head": "two training steps do not change the head other_head; let gradients reach it",
        "learn.all": "no gradient reaches other_head.weight, other_head.bias (2 in all)",
    },
    of=declare_tokens,
)
def detaches_a_head(model: Any, _torch: Any) -> None:
    def forward(images: Any) -> Any:
        tokens = model.run_features(images)
        return (model.head(tokens[:, 0]) + model.other_head(tokens[:, 1]).detach()) / 2

    model.forward = forward


@built(
    {"learn.all": "no gradient reaches layer2.spare (1 in all); use it in forward(), or declare it in unused"},
    params=2375,
)
def has_a_spare_parameter(model: Any, torch: Any) -> None:
    model.layer2.register_parameter("spare", torch.nn.Parameter(torch.zeros(1)))


@built({"learn.all": "no gradient reaches layer2.other (1 in all)"}, params=2376, unused=("layer2.spare",))
def has_another_spare_parameter(model: Any, torch: Any) -> None:
    for name in ("spare", "other"):
        model.layer2.register_parameter(name, torch.nn.Parameter(torch.zeros(1)))


declared(
    "unused-that-learns",
    {"learn.all": "unused declares layer1.0.weight, layer1.0.bias (2 in all), which a gradient reaches; leave it out"},
    lambda: {"unused": ("layer1.0",)},
)

declared(
    "unused-unknown",
    {"learn.all": "unused has the prefix mask, which no parameter of the model has; similar names: "},
    lambda: {"unused": ("mask",)},
)


declared(
    "unused-in-a-list",
    {
        "learn.all": "mutants/unused-in-a-list returned ['layer1']; it must return a tuple of prefixes",
        "save.roundtrip": "it must return a tuple of prefixes",
    },
    lambda: {"unused": lambda _model: ["layer1"]},
)


@built({"freeze.fixed": "training changes mask (1 in all), built with requires_grad=False"}, of=declare_masked)
def changes_its_mask_with_the_stem(model: Any, torch: Any) -> None:
    def change(_model: Any, _inputs: Any) -> None:
        if model.stem[0].weight.requires_grad and model.stem.training:
            with torch.no_grad():
                model.mask.mul_(0.9)

    model.register_forward_pre_hook(change)


@built({"learn.all": "the gradient of stem.0.weight, stem.0.bias, stem.1.weight (4 in all) is not finite"})
def divides_by_zero_backwards(model: Any, _torch: Any) -> None:
    model.add("stem", lambda features: features + (features - features).abs().sqrt())


@built(
    {
        "learn.head": "loss nan with gradient norm nan; keep forward() from overflowing",
        "learn.all": "is not finite",
    }
)
def overflows_in_training(model: Any, _torch: Any) -> None:
    model.add("classifier", lambda logits: logits * 1e30 * 1e30 if model.training else logits)


declared(
    "aux-head-without-weight",
    {"learn.all": "no gradient reaches aux.2.weight, aux.2.bias (2 in all); declare aux_weight"},
    lambda: {"aux_weight": 0.0},
    of=declare_aux,
)


def update_statistics(norm: Any, when: Any) -> None:
    """Update the running statistics of a batch norm in eval mode too."""

    def update(_module: Any, inputs: Any) -> None:
        if when():
            norm.running_mean += inputs[0].detach().mean((0, 2, 3)) / 10

    norm.register_forward_pre_hook(update)


@built(
    {
        "forward.repeatable": "neither draws random numbers nor keeps state in eval mode",
        "freeze.still": "the frozen layer1.1.running_mean (1 in all); forward() must not change anything in eval mode",
    }
)
def updates_statistics_in_eval_mode(model: Any, _torch: Any) -> None:
    update_statistics(model.layer1[1], lambda: not model.layer1[1].training)


@built({"freeze.still": "training only the head changes the frozen layer1.1.running_mean (1 in all)"})
def updates_statistics_in_training(model: Any, torch: Any) -> None:
    update_statistics(model.layer1[1], torch.is_grad_enabled)


@built({"freeze.sticky": "in training, the frozen stem.0.weight requires a gradient; do not override train()"})
def unfreezes_parameters_in_train(model: Any, _torch: Any) -> None:
    def train(*mode: bool) -> Any:
        model.requires_grad_(True)
        return type(model).train(model, *mode)

    model.train = train


def unfreeze_in_forward(model: Any, layer: Any) -> None:
    """Make forward() switch a layer to the mode of the model."""

    def hook(_module: Any, _inputs: Any) -> None:
        layer.train(model.training)

    model.register_forward_pre_hook(hook)


@built(
    {"freeze.sticky": "in training, the frozen stem.0 is in training mode; do not override train(), and do not call it"}
)
def unfreezes_a_convolution_in_forward(model: Any, _torch: Any) -> None:
    unfreeze_in_forward(model, model.stem[0])


@built(
    {
        "freeze.sticky": "in training, the frozen stem.1 is in training mode",
        "freeze.still": "training only the head changes the frozen stem.1.running_mean",
    }
)
def unfreezes_a_norm_in_forward(model: Any, _torch: Any) -> None:
    unfreeze_in_forward(model, model.stem[1])


def swap_norms(model: Any, torch: Any, *, unfreeze: bool) -> Any:
    """Return a train() that changes the class of frozen batch norms, as detectors do."""

    class FrozenNorm(torch.nn.BatchNorm2d):  # type: ignore[misc]  # torch is any module here
        pass

    def train(*mode: bool) -> Any:
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                stays = isinstance(module, FrozenNorm) and not unfreeze
                module.__class__ = FrozenNorm if stays or not module.weight.requires_grad else torch.nn.BatchNorm2d
        return type(model).train(model, *mode)

    return train


@built(
    {"freeze.reversible": "changes module layer1.1, module layer2.1, module stem.1 (3 in all); do not change modules"}
)
def swaps_classes_and_back(model: Any, torch: Any) -> None:
    model.train = swap_norms(model, torch, unfreeze=True)


@built(
    {"freeze.reversible": "changes module layer1.1, module layer2.1, module stem.1 (3 in all); do not change modules"}
)
def swaps_classes_permanently(model: Any, torch: Any) -> None:
    model.train = swap_norms(model, torch, unfreeze=False)


@built({"freeze.reversible": "unfreezing leaves stem, stem.0, stem.1 (5 in all) frozen"})
def keeps_its_stem_in_eval_mode(model: Any, _torch: Any) -> None:
    def train(*mode: bool) -> Any:
        type(model).train(model, *mode)
        model.stem.eval()
        return model

    model.train = train


@built({"save.roundtrip": "the same parameters and buffers produce different logits in a fresh process"})
def has_unregistered_noise(model: Any, torch: Any) -> None:
    noise = torch.randn(
        8, 1, 1, device="cpu", generator=torch.Generator().manual_seed(random.SystemRandom().getrandbits(32))
    )
    model.add("layer1", lambda features: features + noise.to(features.device))


@built({"save.roundtrip": "the same parameters and buffers produce different logits in a fresh process"})
def has_unregistered_seeded_noise(model: Any, torch: Any) -> None:
    noise = torch.randn(8, 1, 1)
    model.add("layer1", lambda features: features + noise)


@built({"save.roundtrip": "a fresh process has different parameters or buffers"})
def does_not_save_its_noise(model: Any, torch: Any) -> None:
    model.layer1.register_buffer("noise", torch.full((8, 1, 1), random.SystemRandom().random()), persistent=False)
    model.add("layer1", lambda features: features + model.layer1.noise)


@built(
    {"save.roundtrip": "a fresh process cannot load the saved model"},
    params=2375,
    blocks=(*BLOCKS[:2], BlockSpec("layer2", ("layer2", f"scale{os.getpid()}")), BLOCKS[3]),
)
def changes_the_names_of_its_parameters(model: Any, torch: Any) -> None:
    name = f"scale{os.getpid()}"
    model.register_parameter(name, torch.nn.Parameter(torch.ones(1)))
    model.add("layer2", lambda features: features * model.get_parameter(name))
