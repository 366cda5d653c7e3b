"""Forward passes that are observed by hooks, stopped early, or run with other functions in place of some modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

#: Functions that are called in place of the `forward` of modules.
Forwards = Mapping[nn.Module, Callable[..., Any]]


class StopForward(Exception):
    """Raised by a hook when the rest of the forward pass is not needed."""


def run_with_hooks(model: nn.Module, images: Tensor, hooks: Sequence[RemovableHandle]) -> None:
    """Run the model on some images, or until a hook raises `StopForward`, and then remove the hooks."""
    try:
        with suppress(StopForward):
            model(images)
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def replaced_forwards(forwards: Forwards) -> Iterator[None]:
    """Replace the `forward` of some modules until the block ends; their hooks and attributes stay."""
    originals = {module: vars(module).get("forward") for module in forwards}
    try:
        for module, forward in forwards.items():
            module.forward = forward
        yield
    finally:
        for module, original in originals.items():
            if original is not None:
                module.forward = original
            else:
                vars(module).pop("forward", None)
