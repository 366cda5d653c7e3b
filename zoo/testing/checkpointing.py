"""Gradient checkpointing by the conventions of timm and transformers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from zoo.testing.backbone_under_test import SEED, BackboneUnderTest
from zoo.testing.passes import compute_gradients
from zoo.testing.results.result import CheckFailed


@dataclass(frozen=True)
class Switch:
    """The functions of a model that turn gradient checkpointing on and off."""

    #: How the model's author calls it.
    call: str
    enable: Callable[[], object]
    disable: Callable[[], object]


def find_switch(model: nn.Module) -> Switch:
    """Find how a model turns gradient checkpointing on: as in timm, or as in transformers.

    Raises:
        CheckFailed: If it has no such function, or says that it does not support it.
    """
    timm_switch = getattr(model, "set_grad_checkpointing", None)
    if callable(timm_switch):
        return Switch("set_grad_checkpointing(True)", lambda: timm_switch(True), lambda: timm_switch(False))
    enable, disable = (getattr(model, f"gradient_checkpointing_{verb}", None) for verb in ("enable", "disable"))
    if not (callable(enable) and callable(disable)):
        raise CheckFailed(
            "it has neither set_grad_checkpointing(enable) nor gradient_checkpointing_enable() and "
            "gradient_checkpointing_disable(); add one of them, or do not claim gradient_checkpointing."
        )
    if not getattr(model, "supports_gradient_checkpointing", True):
        raise CheckFailed("its supports_gradient_checkpointing is False; do not claim gradient_checkpointing.")
    return Switch("gradient_checkpointing_enable()", enable, disable)


@dataclass(frozen=True)
class Pass:
    """The effects of a forward and a backward pass in training mode."""

    #: Gradients of all parameters that have one, keyed by the parameters' names.
    gradients: dict[str, Tensor]
    #: Number of times that a module was called.
    calls: int


def run_pass(backbone: BackboneUnderTest) -> Pass:
    """Run a pass in training mode, because many networks checkpoint only there.

    Each pass begins with the same seeds, so that dropout and stochastic depth drop the same values.
    """
    model = backbone.network.model
    backbone.freeze("all").train()
    _seed()
    calls: list[nn.Module] = []
    with register_module_forward_pre_hook(lambda module, _inputs: calls.append(module)):
        gradients = compute_gradients(model, (backbone.images, backbone.labels), backbone.spec.aux_weight)
    return Pass({name: gradient for name, gradient in gradients.items() if gradient is not None}, len(calls))


def _seed() -> None:
    torch.manual_seed(SEED)
    random.seed(SEED)  # Some networks draw the layers that they drop with Python's generator.
