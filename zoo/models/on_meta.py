"""Call functions that build models on torch's meta device, where tensors have a shape but no values.

This module imports nothing of zoo, because the conformance kit also loads it where zoo cannot be imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import Parameter
from torch.nn.modules.module import register_module_parameter_registration_hook


def make_on_meta(make: Callable[[], nn.Module]) -> nn.Module:
    """Call a function that builds a model, and return the model on the meta device.

    The function is called under ``torch.device("meta")``. If that fails, it is called again while only parameters are
    moved to the meta device, each as soon as it is created. Some builders, such as RegNet's, need this because they
    read values from other tensors. Exceptions from the second call propagate.
    """
    try:
        with torch.device("meta"):
            # The old constructor torch.Tensor() ignores the default device, so some tensors may be on the CPU.
            return make().to("meta")
    except Exception:  # noqa: BLE001  # the second call shows whether the builder itself is at fault
        with parameters_on_meta():
            return make().to("meta")  # moves the buffers as well


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Return a context in which every new parameter is moved to the meta device, and no other tensor is."""

    def move(_module: nn.Module, _name: str, parameter: Parameter | None) -> Parameter | None:
        if parameter is None or parameter.is_meta:  # a shared parameter stays the same object
            return parameter
        return Parameter(parameter.to("meta"), parameter.requires_grad)

    handle = register_module_parameter_registration_hook(move)  # type: ignore[arg-type]  # its annotation lacks the hook's result
    try:
        yield
    finally:
        handle.remove()
