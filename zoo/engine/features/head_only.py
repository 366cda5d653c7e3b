"""Run only the heads of a network, on what the frozen part gives them.

With ``--train head`` all before the head gives the same features for the same image at every epoch. They are taken
once, and the head alone then learns from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from zoo.engine.features.tail import CannotSplit, Tail, buffers_kept, fork_generators, prove_logits
from zoo.models.build import Network
from zoo.models.freeze import Frozen

_DROPOUTS = (functional.dropout, functional.dropout1d, functional.dropout2d, functional.alpha_dropout)


@dataclass(frozen=True)
class _Dropout:
    """A call of a dropout, as it is made while the network learns."""

    apply: Callable[..., Tensor]
    options: Mapping[str, Any]
    entered: Tensor
    left: Tensor


@dataclass(frozen=True)
class _Part:
    """A head, and the dropouts through which its features come while it learns."""

    head: nn.Module
    dropouts: tuple[_Dropout, ...]
    #: Of what enters the head, without the batch.
    shape: tuple[int, ...]

    def run(self, features: Tensor) -> Tensor:
        """From (N, width) to logits of shape (N, classes)."""
        if self.head.training:
            for dropout in self.dropouts:
                shaped = features.reshape(-1, *dropout.entered.shape[1:])
                features = dropout.apply(shaped, **dropout.options)
        logits: Tensor = self.head(features.reshape(-1, *self.shape))
        return logits.flatten(1)


class HeadOnly(Tail):
    """The heads of a network, and the dropouts before them; of several heads, the mean."""

    def __init__(self, parts: Sequence[_Part], paths: Sequence[str]) -> None:
        super().__init__()
        self.where = ", ".join(paths)
        self._parts = tuple(parts)
        self.heads = nn.ModuleList(part.head for part in parts)
        self._widths = [prod(part.shape) for part in parts]

    @property
    def width(self) -> int:
        """Numbers that enter the heads."""
        return sum(self._widths)

    def forward(self, features: Tensor) -> Tensor:
        """From features of shape (N, width) to logits of shape (N, classes)."""
        parts = zip(self._parts, torch.split(features, self._widths, 1), strict=True)
        logits = [part.run(entered) for part, entered in parts]
        return logits[0] if len(logits) == 1 else torch.stack(logits).mean(0)

    @torch.no_grad()
    def take(self, model: nn.Module, images: Tensor) -> Tensor:
        """Run the network, in eval mode, as far as the features, and return them: of shape (N, width)."""
        with _tapping(list(self.heads)) as taken:
            model(images)
        return torch.cat([taken[head].flatten(1) for head in self.heads], 1)


def split_head_only(network: Network, frozen: Frozen, images: Tensor) -> HeadOnly:
    """Find what learns of the network, and prove on some images that alone it gives the same logits.

    Call it within the precision in which the network is going to learn. Random numbers stay as they were.

    Raises:
        CannotReplay: it cannot be run alone, or gives other logits.
    """
    if reason := network.backbone.unsupported.get("cached_features"):
        raise CannotSplit(reason)
    with torch.no_grad(), fork_generators(images.device), buffers_kept(network.model):
        replay = HeadOnly(_find_parts(network, frozen, images), network.head.paths)
        prove_logits(replay, network.model, frozen, images)
    return replay


def _find_parts(network: Network, frozen: Frozen, images: Tensor) -> list[_Part]:
    """Follow the images through the network while it learns: to each head, and back through the dropouts before it."""
    heads = [network.model.get_submodule(path) for path in network.head.paths]
    frozen.train()
    with _watching(heads) as entered, _Dropouts() as dropouts:
        network.model(images)
    for path, head in zip(network.head.paths, heads, strict=True):
        if len(entered[head]) != 1:
            raise CannotSplit(f"its head {path} is called {len(entered[head])} times a pass")
    return [_Part(head, dropouts.lead_to(entered[head][0]), tuple(entered[head][0].shape[1:])) for head in heads]


class _Dropouts(TorchFunctionMode):
    """Notes every dropout that drops, as a module or as a function; keeps their tensors, lest memory is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[_Dropout] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        left = func(*args, **(kwargs or {}))
        if func in _DROPOUTS:
            names = ("input", "p", "training", "inplace")
            options = {**dict(zip(names, args, strict=False)), **(kwargs or {})}
            entered = options.pop("input")
            if options.get("training", True):
                self._calls.append(_Dropout(func, {**options, "inplace": False}, entered, left))
        return left

    def lead_to(self, tensor: Tensor) -> tuple[_Dropout, ...]:
        """Return the dropouts that made this tensor, one after the other."""
        path: list[_Dropout] = []
        memory = tensor.data_ptr()
        for call in reversed(self._calls):
            if call.left.data_ptr() == memory:
                path.insert(0, call)
                memory = call.entered.data_ptr()
        return tuple(path)


@contextmanager
def _watching(modules: Sequence[nn.Module]) -> Iterator[dict[nn.Module, list[Tensor]]]:
    """Yield what enters each of the modules, call by call."""
    entered: dict[nn.Module, list[Tensor]] = {module: [] for module in modules}
    hooks = [
        module.register_forward_pre_hook(lambda module, inputs: entered[module].append(inputs[0])) for module in modules
    ]
    try:
        yield entered
    finally:
        for hook in hooks:
            hook.remove()


class Enough(Exception):
    """All features are there; the rest of the pass would be for nothing."""


@contextmanager
def _tapping(modules: Sequence[nn.Module]) -> Iterator[dict[nn.Module, Tensor]]:
    """Yield what enters each of the modules, and end the pass when all of it is there."""
    taken: dict[nn.Module, Tensor] = {}

    def take(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        taken[module] = inputs[0]
        if len(taken) == len(modules):
            raise Enough

    hooks = [module.register_forward_pre_hook(take) for module in modules]
    try:
        yield taken
    except Enough:
        pass
    finally:
        for hook in hooks:
            hook.remove()
