"""Freeze the first blocks of a model, keep them frozen, and prove that they did not move."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from zoo.errors import FrozenMoved
from zoo.models.head import is_below_any
from zoo.models.sharding import whole


class Frozen:
    """All of a model but what is trained: without gradients, in eval mode, and with a digest that proves it."""

    def __init__(self, model: nn.Module, trainable: tuple[str, ...], fixed: Sequence[nn.Module] = ()) -> None:
        """Freeze all parameters that are not below one of the prefixes.

        Args:
            model: whose parameters are frozen in place.
            trainable: dotted prefixes of parameter names.
            fixed: modules that are trained but stay in eval mode.
        """
        self._model = model
        self._trainable = trainable
        for name, parameter in model.named_parameters(remove_duplicate=False):
            parameter.requires_grad_(is_below_any(name, trainable))
        self._modules = (*self._list_modules(), *fixed)

    def train(self) -> None:
        """Put the model into training mode, all but what is frozen: its statistics and dropouts stay as they are."""
        self._model.train()
        for module in self._modules:
            module.eval()

    def digest(self) -> str:
        """Return a SHA-256 over all that is frozen; see `digest_frozen`."""
        return digest_frozen(self._model, self._trainable)

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

    def _list_modules(self) -> Iterator[nn.Module]:
        """Yield each module that holds nothing trainable and does not come after all that is frozen.

        If every parameter is trained, nothing is frozen: a buffer that never changes (the angles of a position
        embedding) must not keep the dropouts before it from dropping.
        """
        if all(parameter.requires_grad for parameter in self._model.parameters()):
            return
        modules = [item for item in self._model.named_modules() if not is_below_any(item[0], self._trainable)]
        frozen = [index for index, (_, module) in enumerate(modules) if _holds_own_tensors(module)]
        last = max(frozen, default=-1)
        for index, (name, module) in enumerate(modules):
            below = (parameter for parameter, _ in module.named_parameters(prefix=name, remove_duplicate=False))
            if index <= last and not any(is_below_any(parameter, self._trainable) for parameter in below):
                yield module


def digest_frozen(model: nn.Module, trainable: tuple[str, ...]) -> str:
    """Return a SHA-256 over names, shapes, dtypes and values of all parameters and buffers but the trainable ones.

    Args:
        model: need not be frozen.
        trainable: dotted prefixes of parameter names.
    """
    total = hashlib.sha256()
    every = [item for named in (model.named_parameters, model.named_buffers) for item in named(remove_duplicate=False)]
    for name, tensor in sorted(every, key=lambda item: item[0]):
        if is_below_any(name, trainable):
            continue
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = whole(tensor.detach()).cpu().contiguous().reshape(-1)
        total.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
    return total.hexdigest()


def list_batch_norms(model: nn.Module) -> list[nn.Module]:
    """List the layers that normalise by the batch while they train, which a batch of one image does not allow."""
    # torch has no public name for what all of its batch norms are; timm's derive from BatchNorm2d.
    return [m for m in model.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm))]


def _holds_own_tensors(module: nn.Module) -> bool:
    return any(True for _ in module.parameters(recurse=False)) or any(True for _ in module.buffers(recurse=False))
