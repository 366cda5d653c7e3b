"""What is inside a network, as a tree that is printed as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from zoo.models.trace import Shape
from zoo.progress.printable import make_printable


@dataclass(frozen=True)
class ParameterInfo:
    """A parameter that belongs to a module itself, and to none of its children."""

    #: Dotted path.
    path: str
    shape: Shape
    #: Number of its values, and of those that are trainable: all or none.
    params: int
    trainable: int
    #: Block that the parameter belongs to; None if it belongs to the head, or to no block.
    block: str | None
    #: Whether it belongs to the head.
    is_head: bool


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
    #: Parameters that belong to the module itself, such as a class token, if it also has children.
    parameters: tuple[ParameterInfo, ...] = ()
    children: tuple[ModuleInfo, ...] = ()

    @property
    def state(self) -> str:
        """``trainable``, ``frozen`` or ``partly``; empty for a module without parameters."""
        return _name_state(self.params, self.trainable)

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
            *(row for info in self.root.walk() for row in _make_rows(info)),
        ]
        cells = [[make_printable(cell) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines += [
            "  ".join(cell.rjust(width) if index == 3 else cell.ljust(width) for index, (cell, width) in pairs).rstrip()
            for pairs in (enumerate(zip(row, widths, strict=True)) for row in cells)
        ]
        return [make_printable(line) for line in lines]


def _make_rows(info: ModuleInfo) -> Iterator[tuple[str, ...]]:
    """Yield the line of a module, and one for each of its own parameters."""
    shapes = " ".join(map(_format_shape, info.outputs))
    count = f"{info.params:,}" if info.params else ""
    name, notes = _indent(info.path) if info.path else "(network)", "; ".join(_list_notes(info))
    yield name, info.type, shapes, count, info.state, info.block or "", notes
    for own in info.parameters:
        state, notes = _name_state(own.params, own.trainable), "head" if own.is_head else ""
        yield _indent(own.path), "Parameter", _format_shape(own.shape), f"{own.params:,}", state, own.block or "", notes


def _indent(path: str) -> str:
    return f"{'  ' * (path.count('.') + 1)}{path.rpartition('.')[2]}"


def _format_shape(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _name_state(params: int, trainable: int) -> str:
    if not params:
        return ""
    return {0: "frozen", params: "trainable"}.get(trainable, "partly")


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
