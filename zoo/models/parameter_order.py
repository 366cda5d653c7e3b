"""The order in which a forward pass first uses each parameter.

Modules alone cannot tell: a class token is no module, and a module may be defined early and run late. So the pass runs
on the meta device, without arithmetic, and every torch function that is given a parameter is noted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

#: Functions that look at a tensor's outside only; asking for a shape is no use of a parameter.
GLANCES = frozenset({"__get__", "dim", "ndimension", "numel", "size", "type", "is_floating_point"})


def first_uses(model: nn.Module, size: tuple[int, int, int]) -> dict[int, int]:
    """Map ``id(parameter)`` to its place in the order of use; what the pass never uses is absent.

    Args:
        model: On the meta device; it is put into eval mode.
        size: Channels, height and width in pixels of the input.
    """
    uses = FirstUses(model.parameters())
    with torch.no_grad(), uses:
        model.eval()(torch.empty(1, *size, device="meta"))
    return uses.order


class FirstUses(TorchFunctionMode):
    """Notes, while it is entered, which parameters are used, and in which order for the first time."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        super().__init__()
        #: ``id(parameter)`` -> its place.
        self.order: dict[int, int] = {}
        self._wanted = {id(parameter) for parameter in parameters}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") not in GLANCES:
            self._note(args)
            self._note(kwargs.values())
        return func(*args, **kwargs)

    def _note(self, values: Iterable[Any]) -> None:
        for value in values:
            if isinstance(value, Tensor):
                if id(value) in self._wanted:
                    self.order.setdefault(id(value), len(self.order))
            elif isinstance(value, (list, tuple)):
                self._note(value)
