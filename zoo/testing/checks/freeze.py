"""Promises of freezing."""

from __future__ import annotations

from torch import nn

from zoo.models.head import is_below
from zoo.testing.backbone_under_test import NUM_CLASSES, BackboneUnderTest
from zoo.testing.results.result import CheckFailed
from zoo.testing.suggestions import name_some


def still(backbone: BackboneUnderTest) -> None:
    """With the head alone learning, by zoo's own engine."""
    if moved := [name for name in backbone.head_training.moved if not backbone.network.head.covers(name)]:
        raise CheckFailed(
            f"with its head alone learning, the frozen {name_some(moved)} moved; "
            "let forward() change nothing in eval mode."
        )


def sticky(backbone: BackboneUnderTest) -> None:
    """After two steps with the head alone learning: ``train()`` was called, and forward passes were made."""
    steps, head = backbone.head_training, backbone.network.head
    modules = dict(backbone.network.model.named_modules())
    trainable = [name for name in steps.trainable if not head.covers(name)]
    in_training_mode = [name for name in steps.in_training_mode if _is_frozen(backbone, name, modules[name])]
    if trainable or in_training_mode:
        what = f"{trainable[0]} asks for a gradient" if trainable else f"{in_training_mode[0]} is in training mode"
        raise CheckFailed(f"in training the frozen {what}; do not override train(), or call it in forward().")


def reversible(backbone: BackboneUnderTest) -> None:
    """From the head alone to everything, and compared with a model that never was frozen."""
    model = backbone.network.model
    before = _describe(backbone.attach_heads(NUM_CLASSES)[0])
    backbone.freeze("head").train()
    frozen = _describe(model)
    backbone.freeze("all").train()
    after = _describe(model)
    for when, found in (("freezing", frozen), ("unfreezing", after)):
        if odd := sorted(name for name in before.keys() | found.keys() if before.get(name) != found.get(name)):
            raise CheckFailed(f"{when} changes {name_some(odd)}; leave modules and names as they are.")
    still_frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    asleep = [name for name, module in model.named_modules() if not module.training]
    if still_frozen or asleep:
        what = name_some(still_frozen + asleep)
        raise CheckFailed(f"after unfreezing, {what} is still frozen; do not override train() or requires_grad_().")


def _is_frozen(backbone: BackboneUnderTest, name: str, module: nn.Module) -> bool:
    """Whether the module has tensors of its own, and no part of it learns."""
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    holds_head = not name or any(is_below(path, name) or is_below(name, path) for path in backbone.network.head.paths)
    return bool(own) and not holds_head


def _describe(model: nn.Module) -> dict[str, str]:
    """Map each module's and each saved tensor's name to its class, by name: some builders make classes of their own."""
    modules = {f"module {name}": _name_class(module) for name, module in model.named_modules()}
    return {**modules, **{name: _name_class(tensor) for name, tensor in model.state_dict(keep_vars=True).items()}}


def _name_class(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"
