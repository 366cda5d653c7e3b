"""Models without memory: built on torch's meta device, which has shapes and no values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import Parameter
from torch.nn.modules.module import register_module_parameter_registration_hook

from zoo.models.build import build_model
from zoo.plugin import BackboneSpec


def build_on_meta(backbone: BackboneSpec, tag: str | None = None) -> nn.Module:
    """Build upstream's model on the meta device, in no time and with no memory for its weights.

    Raises:
        PluginError: it can be built neither way of `make_on_meta`.
    """
    return make_on_meta(lambda: build_model(backbone, tag))


def make_on_meta(make: Callable[[], nn.Module]) -> nn.Module:
    """Let a function make a model on the meta device.

    Most can under ``torch.device("meta")``. RegNet's builder reads values back from tensors that it makes, so there
    only the parameters are moved, each as soon as it is made. What is raised the second time is let through.
    """
    try:
        with torch.device("meta"):
            return make()
    except Exception:  # noqa: BLE001  # whatever it is, the other way tells whether it is the builder's own
        with parameters_on_meta():
            return make().to("meta")  # the buffers


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Move every parameter that is made to the meta device at once, and leave all other tensors where they are."""

    def move(_module: nn.Module, _name: str, parameter: Parameter | None) -> Parameter | None:
        if parameter is None or parameter.is_meta:  # one that is shared stays the same object
            return parameter
        return Parameter(parameter.to("meta"), parameter.requires_grad)

    handle = register_module_parameter_registration_hook(move)  # type: ignore[arg-type]  # annotated as returning None, used
    try:
        yield
    finally:
        handle.remove()
