"""Checks of the blocks."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from zoo.models.freeze import list_batch_norms
from zoo.models.head import is_below, is_below_any
from zoo.testing.backbone_under_test import BackboneUnderTest
from zoo.testing.results.result import CheckFailed
from zoo.testing.suggestions import list_prefixes, suggest


def partition(backbone: BackboneUnderTest) -> None:
    """Compare parameters by identity: all names of a shared parameter must be in the same block.

    Every prefix must also match a parameter or buffer.
    """
    names = [*dict(backbone.meta.named_parameters(remove_duplicate=False)), *dict(backbone.meta.named_buffers())]
    for block in backbone.blocks:  # This property raises an error if a parameter is not in exactly one block.
        for prefix in block.prefixes:
            if not any(is_below(name, prefix) for name in names):
                raise CheckFailed(
                    f"the block {block.name} has the prefix {prefix}, which no parameter or buffer of the model has; "
                    f"{suggest(prefix, list_prefixes(names))}."
                )


def buffers(backbone: BackboneUnderTest) -> None:
    """Find running statistics outside all blocks: they would count as frozen, but training other blocks changes them.

    Buffers that training does not change, such as the angles of a position embedding, may be anywhere.
    """
    norms = {id(buffer) for norm in list_batch_norms(backbone.meta) for buffer in norm.buffers()}
    for name, buffer in backbone.meta.named_buffers(remove_duplicate=False):
        owners = [owner for _, owner in _list_owners(backbone, name)]
        if id(buffer) in norms and len(owners) != 1:
            where = f"in {' and '.join(owners)}" if owners else "in neither a block nor a head"
            raise CheckFailed(f"the buffer {name} is {where}; add its module to one block's prefixes.")


def order(backbone: BackboneUnderTest) -> None:
    """Compare the declared order with the order of first use in a forward pass.

    Parameters that the pass does not use, such as a mask token, have no position in the order. If there are several
    parallel heads, at least one of them must come after all blocks.
    """
    uses = _list_uses(backbone)
    blocks = [use for use in uses if use.place < len(backbone.blocks)]
    for earlier, later in pairwise(blocks):
        if later.place < earlier.place:
            raise CheckFailed(
                f"{later.name} of {later.owner} is used after {earlier.name} of {earlier.owner}; "
                "declare blocks in the order in which the forward pass uses them."
            )
    if blocks and uses[-1] is blocks[-1]:
        raise CheckFailed(
            f"{uses[-1].name} of {uses[-1].owner} is used after every head; "
            "it must belong to a head, or be declared in head_parameters."
        )


def several(backbone: BackboneUnderTest) -> None:
    """Count the blocks: a single block cannot be partly frozen."""
    if len(backbone.blocks) < 2:
        raise CheckFailed(
            "it has only one block; declare its stages, or declare freezing in unsupported, with the reason."
        )


class _Use(NamedTuple):
    """The first use of a parameter in a forward pass."""

    #: Position of the owner among the blocks; the head comes last.
    place: int
    #: Name of the block that the parameter belongs to, or ``the head``.
    owner: str
    name: str


def _list_uses(backbone: BackboneUnderTest) -> list[_Use]:
    """List the first use of each parameter, in order of use, except for the parameters of auxiliary heads."""
    names = {id(parameter): name for name, parameter in backbone.meta.named_parameters()}
    used = [names[key] for key in backbone.traced.uses]
    outside = [name for name in used if not is_below_any(name, backbone.head.aux_paths)]
    return [_Use(*_list_owners(backbone, name)[0], name) for name in outside]


def _list_owners(backbone: BackboneUnderTest, name: str) -> list[tuple[int, str]]:
    """List the blocks, or the head, that a parameter or buffer belongs to, with their positions."""
    blocks = enumerate(backbone.blocks)
    owners = [(place, block.name) for place, block in blocks if is_below_any(name, block.prefixes)]
    if backbone.head.covers(name):
        owners.append((len(backbone.blocks), "the head"))
    return owners
