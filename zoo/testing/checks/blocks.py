"""Promises of the blocks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from zoo.freeze import list_batch_norms
from zoo.head import is_below
from zoo.testing.results import CheckFailed

if TYPE_CHECKING:
    from zoo.testing.subject import Subject


def partition(subject: Subject) -> None:
    """By identity: a parameter that has two names is in one block under both."""
    _ = subject.blocks  # listing them says what is wrong with them


def buffers(subject: Subject) -> None:
    """Batch statistics outside of every block would count as frozen, and move all the same when the rest learns.

    What no training moves, such as the angles of a position embedding, may be anywhere.
    """
    norms = {id(buffer) for norm in list_batch_norms(subject.meta) for buffer in norm.buffers()}
    for name, buffer in subject.meta.named_buffers(remove_duplicate=False):
        if id(buffer) not in norms:
            continue
        owners = [owner for owner, _ in _list_owners(subject, name)]
        if len(owners) != 1:
            where = f"in {' and '.join(owners)}" if owners else "in no block and no head"
            raise CheckFailed(f"the buffer {name} is {where}; name its module among a block's prefixes.")


def order(subject: Subject) -> None:
    """By first use in a forward pass; what it never uses (a token for masks) has no place in the order."""
    uses, last = subject.traced.uses, len(subject.blocks)
    used: list[tuple[int, int, str, str]] = []
    for name, parameter in subject.meta.named_parameters():
        if id(parameter) in uses and not _is_auxiliary(subject, name):
            ((owner, place),) = _list_owners(subject, name)
            used.append((uses[id(parameter)], place, owner, name))
    for (_, place, owner, name), (_, next_place, next_owner, next_name) in pairwise(sorted(used)):
        if next_place < place:
            what = "the head comes" if place == last else f"{owner} comes"
            raise CheckFailed(
                f"{next_name} of {next_owner} is used after {name} of {owner}, but {what} later in the declaration; "
                "declare blocks in the order in which an image goes through them."
            )


def several(subject: Subject) -> None:
    """Else there is nothing to freeze in part."""
    if len(subject.blocks) < 2:
        raise CheckFailed("it has one block only; declare its stages, or say in unsupported, under freezing, why not.")


def _is_auxiliary(subject: Subject, name: str) -> bool:
    return any(is_below(name, path) for path in subject.head.aux_paths)


def _list_owners(subject: Subject, name: str) -> Iterator[tuple[str, int]]:
    """Yield the block or head that a name belongs to, and its place; heads come last."""
    for place, block in enumerate(subject.blocks):
        if any(is_below(name, prefix) for prefix in block.prefixes):
            yield block.name, place
    if subject.head.covers(name):
        yield "the head", len(subject.blocks)
