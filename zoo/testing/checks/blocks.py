"""Promises of the blocks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from zoo.models.freeze import list_batch_norms
from zoo.models.head import is_below
from zoo.testing.backbone_under_test import BackboneUnderTest
from zoo.testing.results.result import CheckFailed
from zoo.testing.suggestions import list_prefixes, name_likest


def partition(backbone: BackboneUnderTest) -> None:
    """By identity: a parameter that has two names is in one block under both. And every prefix names something."""
    names = [*dict(backbone.meta.named_parameters(remove_duplicate=False)), *dict(backbone.meta.named_buffers())]
    for block in backbone.blocks:  # listing them raises what is wrong with them
        for prefix in block.prefixes:
            if not any(is_below(name, prefix) for name in names):
                raise CheckFailed(
                    f"the block {block.name} has the prefix {prefix}, and no parameter or buffer of the model begins "
                    f"so; {name_likest(prefix, list_prefixes(names))}."
                )


def buffers(backbone: BackboneUnderTest) -> None:
    """Batch statistics outside of every block would count as frozen, and change when other blocks are trained.

    What no training moves, such as the angles of a position embedding, may be anywhere.
    """
    norms = {id(buffer) for norm in list_batch_norms(backbone.meta) for buffer in norm.buffers()}
    for name, buffer in backbone.meta.named_buffers(remove_duplicate=False):
        owners = [owner for owner, _ in _list_owners(backbone, name)]
        if id(buffer) in norms and len(owners) != 1:
            where = f"in {' and '.join(owners)}" if owners else "in no block and no head"
            raise CheckFailed(f"the buffer {name} is {where}; name its module among a block's prefixes.")


def order(backbone: BackboneUnderTest) -> None:
    """By first use in a forward pass; what it never uses (a token for masks) has no place in the order.

    If there are several parallel heads, one of them comes after all blocks.
    """
    used = sorted(_list_uses(backbone))
    blocks = [use for use in used if use.place < len(backbone.blocks)]
    for earlier, later in pairwise(blocks):
        if later.place < earlier.place:
            raise CheckFailed(
                f"{later.name} of {later.owner} is used after {earlier.name} of {earlier.owner}; "
                "declare blocks in the order in which an image goes through them."
            )
    if blocks and used[-1] is blocks[-1]:
        raise CheckFailed(f"{used[-1].name} of {used[-1].owner} is used after every head; it must belong to a head.")


def several(backbone: BackboneUnderTest) -> None:
    """Else there is nothing to freeze in part."""
    if len(backbone.blocks) < 2:
        raise CheckFailed("it has one block only; declare its stages, or say in unsupported, under freezing, why not.")


class _Use(NamedTuple):
    """The first use of a parameter."""

    when: int
    #: Of its block among the blocks; heads come last.
    place: int
    owner: str
    name: str


def _list_uses(backbone: BackboneUnderTest) -> Iterator[_Use]:
    uses = backbone.traced.uses
    for name, parameter in backbone.meta.named_parameters():
        if id(parameter) in uses and not any(is_below(name, path) for path in backbone.head.aux_paths):
            ((owner, place),) = _list_owners(backbone, name)
            yield _Use(uses[id(parameter)], place, owner, name)


def _list_owners(backbone: BackboneUnderTest, name: str) -> Iterator[tuple[str, int]]:
    """Yield the block or head that a name belongs to, and its place; heads come last."""
    for place, block in enumerate(backbone.blocks):
        if any(is_below(name, prefix) for prefix in block.prefixes):
            yield block.name, place
    if backbone.head.covers(name):
        yield "the head", len(backbone.blocks)
