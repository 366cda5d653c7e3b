"""Freeze the first blocks of a model, keep them frozen, and prove that they did not move."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from zoo.errors import FrozenMoved
from zoo.models.head import is_below
from zoo.models.sharding import whole


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


def _list_parameters(name: str, module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return module.named_parameters(prefix=name, remove_duplicate=False)


def _holds_own_tensors(module: nn.Module) -> bool:
    return any(True for _ in module.parameters(recurse=False)) or any(True for _ in module.buffers(recurse=False))
