"""Freeze the first blocks of a model, keep them frozen, and prove that they did not move."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from zoo.errors import FrozenMoved, NameNotFound, OptionError, PluginError
from zoo.models.head import Head, is_below
from zoo.models.sharding import whole
from zoo.plugin import BackboneSpec, BlockSpec


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
        owners = [block.name for block in blocks if any(is_below(name, prefix) for prefix in block.prefixes)]
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


def refuse_unknown_block(backbone: BackboneSpec, train: str) -> None:
    """Raise NameNotFound for a block that the backbone does not declare, as far as that is known before it is built."""
    kind, _, name = train.partition(":")
    if kind == "from" and not callable(backbone.blocks):
        _get_position(name, backbone.blocks)


def list_learning(blocks: tuple[BlockSpec, ...], head: Head, train: str) -> tuple[str, ...]:
    """Return the parameter-name prefixes that learn with ``--train head``, ``all`` or ``from:BLOCK``.

    Raises:
        OptionError: ``train`` is none of them.
        NameNotFound: there is no such block.
    """
    if train == "head":
        # Auxiliary heads help deep layers to learn; where none of those does, they have nothing to do.
        return head.paths
    kind, _, name = train.partition(":")
    if train != "all" and kind != "from":
        names = ", ".join(block.name for block in blocks)
        raise OptionError(f"no --train {train!r}; it is head, all or from:BLOCK with a block of {names}.")
    first = 0 if train == "all" else _get_position(name, blocks)
    return (*(prefix for block in blocks[first:] for prefix in block.prefixes), *head.paths, *head.aux_paths)


def _get_position(name: str, blocks: Sequence[BlockSpec]) -> int:
    names = [block.name for block in blocks]
    if name not in names:
        raise NameNotFound(f"no block {name!r}; from input to output the blocks are {', '.join(names)}.")
    return names.index(name)


class Frozen:
    """All of a model but what learns: without gradients, in eval mode, and with a fingerprint."""

    def __init__(self, model: nn.Module, learning: tuple[str, ...], still: Sequence[nn.Module] = ()) -> None:
        """Freeze all parameters that are not below one of the prefixes; ``still`` modules learn, but in eval mode."""
        self._model = model
        self._learning = learning
        for name, parameter in model.named_parameters(remove_duplicate=False):
            parameter.requires_grad_(self._learns(name))
        self._modules = (*self._list_modules(), *still)

    def train(self) -> None:
        """Put the model into training mode, all but what is frozen: its statistics and dropouts stand still."""
        self._model.train()
        for module in self._modules:
            module.eval()

    def digest(self) -> str:
        """Return a SHA-256 over names, shapes, dtypes and values of all frozen parameters and buffers."""
        total = hashlib.sha256()
        for name, tensor in sorted(self._list_tensors(), key=lambda item: item[0]):
            total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            flat = whole(tensor.detach()).cpu().contiguous().reshape(-1)
            total.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
        return total.hexdigest()

    def check(self, before: str) -> str:
        """Return the digest.

        Raises:
            FrozenMoved: it is not what it was before.
        """
        after = self.digest()
        if after != before:
            raise FrozenMoved(
                "a frozen parameter or buffer changed during training; nothing of this run can be trusted."
            )
        return after

    def _learns(self, name: str) -> bool:
        return any(is_below(name, prefix) for prefix in self._learning)

    def _list_tensors(self) -> Iterator[tuple[str, Tensor]]:
        for named in (self._model.named_parameters, self._model.named_buffers):
            yield from ((name, tensor) for name, tensor in named(remove_duplicate=False) if not self._learns(name))

    def _list_modules(self) -> Iterator[nn.Module]:
        """Yield each module that holds nothing that learns and does not come after all that is frozen.

        Where every parameter learns nothing is frozen: a buffer that none moves (the angles of a position embedding)
        must not keep the dropouts before it from dropping.
        """
        if all(parameter.requires_grad for parameter in self._model.parameters()):
            return
        modules = [(name, module) for name, module in self._model.named_modules() if not self._learns(name)]
        frozen = [index for index, (_, module) in enumerate(modules) if _holds_own_tensors(module)]
        last = max(frozen, default=-1)
        for index, (name, module) in enumerate(modules):
            holds_learning = any(self._learns(below) for below, _ in _list_parameters(name, module))
            if index <= last and not holds_learning:
                yield module


def list_batch_norms(model: nn.Module) -> list[nn.Module]:
    """List the layers that normalise by the batch while they train, which a batch of one image does not allow."""
    # torch has no public name for what all of its batch norms are; timm's derive from BatchNorm2d.
    return [m for m in model.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm))]


def _without_head(blocks: tuple[BlockSpec, ...], head: Head) -> Iterator[BlockSpec]:
    for block in blocks:
        prefixes = tuple(prefix for prefix in block.prefixes if not head.covers(prefix))
        if prefixes:
            yield BlockSpec(block.name, prefixes)


def _list_parameters(name: str, module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return module.named_parameters(prefix=name, remove_duplicate=False)


def _holds_own_tensors(module: nn.Module) -> bool:
    return any(True for _ in module.parameters(recurse=False)) or any(True for _ in module.buffers(recurse=False))
