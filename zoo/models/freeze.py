"""Freeze part of a model, keep it frozen during training, and verify that it did not change."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from itertools import chain

import torch
from torch import nn

from zoo.errors import FrozenMoved
from zoo.models.head import is_below_any
from zoo.models.sharding import full_tensor


class Frozen:
    """The frozen part of a model. It gets no gradients and stays in eval mode, and its digest must not change."""

    def __init__(
        self,
        model: nn.Module,
        trainable: tuple[str, ...],
        in_eval_mode: Sequence[nn.Module] = (),
        active: Sequence[nn.Module] = (),
        untrained: Collection[str] = frozenset(),
    ) -> None:
        """Freeze all parameters except the trainable ones.

        Args:
            model: The model, whose parameters are changed in place.
            trainable: Dotted prefixes of the names of trainable parameters.
            in_eval_mode: Modules that stay in eval mode although their parameters are trainable.
            active: Modules without tensors that are not put into eval mode on their own, although frozen modules come
                after them.
            untrained: Names of parameters that are never trained. They are frozen even under a trainable prefix, but
                do not put their modules into eval mode.
        """
        self._model = model
        self._trainable = trainable
        self._untrained = frozenset(untrained)
        self._active = {id(module) for module in active}
        for name, parameter in model.named_parameters(remove_duplicate=False):
            parameter.requires_grad_(is_trained(name, trainable, self._untrained))
        self._modules = (*self._list_modules(), *in_eval_mode)

    def __repr__(self) -> str:
        parameters = dict(self._model.named_parameters())
        trained = sum(p.numel() for n, p in parameters.items() if is_trained(n, self._trainable, self._untrained))
        return f"Frozen({trained:,} of {sum(p.numel() for p in parameters.values()):,} parameters are trainable)"

    def train(self) -> None:
        """Put the model into training mode, except for the frozen part, which stays in eval mode."""
        self._model.train()
        for module in self._modules:
            module.eval()

    def digest(self) -> str:
        """Return the SHA-256 of the frozen part; see `digest_frozen`."""
        return digest_frozen(self._model, self._trainable, self._untrained)

    def list_frozen(self) -> list[nn.Parameter]:
        """Return the frozen parameters, except for those that are never trained and belong to a trainable part."""
        return [
            parameter
            for name, parameter in self._model.named_parameters()
            if not (parameter.requires_grad or (name in self._untrained and is_below_any(name, self._trainable)))
        ]

    def check(self, before: str) -> str:
        """Compute the digest and compare it with an earlier one.

        Raises:
            FrozenMoved: If the digest has changed.
        """
        after = self.digest()
        if after != before:
            raise FrozenMoved(
                "a frozen parameter or buffer changed during training; do not trust the results of this run."
            )
        return after

    def _list_modules(self) -> Iterator[nn.Module]:
        """Yield the modules that have no trainable tensors and do not come after the last frozen tensor.

        Modules within such a module are not yielded, because they follow its mode.

        If everything is trainable, no module is frozen. Without this exception, a constant buffer such as the
        angles of a position embedding would keep the dropout layers before it in eval mode.
        """
        if not self.list_frozen():
            return
        modules = [item for item in self._model.named_modules() if not is_below_any(item[0], self._trainable)]
        frozen = [index for index, item in enumerate(modules) if self._is_any(*item, recurse=False, is_trainable=False)]
        last = max(frozen, default=-1)
        listed: list[str] = []
        for index, (name, module) in enumerate(modules):
            if name and is_below_any(name, listed):
                continue
            is_frozen = not self._is_any(name, module, recurse=True, is_trainable=True)
            if index <= last and is_frozen and id(module) not in self._active:
                listed.append(name)
                yield module

    def _is_any(self, name: str, module: nn.Module, *, recurse: bool, is_trainable: bool) -> bool:
        """Return whether any tensor of a module is in the trainable part, or any is not.

        With ``recurse``, the tensors of the modules below it count as well.
        """
        parameters = module.named_parameters(name, recurse=recurse, remove_duplicate=False)
        buffers = module.named_buffers(name, recurse=recurse, remove_duplicate=False)
        return any(is_below_any(tensor, self._trainable) == is_trainable for tensor, _ in chain(parameters, buffers))


def is_trained(name: str, trainable: Collection[str], untrained: Collection[str]) -> bool:
    """Return whether a parameter is trained: under one of the trainable prefixes, and not one that is never trained."""
    return name not in untrained and is_below_any(name, trainable)


def digest_frozen(model: nn.Module, trainable: tuple[str, ...], untrained: Collection[str] = frozenset()) -> str:
    """Return the SHA-256 of the names, shapes, dtypes and values of all frozen parameters and buffers.

    Args:
        model: The model. Its parameters need not be frozen yet.
        trainable: Dotted prefixes of the names of trainable parameters.
        untrained: Names of parameters that are never trained, even under a trainable prefix.
    """
    digest = hashlib.sha256()
    tensors = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        if is_trained(name, trainable, untrained):
            continue
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = full_tensor(tensor.detach()).cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
    return digest.hexdigest()


def list_batch_norms(model: nn.Module) -> list[nn.Module]:
    """Return the batch norm layers of a model. In training mode, they need more than one image per batch."""
    # torch has no public base class for its batch norms. timm's derive from BatchNorm2d.
    return [m for m in model.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm))]
