"""Find the head and the blocks of a network that no plugin describes, from one forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import nn

from zoo.errors import OptionError
from zoo.models.head import is_below
from zoo.models.trace import Trace
from zoo.plugin import BlockSpec


def find_head(model: nn.Module, traced: Trace) -> str:
    """Return the path of the last linear or convolutional layer that the forward pass calls.

    Raises:
        OptionError: If there is no such layer, or if it is called more than once.
    """
    paths: dict[nn.Module, str] = {module: path for path, module in reversed([*model.named_modules()])}
    layers = [module for module in traced.order if isinstance(module, (nn.Linear, nn.Conv2d))]
    if not layers:
        raise OptionError(
            f"{type(model).__name__} has no head: its forward pass calls no Linear or Conv2d layer; "
            "add one that outputs the logits."
        )
    path, count = paths[layers[-1]], traced.calls[layers[-1]]
    if count > 1:
        raise OptionError(
            f"{type(model).__name__} calls {path}, its last layer, {count} times per forward pass, so it is not clear "
            "what the head is; set `head` to the path of the layer that outputs the logits."
        )
    return path


def find_blocks(model: nn.Module, head: str, uses: Mapping[str, int]) -> tuple[BlockSpec, ...]:
    """Return the children of a network as blocks, in the order in which the forward pass first uses them.

    If everything is in a single child, its children are the blocks. A block is named after its path, and does not
    contain the head. Parameters and buffers of the network itself are blocks of their own.

    Args:
        model: The network.
        head: The path of the head.
        uses: The position of each used parameter in the order of first use, by name.
    """
    items = [*_list_items(model, "")]
    while len(items) == 1 and is_below(head, items[0]) and head != items[0]:
        items = [*_list_items(model.get_submodule(items[0]), items[0])]
    position, keyed = -1, []
    for item in items:
        # An item without used parameters belongs to the one that was defined before it.
        position = min((place for name, place in uses.items() if is_below(name, item)), default=position)
        keyed.append((position, item))
    found = [(item, tuple(exclude_head(model, item, head))) for _, item in sorted(keyed, key=lambda pair: pair[0])]
    return tuple(BlockSpec(item, prefixes) for item, prefixes in found if prefixes)


def exclude_head(model: nn.Module, path: str, head: str) -> Iterator[str]:
    """Yield the path, or, if the head is below it, the paths below it that do not contain the head."""
    if not is_below(head, path):
        yield path
    elif path != head:
        for item in _list_items(model.get_submodule(path), path):
            yield from exclude_head(model, item, head)


def _list_items(module: nn.Module, path: str) -> Iterator[str]:
    """Yield the paths of a module's own tensors and of its children that have tensors."""
    prefix = f"{path}." if path else ""
    for name, _ in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
        yield f"{prefix}{name}"
    for name, child in module.named_children():
        if any(True for _ in child.parameters()) or any(True for _ in child.buffers()):
            yield f"{prefix}{name}"
