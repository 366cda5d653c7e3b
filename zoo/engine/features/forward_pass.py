"""Forward passes that are observed by hooks, stopped early, or run with the `forward` of some modules replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

#: Replacements for the `forward` of modules.
Forwards = Mapping[nn.Module, Callable[..., Any]]


class StopForward(Exception):
    """Raised by a hook when the rest of the forward pass is not needed."""


def run_with_hooks(model: nn.Module, images: Tensor, hooks: Sequence[RemovableHandle]) -> None:
    """Run the model on some images until it returns or a hook raises `StopForward`; then remove the hooks."""
    try:
        with suppress(StopForward):
            model(images)
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def replaced_forwards(forwards: Forwards) -> Iterator[None]:
    """Return a context in which the `forward` of some modules is replaced; their hooks and attributes are kept."""
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
