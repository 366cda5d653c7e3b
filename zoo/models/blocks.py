"""The blocks of a model from input to output, and which of them are trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from zoo.errors import NameNotFound, PluginError
from zoo.models.head import Head, is_below, is_below_any
from zoo.plugin import BackboneSpec, BlockSpec
from zoo.registry.train_scope import ALL, HEAD, TrainScope


def list_blocks(backbone: BackboneSpec, model: nn.Module, head: Head) -> tuple[BlockSpec, ...]:
    """Return the model's blocks from input to output, without what the head replaced.

    Raises:
        PluginError: a parameter is in no block and no head, or in two of them.
    """
    declared = _ask_for_blocks(backbone, model) if callable(backbone.blocks) else backbone.blocks
    blocks = tuple(_without_head(declared, head))
    names = [
        name for named in (model.named_parameters, model.named_buffers) for name, _ in named(remove_duplicate=False)
    ]
    for block in blocks:
        if not any(is_below(name, prefix) for name in names for prefix in block.prefixes):
            raise PluginError(f"{backbone.name} declares the block {block.name}, which holds nothing of its model.")
    owner_of: dict[int, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        owners = [block.name for block in blocks if is_below_any(name, block.prefixes)]
        owners += ["the head"] if head.covers(name) else []
        if len(owners) != 1:
            where = f"in {' and '.join(owners)}" if owners else "in no block and no head"
            raise PluginError(f"{backbone.name} declares its blocks wrongly: parameter {name} is {where}.")
        if owner_of.setdefault(id(parameter), owners[0]) != owners[0]:
            where = f"in {owner_of[id(parameter)]}, and under another name in {owners[0]}"
            raise PluginError(f"{backbone.name} declares its blocks wrongly: parameter {name} is {where}.")
    return blocks


def _ask_for_blocks(backbone: BackboneSpec, model: nn.Module) -> tuple[BlockSpec, ...]:
    """Let the plugin find the blocks in the built model."""
    assert callable(backbone.blocks)
    try:
        blocks = backbone.blocks(model)
    except Exception as error:
        raise PluginError(f"{backbone.name} cannot find its blocks: {type(error).__name__}: {error}") from error
    if not (isinstance(blocks, tuple) and all(isinstance(block, BlockSpec) for block in blocks)):
        raise PluginError(f"{backbone.name} finds the blocks {blocks!r:.80}; it must be a tuple of BlockSpec.")
    names = [block.name for block in blocks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PluginError(f"{backbone.name} finds several blocks called {', '.join(twice)}; names must differ.")
    return blocks


def refuse_unknown_block(backbone: BackboneSpec, scope: TrainScope) -> None:
    """Raise NameNotFound for a block that the backbone does not declare, as far as that is known before it is built."""
    if scope.block and not callable(backbone.blocks):
        _get_position(scope.block, backbone.blocks)


def list_trainable(blocks: tuple[BlockSpec, ...], head: Head, scope: TrainScope) -> tuple[str, ...]:
    """Return the parameter-name prefixes of what a phase trains; everything else is frozen.

    Args:
        blocks: of the model, from input to output.
        head: of the model.
        scope: of one phase: ``head``, ``all`` or ``from:BLOCK``.

    Raises:
        NameNotFound: there is no such block.
    """
    if scope.is_head_only:
        # Auxiliary heads help deep layers to learn; if none of those is trained, they have nothing to do.
        return head.paths
    first = _get_position(scope.block, blocks) if scope.block else 0
    return (*(prefix for block in blocks[first:] for prefix in block.prefixes), *head.paths, *head.aux_paths)


def list_stages(scope: TrainScope, blocks: Sequence[BlockSpec]) -> tuple[TrainScope, ...]:
    """Return the scopes of the phases that a phased scope stands for, at most; of any other, the scope itself."""
    if scope.kind == "head-then-all":
        return HEAD, ALL
    if scope.kind == "gradual":
        return HEAD, *(TrainScope("from", block.name) for block in reversed(blocks[1:])), ALL
    return (scope,)


def _get_position(name: str, blocks: Sequence[BlockSpec]) -> int:
    names = [block.name for block in blocks]
    if name not in names:
        raise NameNotFound(f"no block {name!r}; from input to output the blocks are {', '.join(names)}.")
    return names.index(name)


def _without_head(blocks: tuple[BlockSpec, ...], head: Head) -> Iterator[BlockSpec]:
    for block in blocks:
        prefixes = tuple(prefix for prefix in block.prefixes if not head.covers(prefix))
        if prefixes:
            yield BlockSpec(block.name, prefixes)
