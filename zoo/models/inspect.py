"""What is inside a network: its modules, their outputs and parameters, and what is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from zoo.models.freeze import is_trained
from zoo.models.head import Head, is_below, is_below_any
from zoo.models.trace import CannotTrace, Shape, Trace, trace
from zoo.plugin import BlockSpec
from zoo.progress.printable import make_printable

_TITLES = ("MODULE", "TYPE", "OUTPUT", "PARAMETERS", "STATE", "BLOCK", "NOTES")


@dataclass(frozen=True)
class ModuleInfo:
    """A module of a network."""

    #: Dotted path; empty for the network itself.
    path: str
    #: Name of its class.
    type: str
    #: Number of calls in one forward pass; None if the forward pass failed.
    calls: int | None
    #: Shapes of the tensors that its first call returned for one image, including the batch of one.
    outputs: tuple[Shape, ...]
    #: Number of parameters, including those of its children.
    params: int
    #: Number of trainable parameters among them.
    trainable: int
    #: Number of parameters that the forward pass used, even if it did not call the module; None if it failed.
    used: int | None
    #: Block that the module belongs to; None if it contains several blocks, or belongs to none.
    block: str | None
    #: Whether the module is the head, or a part of it.
    is_head: bool
    #: Path under which the same module was listed before; None if there is no such path.
    same_as: str | None = None
    children: tuple[ModuleInfo, ...] = ()

    @property
    def state(self) -> str:
        """``trainable``, ``frozen`` or ``partly``; empty for a module without parameters."""
        if not self.params:
            return ""
        return {0: "frozen", self.params: "trainable"}.get(self.trainable, "partly")

    def walk(self) -> Iterator[ModuleInfo]:
        """Yield this module and all modules below it, in order."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, repr=False)
class Inspection:
    """The modules of a network as a tree. ``print`` shows it as a table."""

    name: str
    #: Channels, height and width of the image.
    input: tuple[int, int, int]
    #: What is trained, such as ``from:layer4``; None for a module, whose parameters know it.
    train: str | None
    #: Paths of the head.
    head: tuple[str, ...]
    #: Names of the blocks, from input to output.
    blocks: tuple[str, ...]
    #: Why there are no calls and no shapes; None if the forward pass succeeded.
    problem: str | None
    #: The network itself.
    root: ModuleInfo = field(repr=False)

    def __repr__(self) -> str:
        return "\n".join(self.list_lines())

    def list_lines(self) -> list[str]:
        """Return the lines of a table, with one line for each module."""
        image = "x".join(map(str, self.input))
        train = f", train {self.train}" if self.train else ""
        counts = f"{self.root.trainable:,} of {self.root.params:,} parameters are trainable"
        lines = [f"{self.name}: {counts} (input 1x{image}{train})"]
        lines += [f"no output shapes: {self.problem}"] if self.problem else []
        rows = [
            ("MODULE", "TYPE", "OUTPUT", "PARAMETERS", "STATE", "BLOCK", "NOTES"),
            *map(_make_row, self.root.walk()),
        ]
        cells = [[make_printable(cell) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines += [
            "  ".join(cell.rjust(width) if index == 3 else cell.ljust(width) for index, (cell, width) in pairs).rstrip()
            for pairs in (enumerate(zip(row, widths, strict=True)) for row in cells)
        ]
        return [make_printable(line) for line in lines]


def _make_row(info: ModuleInfo) -> tuple[str, ...]:
    level = info.path.count(".") + 1 if info.path else 0
    name = f"{'  ' * level}{info.path.rpartition('.')[2]}" if info.path else "(network)"
    shapes = " ".join("x".join(map(str, shape)) for shape in info.outputs)
    count = f"{info.params:,}" if info.params else ""
    return name, info.type, shapes, count, info.state, info.block or "", "; ".join(_list_notes(info))


def _list_notes(info: ModuleInfo) -> Iterator[str]:
    if info.is_head:
        yield "head"
    if info.same_as is not None:
        yield f"same module as {info.same_as}"
    if info.calls is not None and info.calls > 1:
        yield f"called {info.calls} times"
    if info.calls == 0:
        # Some containers, such as a list of layers, are never called; their children are.
        if any(child.calls for child in info.walk()):
            yield "not called itself"
        else:
            yield "never called, but its parameters are used" if info.used else "never called"


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
            children=tuple(self.grow(child, f"{path}.{name}".lstrip("."), depth - 1) for name, child in children),
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
