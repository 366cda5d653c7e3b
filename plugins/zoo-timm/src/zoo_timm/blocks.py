"""The blocks of a model: timm's parameter groups without the head, in the order of the forward pass.

timm groups parameters to set their learning rates by layer. The groups are suitable as blocks, but they are not always
in the order of the forward pass. For example, the first group may contain a class token that only the last two blocks
read. Therefore, each group is split into *pieces* by top-level module, and the pieces are sorted by first use.
Neighboring pieces of the same group, and pieces whose uses overlap, are joined into one block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from timm.models import group_parameters

from zoo.plugin import BlockSpec
from zoo.testing import first_uses
from zoo_timm.prefixes import covers, shortest_prefixes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import nn

HEAD = -1


@dataclass(slots=True)
class Piece:
    """The parameters of one group that belong to the same top-level module."""

    #: Group in timm, or top-level module if timm has no groups for this model.
    group: int | str
    names: list[str]
    #: Positions in the forward pass at which the parameters are first used.
    uses: list[int]


def read_blocks(model: nn.Module, heads: Sequence[str], size: tuple[int, int, int]) -> tuple[BlockSpec, ...]:
    """Find the blocks of a model, from input to output. Each parameter is in one block, except for the heads' own.

    Args:
        model: A model on the meta device.
        heads: Dotted paths of the last layers.
        size: Channels, height and width of an input that the model accepts, the last two in pixels.
    """
    pieces = _place_unused(_split_groups(model, heads, first_uses(model, size)))
    pieces = _join(_absorb_fragments(_join(sorted(pieces, key=lambda piece: min(piece.uses, default=0))), model))
    owners = _add_aliases(model, {name: place for place, piece in enumerate(pieces) for name in piece.names})
    prefixes = shortest_prefixes(owners)
    return _name_blocks([prefixes[place] for place in range(len(pieces))], model)


def _split_groups(model: nn.Module, heads: Sequence[str], uses: dict[int, int]) -> list[Piece]:
    """Split the groups into pieces, in the order in which the model defines them."""
    groups = _map_groups(model)
    pieces: dict[tuple[int | str, str], Piece] = {}
    for name, parameter in model.named_parameters():
        if any(covers(head, name) for head in heads):
            continue
        group = groups[name]
        piece = pieces.setdefault((group, _find_top_module(name)), Piece(group, [], []))
        piece.names.append(name)
        if id(parameter) in uses:
            piece.uses.append(uses[id(parameter)])
    return list(pieces.values())


def _map_groups(model: nn.Module) -> dict[str, int | str]:
    """Map each parameter name to its group in timm, or to its top-level module if timm has no coarse groups."""
    try:
        matcher = model.group_matcher(coarse=True)  # type: ignore[operator]  # timm's models have it, nn.Module does not
    except (AttributeError, AssertionError):
        return _map_top_modules([name for name, _ in model.named_parameters()])
    return dict(group_parameters(model, matcher, reverse=True))


def _map_top_modules(names: Sequence[str]) -> dict[str, int | str]:
    """Map each parameter name to its top-level module. The first module is the stem, which is not split."""
    modules = (name.partition(".")[0] for name in names if "." in name)
    stem = next(modules, "")
    return {name: stem if covers(stem, name) else _find_top_module(name) for name in names}


def _find_top_module(name: str) -> str:
    """Return the top-level module of a parameter, with its index if it is in a list: ``blocks.0``, ``stem``."""
    parts = name.split(".")
    return ".".join(parts[: 2 if len(parts) > 2 and parts[1].isdigit() else 1])


def _place_unused(pieces: list[Piece]) -> list[Piece]:
    """Join parameters that the forward pass does not use, such as mask tokens, to the previous piece of their group."""
    placed: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: not piece.uses):
        target = next(
            (other for other in reversed(placed) if other.group == piece.group), placed[-1] if placed else None
        )
        if not piece.uses and target is not None:
            target.names += piece.names
        else:
            placed.append(piece)
    return placed


def _join(pieces: Iterable[Piece]) -> list[Piece]:
    """Join neighboring pieces that belong to the same group or whose uses overlap."""
    joined: list[Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if last and (piece.group == last.group or min(piece.uses, default=0) < max(last.uses, default=0)):
            joined[-1] = Piece(last.group, last.names + piece.names, last.uses + piece.uses)
        else:
            joined.append(piece)
    return joined


def _absorb_fragments(pieces: list[Piece], model: nn.Module) -> list[Piece]:
    """Join single tokens, and norms and scales that are used far from their group, to the piece that follows."""
    ranks = {name: parameter.ndim for name, parameter in model.named_parameters()}
    kept: list[Piece] = []
    for piece in reversed(pieces):
        is_token = all("." not in name for name in piece.names)
        has_only_vectors = all(ranks[name] < 2 for name in piece.names)
        is_separated = any(other.group == piece.group for other in pieces if other is not piece)
        if kept and (is_token or (has_only_vectors and is_separated)):
            last = kept.pop()
            kept.append(Piece(last.group, piece.names + last.names, piece.uses + last.uses))
        else:
            kept.append(piece)
    return kept[::-1]


def _add_aliases(model: nn.Module, owners: dict[str, int]) -> dict[str, int]:
    """Add the other names of shared parameters, in the order of definition, and the names of the heads' parameters."""
    places = {id(parameter): owners.get(name, HEAD) for name, parameter in model.named_parameters()}
    return {name: places[id(parameter)] for name, parameter in model.named_parameters(remove_duplicate=False)}


def _name_blocks(prefixes: Sequence[tuple[str, ...]], model: nn.Module) -> tuple[BlockSpec, ...]:
    """Name the blocks. The first block is called stem unless it is an item of a list."""
    names = [_choose_name(several, model) for several in prefixes]
    tops = [_find_top_module(f"{name}.") for name in names]
    names = [top if top[-1].isdigit() and tops.count(top) == 1 else name for name, top in zip(names, tops, strict=True)]
    if "stem" not in names and (len(prefixes[0]) > 1 or not names[0][-1].isdigit()):
        names[0] = "stem"
    return tuple(map(BlockSpec, names, prefixes))


def _choose_name(prefixes: Sequence[str], model: nn.Module) -> str:
    """Choose the prefix that names a block: an item of a list if there is one, else the prefix with most parameters."""
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters(remove_duplicate=False)}

    def rank(prefix: str) -> tuple[bool, int]:
        return prefix.rpartition(".")[2].isdigit(), sum(size for name, size in sizes.items() if covers(prefix, name))

    return max(prefixes, key=rank)
