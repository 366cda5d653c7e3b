"""The blocks of a model: the items of its lists of layers, and what comes before, between and after them.

transformers keeps the layers or stages of a network in an ``nn.ModuleList``. Each item of an outermost list is a block.
The remaining parameters are joined by the order in which the forward pass first uses them: those before the first item
are the stem, and those after the last item form the last block.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from zoo.plugin import BlockSpec
from zoo_transformers.prefixes import covers, shortest_prefixes

if TYPE_CHECKING:
    from collections.abc import Sequence

STEM = "stem"


def read_blocks(model: nn.Module, heads: Sequence[str], size: tuple[int, int, int]) -> tuple[BlockSpec, ...]:
    """Find the blocks of a model, from input to output. Each parameter is in one block, except for the heads' own.

    Args:
        model: A model, best on the meta device.
        heads: Dotted paths of the last layers.
        size: Channels, height and width of an input that the model accepts, the last two in pixels.
    """
    uses = trace_uses(model, size)
    items = _list_items(model)
    names = [name for name, _ in model.named_parameters() if not any(covers(head, name) for head in heads)]
    used = [name for name in names if name.rpartition(".")[0] in uses]
    used.sort(key=lambda name: uses[name.rpartition(".")[0]][0])
    groups = _join(used, items, uses)
    _add_unused(groups, [name for name in names if name not in {*used}], items)
    owners = {name: place for place, group in enumerate(groups) for name in group}
    owners |= dict.fromkeys((name for name, _ in model.named_parameters() if name not in owners), -1)
    prefixes = shortest_prefixes(owners)
    return _name_blocks(model, groups, [prefixes[place] for place in range(len(groups))], items)


@torch.no_grad()
def trace_uses(model: nn.Module, size: tuple[int, int, int]) -> dict[str, tuple[int, int]]:
    """Return the positions in the forward pass of the first and the last call of each module that was called."""
    uses: dict[str, tuple[int, int]] = {}
    counter = iter(range(10**9))

    def record(path: str, _module: nn.Module, _inputs: object) -> None:
        place = next(counter)
        uses[path] = (uses.get(path, (place, place))[0], place)

    hooks = [module.register_forward_pre_hook(partial(record, path)) for path, module in model.named_modules()]
    try:
        model.eval()(torch.zeros(1, *size, device=next(model.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return uses


def _list_items(model: nn.Module) -> tuple[str, ...]:
    """List the paths of the items of the outermost module lists, in the order in which the model defines them."""
    lists = [path for path, module in model.named_modules() if isinstance(module, nn.ModuleList) and len(module) > 1]
    outermost = [path for path in lists if not any(covers(other, path) for other in lists if other != path)]
    return tuple(f"{path}.{name}" for path in outermost for name, _ in model.get_submodule(path).named_children())


def _find_item(name: str, items: Sequence[str]) -> str:
    """Return the item of a list that contains a parameter, or an empty string if there is none."""
    return next((item for item in items if covers(item, name)), "")


def _join(used: Sequence[str], items: Sequence[str], uses: dict[str, tuple[int, int]]) -> list[list[str]]:
    """Join neighbors that belong to the same item, and items that the forward pass uses alternately."""
    groups: list[list[str]] = []
    ends: list[int] = []
    for name in used:
        first, last = uses[name.rpartition(".")[0]]
        item = _find_item(name, items)
        while len(groups) > 1 and first < ends[-2]:  # The previous blocks are used again.
            groups[-2:], ends[-2:] = [groups[-2] + groups[-1]], [max(ends[-2:])]
        if groups and (_find_item(groups[-1][0], items) == item or first < ends[-1]):
            groups[-1].append(name)
            ends[-1] = max(ends[-1], last)
        else:
            groups.append([name])
            ends.append(last)
    return groups


def _add_unused(groups: list[list[str]], unused: Sequence[str], items: Sequence[str]) -> None:
    """Add each parameter that no module call uses to the block with the closest name, such as a mask token."""
    for name in unused:
        item = _find_item(name, items)
        same = [group for group in groups if item and any(covers(item, other) for other in group)]
        closest = max(
            groups, key=lambda group: (max(_count_common(name, other) for other in group), groups.index(group))
        )
        (same[0] if same else closest).append(name)


def _count_common(one: str, other: str) -> int:
    pairs = zip(one.split("."), other.split("."), strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), 0)


def _name_blocks(
    model: nn.Module, groups: Sequence[Sequence[str]], prefixes: Sequence[tuple[str, ...]], items: Sequence[str]
) -> tuple[BlockSpec, ...]:
    """Name a block after its item, or after the module with most parameters. The first block is called stem."""
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    names: list[str] = []
    for place, group in enumerate(groups):
        item = next(iter(found)) if len(found := {_find_item(name, items) for name in group}) == 1 else ""
        largest = max(prefixes[place], key=lambda prefix: sum(sizes[name] for name in group if covers(prefix, name)))
        name = STEM if place == 0 else _shorten(item or largest)
        names.append(name if name not in names else item or largest)
    return tuple(map(BlockSpec, names, prefixes))


def _shorten(path: str) -> str:
    """Return the last part of a path, with the name of the list if it is an index: ``layers.3``, ``layernorm``."""
    parts = path.split(".")
    while len(parts) > 1 and parts[-1] in {"weight", "bias"}:
        parts.pop()
    start = next((place for place, part in enumerate(parts) if part.isdigit()), len(parts)) - 1
    return ".".join(parts[max(start, 0) :])
