"""Run only the heads of a network, on their cached inputs.

With ``--train head``, everything before the head returns the same features for an image in every epoch. The features
are computed once, and then only the head runs. Splitting after the last frozen module would work as well, but pooling
is often not a module: vit_b_16 would need 151,296 instead of 768 features per image, and mobilenet_v2 62,720 instead
of 1,280.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zoo.engine.features.forward_pass import StopForward, run_with_hooks
from zoo.engine.features.tail import CannotSplit, Tail, fork_generators, preserved_buffers, verify_logits
from zoo.models.build import Network
from zoo.models.freeze import Frozen

_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


@dataclass(frozen=True)
class _Call:
    """A call of a head or a dropout in one forward pass of the network."""

    module: nn.Module
    input: Tensor
    output: Any


class _Branch(nn.Module):
    """The dropouts before a head, and the head."""

    def __init__(self, calls: Sequence[_Call]) -> None:
        """Create a branch from calls in the order in which they were made; the last one is the call of the head."""
        super().__init__()
        self.steps = nn.ModuleList(call.module for call in calls)
        self.head = calls[-1].module
        self._shapes = [call.input.shape[1:] for call in calls]
        self.shape = self._shapes[-1]

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, width) to logits of shape (N, classes)."""
        for module, shape in zip(self.steps, self._shapes, strict=True):
            features = module(features.reshape(-1, *shape))
        return features.flatten(1)


class HeadOnly(Tail):
    """The heads of a network and the dropouts before them; the logits of several heads are averaged."""

    def __init__(self, branches: Sequence[_Branch], paths: Sequence[str]) -> None:
        super().__init__()
        self.where = ", ".join(paths)
        self._branches = nn.ModuleList(branches)
        self._heads = [branch.head for branch in branches]
        self._shapes = [branch.shape for branch in branches]
        self._widths = [shape.numel() for shape in self._shapes]

    @property
    def width(self) -> int:
        """The number of features per image, summed over the inputs of all heads."""
        return sum(self._widths)

    @property
    def shapes(self) -> Sequence[torch.Size]:
        """The shapes of one image's inputs of all heads."""
        return self._shapes

    def forward(self, features: Tensor) -> Tensor:
        """Map features of shape (N, width) to logits of shape (N, classes)."""
        features = features.clone()  # a dropout may work in place, and the batch may be needed again
        inputs = torch.split(features, self._widths, 1)
        logits = [branch(entered) for branch, entered in zip(self._branches, inputs, strict=True)]
        return logits[0] if len(logits) == 1 else torch.stack(logits).mean(0)

    @torch.no_grad()
    def extract(self, model: nn.Module, images: Tensor) -> Tensor:
        """Run the model, which must be in eval mode, up to its heads; return features of shape (N, width)."""
        inputs: dict[nn.Module, Tensor] = {}

        def record(head: nn.Module, args: tuple[Tensor, ...]) -> None:
            inputs[head] = args[0]
            if len(inputs) == len(self._heads):
                raise StopForward

        run_with_hooks(model, images, [head.register_forward_pre_hook(record) for head in self._heads])
        return torch.cat([inputs[head].flatten(1) for head in self._heads], 1)


def split_head_only(network: Network, frozen: Frozen, images: Tensor) -> HeadOnly:
    """Split off the heads, and verify on some images that they return the logits of the network.

    Call this under the same autocast as training. Buffers and random number generators do not change.

    Raises:
        CannotSplit: If the heads cannot run on their own or return different logits.
    """
    if reason := network.backbone.unsupported.get("cached_features"):
        raise CannotSplit(reason)
    if names := network.head.parameters:
        # They are used outside of the layers. If they do not change the logits yet, comparing logits proves nothing.
        raise CannotSplit(f"the head has parameters outside of its layers: {', '.join(names)}")
    with torch.no_grad(), fork_generators(images.device), preserved_buffers(network.model):
        tail = HeadOnly(_find_branches(network, frozen, images), network.head.paths)
        verify_logits(tail, network.model, frozen, images)
    return tail


def _find_branches(network: Network, frozen: Frozen, images: Tensor) -> list[_Branch]:
    """Run the network in training mode; follow the input of each head back through the dropouts before it."""
    model, calls = network.model, list[_Call]()

    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        if inputs:  # calls that pass only keyword arguments are ignored
            calls.append(_Call(module, inputs[0], output))

    frozen.train()
    heads = {path: model.get_submodule(path) for path in network.head.paths}
    dropouts = [module for module in model.modules() if isinstance(module, _DROPOUTS)]
    run_with_hooks(model, images, [module.register_forward_hook(record) for module in (*heads.values(), *dropouts)])
    branches = []
    for path, head in heads.items():
        head_calls = [call for call in calls if call.module is head]
        if len(head_calls) != 1:
            raise CannotSplit(f"the head {path} is called {len(head_calls)} times per forward pass, not once")
        branches.append(_trace_back(head_calls[0], calls))
    return branches


def _trace_back(head_call: _Call, calls: Sequence[_Call]) -> _Branch:
    """Find the dropouts whose output is the head's input, directly or through views and other dropouts."""
    chain = [head_call]
    for call in reversed(calls):
        if isinstance(call.module, _DROPOUTS) and call.output.data_ptr() == chain[0].input.data_ptr():
            chain.insert(0, call)
    return _Branch(chain)
