"""The order in which a forward pass first uses each parameter.

The modules of a model do not show this order: a class token is not in a submodule, and modules can run in a different
order from the one in which they were defined. So a forward pass runs on the meta device, and every torch function call
that takes a parameter is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

#: Functions that read only the metadata of a tensor, such as its shape. They do not count as a use of a parameter.
GLANCES = frozenset({"__get__", "dim", "ndimension", "numel", "size", "type", "is_floating_point"})


def first_uses(model: nn.Module, size: tuple[int, int, int]) -> dict[int, int]:
    """Return the position of each parameter in the order of first use.

    Args:
        model: The model, on the meta device. It is put into eval mode.
        size: Channels, height and width of the input, the last two in pixels.

    Returns:
        Positions by ``id(parameter)``. Parameters that the forward pass does not use are absent.
    """
    uses = FirstUses(model.parameters())
    with torch.no_grad(), uses:
        model.eval()(torch.empty(1, *size, device="meta"))
    return uses.order


class FirstUses(TorchFunctionMode):
    """A mode that records the order in which parameters are first used."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        super().__init__()
        #: Positions by ``id(parameter)``.
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
            self._record((*args, *kwargs.values()))
        return func(*args, **kwargs)

    def _record(self, values: Iterable[Any]) -> None:
        for value in values:
            if isinstance(value, (list, tuple)):
                self._record(value)
            elif isinstance(value, Tensor) and id(value) in self._wanted:
                self.order.setdefault(id(value), len(self.order))
