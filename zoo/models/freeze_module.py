"""Freeze a part of any module, by the names and types of its layers."""

from __future__ import annotations

from torch import nn

from zoo.errors import OptionError
from zoo.models.containers import get_module
from zoo.models.freeze import Frozen
from zoo.models.head import Head
from zoo.models.layout import find_blocks
from zoo.models.selection import select
from zoo.models.untrained import recall_fixed
from zoo.registry.train_scope import TrainScope


def freeze(model: nn.Module, train: str, *, head: str | None = None) -> Frozen:
    """Freeze a module, except for what a scope trains, and put frozen modules into eval mode.

    ``requires_grad`` of every parameter is set, even if it was False before, so that you can freeze a module again for
    the next phase. Only constants of a module that `zoo.build` returned, such as masks, are never trained. To exclude
    those of other modules, use a term: ``all,!*.mask``.

    ``model.train()`` would put frozen batch norms back into training mode, in which their statistics change. Call
    ``train()`` of the result instead.

    Example:
        frozen = zoo.freeze(model, "head,layer4,!norms")
        for images, labels in batches:
            frozen.train()
            ...

    Args:
        model: The module, which is changed in place. Its children are the blocks, in the order of their definition.
        train: What to train, as for `zoo.finetune`: ``head``, ``all``, ``from:BLOCK``, or terms separated by commas.
        head: Path of the head. Default: the linear or convolutional layer that is defined last.

    Raises:
        NameNotFound: If there is no such head or block, or if a term matches nothing.
        OptionError: If the scope is invalid or has several phases, or if nothing is left to train.
    """
    scope = TrainScope.parse(train)
    if scope.is_phased:
        raise OptionError(f"`train` {train} is a sequence of phases; freeze the module again for each phase.")
    layers = [path for path, layer in model.named_modules() if path and isinstance(layer, (nn.Linear, nn.Conv2d))]
    if head is not None:
        get_module(model, head)
    found = head or (layers[-1] if layers else None)
    place = Head(() if found is None else (found,))
    fixed = recall_fixed(model)
    selection = select(model, find_blocks(model, found or "", {}), place, scope, fixed)
    frozen = Frozen(model, selection.trainable, active=selection.active, untrained=fixed)
    frozen.train()
    return frozen
