"""The blocks of a model from input to output, and which of them are trainable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from zoo.errors import NameNotFound, PluginError
from zoo.models.head import Head, is_below_any
from zoo.plugin import BackboneSpec, BlockSpec
from zoo.registry.plugins.isolation import naming_place
from zoo.registry.plugins.place import find_definition
from zoo.registry.train_scope import ALL, HEAD, TrainScope


def list_blocks(backbone: BackboneSpec, model: nn.Module, head: Head) -> tuple[BlockSpec, ...]:
    """Return the blocks of a model from input to output, without the part that belongs to the head.

    Args:
        backbone: The backbone of the model.
        model: The model, with its own head or a new one.
        head: The location of the head.

    Raises:
        PluginError: If a parameter is not in exactly one block or in the head, or if a block matches nothing.
    """
    declared = _find_blocks(backbone, model) if callable(backbone.blocks) else backbone.blocks
    blocks = tuple(_without_head(declared, head))
    tensors = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    for block in blocks:
        if not any(is_below_any(name, block.prefixes) for name, _ in tensors):
            raise PluginError(
                f"{backbone.name} declares the block {block.name}, which matches no parameter or buffer of its model."
            )
    owner_of: dict[int, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        owners = [block.name for block in blocks if is_below_any(name, block.prefixes)]
        owners += ["the head"] if head.covers(name) else []
        if len(owners) != 1:
            where = f"in {' and '.join(owners)}" if owners else "in neither a block nor a head"
            raise PluginError(f"{backbone.name} declares its blocks incorrectly: parameter {name} is {where}.")
        if owner_of.setdefault(id(parameter), owners[0]) != owners[0]:
            where = f"in {owner_of[id(parameter)]}, and under another name in {owners[0]}"
            raise PluginError(f"{backbone.name} declares its blocks incorrectly: parameter {name} is {where}.")
    return blocks


def _find_blocks(backbone: BackboneSpec, model: nn.Module) -> tuple[BlockSpec, ...]:
    """Call the plugin's function that finds the blocks in the built model."""
    assert callable(backbone.blocks)
    with naming_place(f"{backbone.name} cannot find its blocks"):
        blocks = backbone.blocks(model)
    if not (isinstance(blocks, tuple) and all(isinstance(block, BlockSpec) for block in blocks)):
        place = find_definition(backbone.blocks)
        raise PluginError(
            f"blocks(){place} of {backbone.name} returned {blocks!r:.80}; it must return a tuple of BlockSpec."
        )
    names = [block.name for block in blocks]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise PluginError(
            f"blocks() of {backbone.name} returned several blocks called {', '.join(duplicates)}; names must differ."
        )
    return blocks


def refuse_unknown_block(backbone: BackboneSpec, scope: TrainScope) -> None:
    """Check that a backbone has the block of a scope, as far as that is known before the model is built.

    Raises:
        NameNotFound: If the backbone declares its blocks as data and does not have this one.
    """
    if callable(backbone.blocks):
        return
    names = [term.value for term in scope.terms if term.kind == "from"]
    for name in [scope.block, *names] if scope.block else names:
        _get_position(name, backbone.blocks)


def list_trainable(blocks: tuple[BlockSpec, ...], head: Head, scope: TrainScope) -> tuple[str, ...]:
    """Return the parameter-name prefixes that are trainable in a phase. All other parameters are frozen.

    Args:
        blocks: The blocks of the model, from input to output.
        head: The location of the head.
        scope: The scope of one phase: ``head``, ``all`` or ``from:BLOCK``.

    Raises:
        NameNotFound: If there is no such block.
    """
    if scope.is_head_only:
        # Auxiliary heads help to train the layers below them. They have no purpose if those layers are frozen.
        return head.trained
    first = _get_position(scope.block, blocks) if scope.block else 0
    return (*(prefix for block in blocks[first:] for prefix in block.prefixes), *head.trained, *head.aux_paths)


def list_stages(scope: TrainScope, blocks: Sequence[BlockSpec]) -> tuple[TrainScope, ...]:
    """Return the scope of each phase; for a scope without phases, only that scope."""
    if scope.kind == "head-then-all":
        return HEAD, ALL
    if scope.kind == "gradual":
        return HEAD, *(TrainScope("from", block.name) for block in reversed(blocks[1:])), ALL
    return (scope,)


def get_block(name: str, blocks: Sequence[BlockSpec]) -> BlockSpec:
    """Return the block of a name.

    Raises:
        NameNotFound: If there is no such block.
    """
    return blocks[_get_position(name, blocks)]


def _get_position(name: str, blocks: Sequence[BlockSpec]) -> int:
    names = [block.name for block in blocks]
    if name not in names:
        raise NameNotFound(f"no block {name!r}; the blocks from input to output are {', '.join(names)}.")
    return names.index(name)


def _without_head(blocks: tuple[BlockSpec, ...], head: Head) -> Iterator[BlockSpec]:
    for block in blocks:
        # A block that names a parameter of the head is an error, so it is not removed.
        prefixes = tuple(prefix for prefix in block.prefixes if not is_below_any(prefix, head.layers))
        if prefixes:
            yield BlockSpec(block.name, prefixes)
