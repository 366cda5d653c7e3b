"""Run only the part of a network after its last frozen module, using the cached output of that module.

With ``--train from:BLOCK``, the frozen blocks return the same output for an image in every epoch. The network's own
``forward`` still runs, but its frozen modules return immediately. The last frozen module that runs before any trainable
one returns the cached features. The other frozen modules return zeros of the right shape, which take up no memory,
because their outputs are not used. If such an output is used after all, for example by a skip connection, the
comparison with the full network fails and the network is not split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zoo.engine.features.forward_pass import StopForward, replaced_forwards, run_with_hooks
from zoo.engine.features.tail import (
    CannotSplit,
    Tail,
    fork_generators,
    preserved_buffers,
    verify_gradients,
    verify_logits,
)
from zoo.models.build import Network
from zoo.models.freeze import Frozen
from zoo.models.parameter_order import FirstUses


@dataclass(frozen=True)
class _TensorKind:
    """The properties of a batch of images or of a module's output; the shape is for one image."""

    shape: torch.Size
    dtype: torch.dtype
    memory_format: torch.memory_format

    @classmethod
    def of(cls, batch: Tensor) -> _TensorKind:
        is_channels_last = batch.ndim == 4 and batch.is_contiguous(memory_format=torch.channels_last)
        memory_format = torch.channels_last if is_channels_last else torch.preserve_format
        return cls(batch.shape[1:], batch.dtype, memory_format)

    def make_zeros(self, features: Tensor) -> Tensor:
        """Return zeros for the same number of images as the features; they take up no memory."""
        return torch.zeros((), dtype=self.dtype, device=features.device).expand(len(features), *self.shape)

    def restore(self, features: Tensor) -> Tensor:
        """Return a copy of features (N, width) with the shape, dtype and memory format of this kind."""
        return features.reshape(-1, *self.shape).to(self.dtype, copy=True, memory_format=self.memory_format)


class AfterBlock(Tail):
    """The part of a network after the last frozen module that runs before any trainable one."""

    def __init__(self, model: nn.Module, outputs: Mapping[str, _TensorKind], images: Tensor) -> None:
        super().__init__()
        self._model = model
        self._outputs = dict(outputs)
        self.where = [*outputs][-1]
        self._image = _TensorKind.of(images)

    @property
    def width(self) -> int:
        """The number of features that the last frozen module returns per image."""
        return self._outputs[self.where].shape.numel()

    @property
    def shapes(self) -> Sequence[torch.Size]:
        """The shape of one image's output of the last frozen module."""
        return [self._outputs[self.where].shape]

    def forward(self, features: Tensor) -> Any:
        """Map features of shape (N, width) to the network's output: logits, or logits and auxiliary logits."""
        forwards = {}
        for path, kind in self._outputs.items():
            output = kind.restore(features) if path == self.where else kind.make_zeros(features)
            forwards[self._model.get_submodule(path)] = _make_constant(output)
        with replaced_forwards(forwards):
            return self._model(self._image.make_zeros(features))

    @torch.no_grad()
    def extract(self, model: nn.Module, images: Tensor) -> Tensor:
        """Run the model, which must be in eval mode, up to the split; return features of shape (N, width)."""
        outputs: list[Tensor] = []

        def record(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            outputs.append(output)
            raise StopForward

        run_with_hooks(model, images, [model.get_submodule(self.where).register_forward_hook(record)])
        return outputs[0].flatten(1)


def split_after_block(network: Network, frozen: Frozen, images: Tensor) -> AfterBlock:
    """Split after the last frozen module that runs before any trainable one, and verify the split on some images.

    Call this under the same autocast as training. Buffers and random number generators do not change.

    Raises:
        CannotSplit: If no frozen module runs first, or if the part after it uses more than that module's output.
    """
    model = network.model
    with torch.no_grad(), fork_generators(images.device), preserved_buffers(model):
        frozen.train()
        frozen_modules = {path: module for path, module in model.named_modules() if path and not _is_trainable(module)}
        fixed = {path: module for path, module in frozen_modules.items() if not module.training}
        # Modules without a state, such as pooling, are included unless the comparison then fails, as it does for
        # dropout.
        stateless = {path: module for path, module in frozen_modules.items() if not module.state_dict()}
        try:
            return _split(network, frozen, {**fixed, **stateless}, images)
        except CannotSplit:
            return _split(network, frozen, fixed, images)


def _is_trainable(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


def _split(network: Network, frozen: Frozen, modules: Mapping[str, nn.Module], images: Tensor) -> AfterBlock:
    """Split after the last of these modules that runs before the first trainable parameter is used."""
    model = network.model
    outputs = _record_outputs(model.eval(), modules, images)  # features are computed in eval mode as well
    if not outputs:
        raise CannotSplit("no frozen module runs before the first trainable one")
    tail = AfterBlock(model, outputs, images)
    num_skipped = sum(parameter.numel() for path in outputs for parameter in modules[path].parameters())
    num_frozen = sum(parameter.numel() for parameter in frozen.list_frozen())
    if 2 * num_skipped < num_frozen:
        raise CannotSplit(f"most frozen parameters come after {tail.where}, the last module whose output can be cached")
    verify_logits(tail, model, frozen, images)
    verify_gradients(tail, model, frozen, images)
    return tail


def _record_outputs(model: nn.Module, modules: Mapping[str, nn.Module], images: Tensor) -> dict[str, _TensorKind]:
    """Return the kind of output of each module that finishes before a trainable parameter is used, in order.

    Submodules of such a module are left out. So are modules that are called more than once or do not return a tensor
    with one row per image, because they must run.
    """
    outputs: dict[str, _TensorKind] = {}
    calls = Counter[str]()
    uses = FirstUses(parameter for parameter in model.parameters() if parameter.requires_grad)

    def record(path: str, output: object) -> None:
        calls[path] += 1
        if isinstance(output, Tensor) and output.shape[:1] == images.shape[:1] and not uses.order:
            outputs[path] = _TensorKind.of(output)

    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, path=path: record(path, output))
        for path, module in modules.items()
    ]
    with uses:
        run_with_hooks(model, images, hooks)
    once = {path: kind for path, kind in outputs.items() if calls[path] == 1}
    return {path: kind for path, kind in once.items() if not any(path.startswith(f"{outer}.") for outer in once)}


def _make_constant(output: Tensor) -> Callable[..., Tensor]:
    """Return a function that returns this tensor for any arguments."""
    return lambda *_args, **_kwargs: output
