"""A model's blocks: timm's own parameter groups without the head, in the order in which a forward pass uses them.

timm groups parameters for layer-wise learning rates. Its groups are good, its order not always: a class token that is
read by the last two blocks only stands in the first group. So a group is cut into *pieces* by its top modules, the
pieces are sorted by first use, and what lies together again, or cannot be told apart in time, is one block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from timm.models import group_parameters

from zoo.models.parameter_order import first_uses
from zoo.plugin import BlockSpec
from zoo_timm.prefixes import covers, shortest_prefixes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import nn

HEAD = -1


@dataclass(slots=True)
class Piece:
    """Parameters of one group that lie under one top module."""

    #: timm's group, or the top module where timm has no groups.
    group: int | str
    names: list[str]
    #: When the forward pass first uses each parameter that it uses at all.
    uses: list[int]


def read_blocks(model: nn.Module, heads: Sequence[str], size: tuple[int, int, int]) -> tuple[BlockSpec, ...]:
    """Find the blocks of a model on the meta device, from input to output, in which every parameter but a head's is.

    Args:
        model: On the meta device.
        heads: Dotted paths of the last layers.
        size: Channels, height and width in pixels of an input that the model accepts.
    """
    pieces = _place_unused(_pieces(model, heads, first_uses(model, size)))
    pieces = _join(_absorb_splinters(_join(sorted(pieces, key=lambda piece: min(piece.uses, default=0))), model))
    owners = _with_aliases(model, {name: place for place, piece in enumerate(pieces) for name in piece.names})
    prefixes = shortest_prefixes(owners)
    return _named([prefixes[place] for place in range(len(pieces))], model)


def _pieces(model: nn.Module, heads: Sequence[str], uses: dict[int, int]) -> list[Piece]:
    """Cut the groups into pieces, in the order of definition."""
    groups = _groups(model)
    pieces: dict[tuple[int | str, str], Piece] = {}
    for name, parameter in model.named_parameters():
        if any(covers(head, name) for head in heads):
            continue
        group = groups[name]
        piece = pieces.setdefault((group, _top(name)), Piece(group, [], []))
        piece.names.append(name)
        if id(parameter) in uses:
            piece.uses.append(uses[id(parameter)])
    return list(pieces.values())


def _groups(model: nn.Module) -> dict[str, int | str]:
    """Map each parameter name to timm's group, or to its top module where timm has no coarse groups."""
    try:
        matcher = model.group_matcher(coarse=True)  # type: ignore[operator]  # timm's models have it, nn.Module not
    except (AttributeError, AssertionError):
        return _top_groups([name for name, _ in model.named_parameters()])
    return dict(group_parameters(model, matcher, reverse=True))


def _top_groups(names: Sequence[str]) -> dict[str, int | str]:
    """Map each parameter name to its top module; the module that is defined first is whole, as it is the stem."""
    modules = (name.partition(".")[0] for name in names if "." in name)
    stem = next(modules, "")
    return {name: stem if covers(stem, name) else _top(name) for name in names}


def _top(name: str) -> str:
    """Give the top module of a parameter, with its number if it stands in a list: ``blocks.0``, ``stem``."""
    parts = name.split(".")
    return ".".join(parts[: 2 if len(parts) > 2 and parts[1].isdigit() else 1])


def _place_unused(pieces: list[Piece]) -> list[Piece]:
    """Join what no forward pass uses (a mask token) to the piece of its group that is defined before it."""
    placed: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: not piece.uses):
        home = next((other for other in reversed(placed) if other.group == piece.group), placed[-1] if placed else None)
        if not piece.uses and home is not None:
            home.names += piece.names
        else:
            placed.append(piece)
    return placed


def _join(pieces: Iterable[Piece]) -> list[Piece]:
    """Join neighbours that are of the same group, or of which one is used before the other is through."""
    joined: list[Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if last and (piece.group == last.group or min(piece.uses, default=0) < max(last.uses, default=0)):
            joined[-1] = Piece(last.group, last.names + piece.names, last.uses + piece.uses)
        else:
            joined.append(piece)
    return joined


def _absorb_splinters(pieces: list[Piece], model: nn.Module) -> list[Piece]:
    """Join to the piece that follows: lone tokens, and norms and scales that are used far from their group."""
    ranks = {name: parameter.ndim for name, parameter in model.named_parameters()}
    kept: list[Piece] = []
    for piece in reversed(pieces):
        token = all("." not in name for name in piece.names)
        light = all(ranks[name] < 2 for name in piece.names)
        astray = any(other.group == piece.group for other in pieces if other is not piece)
        if kept and (token or (light and astray)):
            last = kept.pop()
            kept.append(Piece(last.group, piece.names + last.names, piece.uses + last.uses))
        else:
            kept.append(piece)
    return kept[::-1]


def _with_aliases(model: nn.Module, owners: dict[str, int]) -> dict[str, int]:
    """Add the other names of shared parameters, in the order of definition, and the heads' names."""
    places = {id(parameter): owners.get(name, HEAD) for name, parameter in model.named_parameters()}
    return {name: places[id(parameter)] for name, parameter in model.named_parameters(remove_duplicate=False)}


def _named(prefixes: Sequence[tuple[str, ...]], model: nn.Module) -> tuple[BlockSpec, ...]:
    """Name the blocks; the first one is the stem unless it stands in a list."""
    names = [_largest(several, model) for several in prefixes]
    tops = [_top(f"{name}.") for name in names]
    names = [top if top[-1].isdigit() and tops.count(top) == 1 else name for name, top in zip(names, tops, strict=True)]
    if "stem" not in names and (len(prefixes[0]) > 1 or not names[0][-1].isdigit()):
        names[0] = "stem"
    return tuple(map(BlockSpec, names, prefixes))


def _largest(prefixes: Sequence[str], model: nn.Module) -> str:
    """Choose the prefix to name a block by: an item of a list before anything that is joined to it."""
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters(remove_duplicate=False)}

    def rank(prefix: str) -> tuple[bool, int]:
        return prefix.rpartition(".")[2].isdigit(), sum(size for name, size in sizes.items() if covers(prefix, name))

    return max(prefixes, key=rank)
