"""Checks of freezing."""

from __future__ import annotations

from contextlib import suppress

import torch
from torch import nn

from zoo.errors import NotFinite
from zoo.models.blocks import list_trainable
from zoo.models.build import attach_head
from zoo.models.freeze import Frozen
from zoo.models.head import is_below
from zoo.models.weights.choose import WeightsSource
from zoo.registry.train_scope import ALL
from zoo.testing.backbone_under_test import NUM_CLASSES, BackboneUnderTest
from zoo.testing.passes import take_steps
from zoo.testing.results.result import CheckFailed, NotApplicable
from zoo.testing.suggestions import shorten


def still(backbone: BackboneUnderTest) -> None:
    """Train only the head with zoo's own engine, and compare everything else."""
    if changed := [name for name in backbone.head_training.changed if not backbone.network.head.covers(name)]:
        raise CheckFailed(
            f"training only the head changes the frozen {shorten(changed)}; "
            "forward() must not change anything in eval mode."
        )


def sticky(backbone: BackboneUnderTest) -> None:
    """Examine the model after two training steps of only the head, which call ``train()`` and ``forward()``."""
    steps, head = backbone.head_training, backbone.network.head
    modules = dict(backbone.network.model.named_modules())
    trainable = [name for name in steps.trainable if not head.covers(name)]
    in_training_mode = [name for name in steps.in_training_mode if _is_frozen(backbone, name, modules[name])]
    if trainable or in_training_mode:
        what = f"{trainable[0]} requires a gradient" if trainable else f"{in_training_mode[0]} is in training mode"
        raise CheckFailed(f"in training, the frozen {what}; do not override train(), and do not call it in forward().")


def reversible(backbone: BackboneUnderTest) -> None:
    """Freeze everything except the head, unfreeze everything, and compare with a model that was never frozen."""
    model = backbone.network.model
    before = _describe(backbone.attach_heads(NUM_CLASSES)[0])
    for when, train in (("freezing", "head"), ("unfreezing", "all")):
        backbone.freeze(train).train()
        found = _describe(model)
        if odd := sorted(name for name in before.keys() | found.keys() if before.get(name) != found.get(name)):
            raise CheckFailed(f"{when} changes {shorten(odd)}; do not change modules and names.")
    parameters = dict(model.named_parameters())
    frozen = [name for name in parameters.keys() - backbone.network.fixed if not parameters[name].requires_grad]
    frozen += [name for name, module in model.named_modules() if not module.training]
    if frozen:
        raise CheckFailed(f"unfreezing leaves {shorten(frozen)} frozen; do not override train() or requires_grad_().")


def fixed(backbone: BackboneUnderTest) -> None:
    """Train all layers of a new network for two steps, and compare the parameters with ``requires_grad=False``.

    The network that the other checks use does not change.
    """
    network = attach_head(backbone.spec, WeightsSource("none"), backbone.build(), "linear", NUM_CLASSES)
    if not network.fixed:
        raise NotApplicable("no parameter has requires_grad=False")
    trainable = list_trainable(backbone.blocks, network.head, ALL)
    frozen, batch = Frozen(network.model, trainable, untrained=network.untrained), (backbone.images, backbone.labels)
    before = {name: network.model.get_parameter(name).detach().clone() for name in sorted(network.fixed)}
    with suppress(NotFinite):  # The weights are random; the steps before show enough.
        take_steps(network.model, frozen, batch, backbone.spec.aux_weight)
    if changed := [name for name, old in before.items() if not torch.equal(network.model.get_parameter(name), old)]:
        raise CheckFailed(
            f"training changes {shorten(changed)}, built with requires_grad=False; forward() must not change it."
        )


def _is_frozen(backbone: BackboneUnderTest, name: str, module: nn.Module) -> bool:
    """Return whether a module has parameters or buffers of its own, and neither contains a head nor is part of one."""
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    has_head = not name or any(is_below(path, name) or is_below(name, path) for path in backbone.network.head.trained)
    return bool(own) and not has_head


def _describe(model: nn.Module) -> dict[str, str]:
    """Map the names of all modules and saved tensors to the names of their classes.

    The classes themselves cannot be compared, because a builder may define a new class on each call.
    """
    modules = {f"module {name}": module for name, module in model.named_modules()}
    everything = {**modules, **model.state_dict(keep_vars=True)}
    return {name: f"{type(one).__module__}.{type(one).__qualname__}" for name, one in everything.items()}
