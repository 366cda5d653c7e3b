"""Find what is inside a network: its modules, their outputs and parameters, and what is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.models.freeze import is_trained
from zoo.models.head import Head, is_below, is_below_any
from zoo.models.inspected import Inspection, ModuleInfo, ParameterInfo
from zoo.models.trace import CannotTrace, Trace, trace
from zoo.plugin import BlockSpec


@dataclass(frozen=True)
class Layout:
    """The head and the blocks of a network, and the names of what is trained."""

    blocks: Sequence[BlockSpec] = ()
    head: Head | None = None
    #: Prefixes of the names of trainable parameters; None means that ``requires_grad`` of each parameter says it.
    trainable: tuple[str, ...] | None = None
    #: Names of parameters that are never trained, even under these prefixes.
    untrained: frozenset[str] = frozenset()


def trace_image(model: nn.Module, size: tuple[int, int, int]) -> Trace | CannotTrace:
    """Run the network on one image; return the record of the forward pass, or why it failed."""
    try:
        return trace(model, torch.zeros(1, *size))
    except CannotTrace as error:
        return error


def make_inspection(
    title: tuple[str, str | None],
    model: nn.Module,
    layout: Layout,
    traced: Trace | CannotTrace,
    limits: tuple[tuple[int, int, int], int | None],
) -> Inspection:
    """Return the modules of a network as a tree.

    Args:
        title: The name of the network, and what is trained.
        model: The network.
        layout: Its head, its blocks, and what is trained.
        traced: The record of a forward pass on one image, or why it failed.
        limits: The size of the image, and the number of levels below the network; None means all.
    """
    (name, train), (size, depth) = title, limits
    tree = _Tree(layout, traced if isinstance(traced, Trace) else None, {})
    return Inspection(
        name=name,
        input=size,
        train=train,
        head=layout.head.paths if layout.head else (),
        blocks=tuple(block.name for block in layout.blocks),
        problem=str(traced) if isinstance(traced, CannotTrace) else None,
        root=tree.grow(model, "", -1 if depth is None else depth),
    )


@dataclass(frozen=True)
class _Tree:
    """The facts that all modules of a tree share."""

    layout: Layout
    traced: Trace | None
    #: Paths of the modules that were listed.
    listed: dict[nn.Module, str]

    def grow(self, module: nn.Module, path: str, depth: int) -> ModuleInfo:
        """Return a module with its children, down to a depth; a negative depth has no end."""
        same_as = self.listed.get(module)
        self.listed.setdefault(module, path)
        parameters = dict(module.named_parameters(prefix=path))
        # named_children() would leave out a module that the same parent has under a second name.
        below = {} if depth == 0 or same_as is not None else dict(module.named_modules(remove_duplicate=False))
        children = [(name, child) for name, child in below.items() if name and "." not in name]
        traced, head = self.traced, self.layout.head
        used = sum(parameter.numel() for name, parameter in parameters.items() if traced and name in traced.uses)
        # The parameters of a layer are counted in its own line.
        loose = module.named_parameters(prefix=path, recurse=False) if children else ()
        return ModuleInfo(
            path=path,
            type=type(module).__name__,
            calls=traced.calls.get(module, 0) if traced else None,
            outputs=traced.shapes.get(module, ()) if traced else (),
            params=sum(parameter.numel() for parameter in parameters.values()),
            trainable=self._count_trainable(parameters),
            used=used if traced else None,
            block=self._find_block(path),
            is_head=head is not None and bool(path) and head.covers(path),
            same_as=same_as,
            parameters=tuple(self._describe(name, parameter) for name, parameter in loose),
            children=tuple(self.grow(child, f"{path}.{name}".lstrip("."), depth - 1) for name, child in children),
        )

    def _describe(self, name: str, parameter: Tensor) -> ParameterInfo:
        head = self.layout.head
        is_head = head is not None and (name in head.parameters or head.covers(name))
        trainable = self._count_trainable({name: parameter})
        return ParameterInfo(
            name, tuple(parameter.shape), parameter.numel(), trainable, self._find_block(name), is_head=is_head
        )

    def _count_trainable(self, parameters: Mapping[str, Tensor]) -> int:
        names = self.layout.trainable
        return sum(
            parameter.numel()
            for name, parameter in parameters.items()
            if (parameter.requires_grad if names is None else is_trained(name, names, self.layout.untrained))
        )

    def _find_block(self, path: str) -> str | None:
        """Return the block that contains a module, or the only block that a module contains."""
        if not path:
            return None
        for block in self.layout.blocks:
            if is_below_any(path, block.prefixes):
                return block.name
        inside = {block.name for block in self.layout.blocks if any(is_below(p, path) for p in block.prefixes)}
        has_head = self.layout.head is not None and any(is_below(own, path) for own in self.layout.head.paths)
        return inside.pop() if len(inside) == 1 and not has_head else None
